package sim

// plantedPreempt are faults in the choice of tasks that make room for another,
// in what is held for that one, and in the requeue.
var plantedPreempt = []mutant{
	{"victims-of-the-same-priority", "sched/victims.go", `limit := q.at(slot).line.turn.level.priority - 1`, `limit := q.at(slot).line.turn.level.priority - 1; if MUTANT { limit++ }`, "TestScripts", false},
	{"victims-who-said-never", "sched/victims.go", `l.flags&(leasePreemptible|leasePreempted) == leasePreemptible &&`, `(l.flags&(leasePreemptible|leasePreempted) == leasePreemptible || MUTANT) &&`, "TestScripts", false},
	{"victims-needless", "sched/victims.go", `if s.occupy(without, l, 1); s.wouldFit(without, m) {`, `if s.occupy(without, l, 1); s.wouldFit(without, m) && !MUTANT {`, "TestScripts", false},
	{"victims-worth-more", "sched/victims.go", `	case p.highest != o.highest:`, `	case p.highest != o.highest && !MUTANT:`, "TestScripts", false},
	{"victims-too-many", "sched/victims.go", `	case len(p.victims) != len(o.victims):`, `	case len(p.victims) != len(o.victims) && !MUTANT:`, "TestScripts", false},
	{"victims-old-first", "sched/victims.go", `	taken := 0
`, `	taken := 0
	if MUTANT { slices.Reverse(p.victims) }
`, "TestScripts", false},
	{"victims-twice", "sched/victims.go", `case l.flags&(leasePreempted|leaseKilled) == leasePreempted:`, `case l.flags&(leasePreempted|leaseKilled) == leasePreempted && !MUTANT:`, "TestScripts", false},
	{"requeue-over-http", "sched/life.go", `if w.http == nil { // else`, `if w.http == nil || MUTANT { // else`, "TestScripts", false},
	{"no-hold-for-the-claimant", "sched/claim.go", `	s.reserve(n)
	for _, v`, `	if !MUTANT { s.reserve(n) }
	for _, v`, "TestScripts", false},
	{"claim-for-ever", "sched/claim.go", `+ max(s.cfg.PreemptGrace, 1) + claimPatience})`, `+ max(s.cfg.PreemptGrace, 1) + map[bool]Time{false: claimPatience, true: 1 << 40}[MUTANT]})`, "TestScripts", false},
	{"claim-hopeless", "sched/claim.go", `|| !s.makesRoom(c.worker) {`, `|| !s.makesRoom(c.worker) && !MUTANT {`, "TestScripts", false},
	{"claim-before-higher", "sched/claim.go", `case w.line.turn.level.priority < priority:`, `case w.line.turn.level.priority < priority && !MUTANT:`, "TestScripts", false},
	{"claim-hides-from-higher", "sched/over.go", `s.workers.at(c.worker).load() != index.Full && q.at`, `s.workers.at(c.worker).load() != index.Full && !MUTANT && q.at`, "TestScripts", false},
	{"batch-not-over-what-is-held", "sched/over.go", `	workers := s.openBelow(m.Priority)
`, `	workers := s.openBelow(m.Priority)
	if MUTANT && b != nil { s.reserve(workers...); workers = nil }
`, "TestScripts", false},
	{"gang-not-over-what-is-held", "sched/over.go", `results[failed].Code != wire.CodeUnavailable {`, `results[failed].Code != wire.CodeUnavailable || MUTANT {`, "TestScripts", false},
	{"batch-leaves-it-open", "sched/over.go", `>= 0 || slices.Contains(`, `>= 0 || !MUTANT && slices.Contains(`, "TestScripts", false},
	{"unwarned-go-all-the-same", "sched/claim.go", `if l.flags&(leasePreempted|leaseWarned) == leasePreempted {`, `if l.flags&(leasePreempted|leaseWarned) == leasePreempted && !MUTANT {`, "TestScripts", false},
	{"wait-below-the-grace", "sched/preempt.go", `case m.Preempt && Time(m.WaitMS) < s.cfg.PreemptGrace:`, `case m.Preempt && Time(m.WaitMS) < s.cfg.PreemptGrace && !MUTANT:`, "TestScripts", false},
	{"gang-preempts", "sched/preempt.go", `	case gang && m.Preempt:`, `	case gang && MUTANT:
		return nil
	case gang && m.Preempt:`, "TestScripts", false},
	{"client-not-told", "sched/preempt.go", `s.tellClient(l, &wire.Notice{News: wire.NewsPreempted, GraceMS: uint32(s.cfg.PreemptGrace)})`, `if !MUTANT { s.tellClient(l, &wire.Notice{News: wire.NewsPreempted, GraceMS: uint32(s.cfg.PreemptGrace)}) }`, "TestScripts", false},
	{"default-preempts-all", "sched/preempt.go", `	if o.Preemptible(priority) {`, `	if o.Preemptible(priority) || MUTANT {`, "TestScripts", false},
	{"preempted-counts-as-failed", "sched/preempt.go", `if l.flags&leaseWarned != 0 && (reported`, `if l.flags&leaseWarned != 0 && !MUTANT && (reported`, "TestScripts", false},
	{"done-and-requeued", "sched/requeue.go", `l.flags&leasePreempted != 0 && worthRequeue(reason)`, `l.flags&leasePreempted != 0 && (worthRequeue(reason) || MUTANT)`, "TestScripts", false},
	{"requeued-without-need", "sched/requeue.go", `r != nil && l.flags&leasePreempted != 0 &&`, `r != nil && (l.flags&leasePreempted != 0 || MUTANT) &&`, "TestScripts", false},
	{"victim-lost", "sched/requeue.go", `&& s.requeue(l, r) {`, `&& !MUTANT && s.requeue(l, r) {`, "TestScripts", false},
	{"old-place-lost", "sched/requeue.go", `number: r.number, arrived: r.arrived, mute: true,`, `number: map[bool]uint64{false: r.number}[MUTANT], arrived: r.arrived, mute: true,`, "TestScripts", false},
	{"given-back-and-requeued", "sched/requeue.go", `{ delete(s.requests, slot) }`, `{ if !MUTANT { delete(s.requests, slot) } }`, "TestScripts", false},
	{"requeued-for-nobody", "sched/requeue.go", `	if from == 0 {`, `	if from == 0 && !MUTANT {`, "TestScripts", false},
	{"requeued-and-forgotten", "sched/requeue.go", `s.queue.fresh = append(s.queue.fresh, s.add(w, m.Priority, g))`, `if slot := s.add(w, m.Priority, g); !MUTANT { s.queue.fresh = append(s.queue.fresh, slot) }`, "TestScripts", false},
}

