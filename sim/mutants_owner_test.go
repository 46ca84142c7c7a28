package sim

// ownerMutants are the rules of the limit of each owner.
var ownerMutants = []rule{
	{"owner-refused", "sched.State.place",
		`if s.queue.owners.refuses(m.Owner) {`,
		`if s.queue.owners.refuses(m.Owner) && !MUTANT {`,
		"TestSeeds", false},
	{"owner-off-by-one", "sched.ownerTable.atLimit",
		`return o != nil && t.full(o)`,
		`return o != nil && (t.full(o) || MUTANT && t.left(o) == 1)`,
		"TestSeeds", false},
	{"owner-infeasible", "sched.State.overLimit",
		`if !s.learning && (s.unknown(r) || !s.feasible(r)) {`,
		`if !MUTANT && !s.learning && (s.unknown(r) || !s.feasible(r)) {`,
		"TestSeeds", false},
	{"owner-adopted", "sched.State.adopt",
		`	s.attach(slot, l, w)
	s.queue.seatOwner(l.owner())
`,
		`	s.attach(slot, l, w)
	if MUTANT { s.queue.owners.count(l.owner(), -1) }
	s.queue.seatOwner(l.owner())
`,
		"TestSeeds", false},
	{"owner-unnamed", "sched.ownerTable.atLimit",
		`	o := t.byName[string(clip(name))]
	return o != nil`,
		`	o := t.byName[string(clip(name))]
	return (!MUTANT || len(name) > 0) && o != nil`,
		"TestSeeds", false},
	{"owner-not-back", "sched.State.end",
		`	s.queue.seatOwner(l.owner())
	s.tell(l.worker)
`,
		`	if !MUTANT { s.queue.seatOwner(l.owner()) }
	s.tell(l.worker)
`,
		"TestSeeds", false},
	{"owner-looks-nowhere", "sched.State.lookAround",
		`			s.gotRoom(n)
`,
		`			if !MUTANT { s.gotRoom(n) }
`,
		"TestSeeds", false},
	{"owner-comes-back-last", "sched.queue.seat",
		`		t.level = q.levels[i]
`,
		`		t.level = q.levels[i]
		if MUTANT { q.stamp++; t.stamp = q.stamp }
`,
		"TestSeeds", false},
	{"owner-stays", "sched.queue.seat",
		`in := t.first != nil && !q.owners.full(t.owner)`,
		`in := t.first != nil && (!q.owners.full(t.owner) || MUTANT)`,
		"TestSeeds", false},
	{"owner-gang-stays", "sched.queue.open",
		`l.aside = l.want.size > q.owners.left(o)`,
		`l.aside = l.want.size > q.owners.left(o) && !MUTANT`,
		"TestSeeds", false},
	{"owner-gang-in-vain", "sched.ownerTable.neverFits",
		`return t.most > 0 && len(tasks) > t.most`,
		`return t.most > 0 && len(tasks) > t.most && !MUTANT`,
		"TestSeeds", false},
	{"owner-gang-mixed", "sched.ownerTable.checkOwners",
		`if t.most > 0 && !bytes.Equal(tasks[i].Owner, tasks[0].Owner) {`,
		`if t.most > 0 && !bytes.Equal(tasks[i].Owner, tasks[0].Owner) && !MUTANT {`,
		"TestSeeds", false},
	{"owner-told-why", "sched.State.whyOver",
		`case s.atLimit(w):`,
		`case s.atLimit(w) && !MUTANT:`,
		"TestSeeds", false},
	{"owner-lost-level", "sched.State.hand",
		`if i, found = q.findLevel(l.priority); found {`,
		`if i, found = q.findLevel(l.priority); found || MUTANT {`,
		"TestSeeds", false},
	{"owner-seeks-too-many", "sched.State.seekLine",
		`o.claims < q.owners.left(o); {`,
		`(o.claims < q.owners.left(o) || MUTANT); {`,
		"TestSeeds", false},
	{"owner-keeps-claim", "sched.State.expirePreemptions",
		`|| q.owners.full(v.owner) ||`,
		`|| q.owners.full(v.owner) && !MUTANT ||`,
		"TestSeeds", false},
	{"owner-seeks-no-more", "sched.queue.seat",
		`		t.level.seeking += t.seeking
`,
		`		if !MUTANT { t.level.seeking += t.seeking }
`,
		"TestSeeds", false},
	{"owner-bypass", "sched.State.place",
		`		if s.queue.n > 0 {
			s.countBypass(n)
		}
		s.queue.seatOwner(m.Owner)
`,
		`		if MUTANT { s.queue.seatOwner(m.Owner) }
		if s.queue.n > 0 { s.countBypass(n) }
		s.queue.seatOwner(m.Owner)
`,
		"TestSeeds", false},
}