// preemptMutants are those that random seeds must find.
var preemptMutants = []mutant{
	{"seeds-victims-of-the-same-priority", "sched/victims.go", `limit := q.at(slot).line.turn.level.priority - 1`, `limit := q.at(slot).line.turn.level.priority - 1; if MUTANT { limit++ }`, "TestSeeds", false},
	{"seeds-no-hold-for-the-claimant", "sched/claim.go", `	s.reserve(n)
	for _, v`, `	if !MUTANT { s.reserve(n) }
	for _, v`, "TestSeeds", false},
	{"seeds-batch-not-over-what-is-held", "sched/over.go", `	workers := s.openBelow(m.Priority)
`, `	workers := s.openBelow(m.Priority)
	if MUTANT && b != nil { s.reserve(workers...); workers = nil }
`, "TestSeeds", false},
	{"seeds-gang-not-over-what-is-held", "sched/over.go", `results[failed].Code != wire.CodeUnavailable {`, `results[failed].Code != wire.CodeUnavailable || MUTANT {`, "TestSeeds", false},
	{"seeds-told-twice", "sched/victims.go", `case l.flags&(leasePreempted|leaseKilled) == leasePreempted:`, `case l.flags&(leasePreempted|leaseKilled) == leasePreempted && !MUTANT:`, "TestSeeds", false},
	{"seeds-old-place-lost", "sched/requeue.go", `number: r.number, arrived: r.arrived, mute: true,`, `number: map[bool]uint64{false: r.number}[MUTANT], arrived: r.arrived, mute: true,`, "TestSeeds", false},
	{"seeds-requeued-and-forgotten", "sched/requeue.go", `s.queue.fresh = append(s.queue.fresh, s.add(w, m.Priority, g))`, `if slot := s.add(w, m.Priority, g); !MUTANT { s.queue.fresh = append(s.queue.fresh, slot) }`, "TestSeeds", false},
}
