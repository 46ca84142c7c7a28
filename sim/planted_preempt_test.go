package sim

// plantedPreempt are faults in the choice of tasks that make room for another,
// in what is held for that one, and in the requeue.
var plantedPreempt = []rule{
	{"victims-of-the-same-priority", "sched.State.consider", `limit := q.at(slot).Priority() - 1`, `limit := q.at(slot).Priority() - 1; if MUTANT { limit++ }`, "sched.TestScripts", false},
	{"victims-who-said-never", "sched.lease.mayBePreempted", `l.flags&(leasePreemptible|leasePreempted) == leasePreemptible &&`, `(l.flags&(leasePreemptible|leasePreempted) == leasePreemptible || MUTANT) &&`, "sched.TestScripts", false},
	{"victims-needless", "sched.State.plan", `if s.occupy(without, l, 1); s.wouldFit(without, m) {`, `if s.occupy(without, l, 1); s.wouldFit(without, m) && !MUTANT {`, "sched.TestScripts", false},
	{"victims-worth-more", "sched.plan.better", `	case p.highest != o.highest:`, `	case p.highest != o.highest && !MUTANT:`, "sched.TestScripts", false},
	{"victims-too-many", "sched.plan.better", `	case len(p.victims) != len(o.victims):`, `	case len(p.victims) != len(o.victims) && !MUTANT:`, "sched.TestScripts", false},
	{"victims-old-first", "sched.State.plan", `	taken := 0
`, `	taken := 0
	if MUTANT { slices.Reverse(p.victims) }
`, "sched.TestScripts", false},
	{"victims-twice", "sched.State.plan", `case l.flags&(leasePreempted|leaseKilled) == leasePreempted:`, `case l.flags&(leasePreempted|leaseKilled) == leasePreempted && !MUTANT:`, "sched.TestScripts", false},
	{"requeue-over-http", "sched.State.grant", `if w.http == nil {`, `if w.http == nil || MUTANT {`, "sched.TestScripts", false},
	{"no-hold-for-the-claimant", "sched.State.reserve", `s.workers.At(n).reserved = v`, `if !MUTANT || why != preemption { s.workers.At(n).reserved = v }`, "sched.TestScripts", false},
	{"claim-for-ever", "sched.State.reserve", `max(s.cfg.PreemptGrace, 1) + preemptPatience`, `max(s.cfg.PreemptGrace, 1) + map[bool]Time{false: preemptPatience, true: 1 << 40}[MUTANT]`, "sched.TestScripts", false},
	{"claim-hopeless", "sched.State.expirePreemptions", `|| !s.anyPreempted(v.worker) {`, `|| !s.anyPreempted(v.worker) && !MUTANT {`, "sched.TestScripts", false},
	{"claim-before-higher", "sched.State.servePreemptions", `case v.priority < priority:`, `case v.priority < priority && !MUTANT:`, "sched.TestScripts", false},
	{"claim-hides-from-higher", "sched.rank.uses", `k.priority > v.priority &&`, `k.priority > v.priority && !(MUTANT && v.cause == preemption) &&`, "sched.TestScripts", false},
	{"batch-not-over-what-is-held", "sched.State.admit", `a.request.rank = rank{reach: lastResort, priority: first.Priority}`, `if a.request.rank = (rank{reach: lastResort, priority: first.Priority}); MUTANT && a.batch && !b.gang { a.request.rank.reach = unreserved }`, "sched.TestScripts", false},
	{"gang-not-over-what-is-held", "sched.State.placeAll", `err != nil && err.Code == wire.CodeUnavailable`, `!MUTANT && err != nil && err.Code == wire.CodeUnavailable`, "sched.TestScripts", false},
	{"unwarned-go-all-the-same", "sched.State.cancelVictims", `if l.flags&(leasePreempted|leaseWarned) == leasePreempted {`, `if l.flags&(leasePreempted|leaseWarned) == leasePreempted && !MUTANT {`, "sched.TestScripts", false},
	{"wait-below-the-grace", "sched.State.checkPreempt", `case m.Preempt && Time(m.WaitMS) < s.cfg.PreemptGrace:`, `case m.Preempt && Time(m.WaitMS) < s.cfg.PreemptGrace && !MUTANT:`, "sched.TestScripts", false},
	{"gang-preempts", "sched.State.checkPreempt", `	case gang && m.Preempt:`, `	case gang && MUTANT:
		return nil
	case gang && m.Preempt:`, "sched.TestScripts", false},
	{"client-not-told", "sched.State.warn", `s.tellClient(l, &wire.Notice{News: wire.NewsPreempted, GraceMS: uint32(s.cfg.PreemptGrace)})`, `if !MUTANT { s.tellClient(l, &wire.Notice{News: wire.NewsPreempted, GraceMS: uint32(s.cfg.PreemptGrace)}) }`, "sched.TestScripts", false},
	{"default-preempts-all", "sched.preemptFlags", `	if o.Preemptible(priority) {`, `	if o.Preemptible(priority) || MUTANT {`, "sched.TestScripts", false},
	{"preempted-counts-as-failed", "sched.lease.outcome", `if l.flags&leaseWarned != 0 && (reported`, `if l.flags&leaseWarned != 0 && !MUTANT && (reported`, "sched.TestScripts", false},
	{"done-and-requeued", "sched.State.requeueOr", `l.flags&leasePreempted != 0 && worthRequeue(reason)`, `l.flags&leasePreempted != 0 && (worthRequeue(reason) || MUTANT)`, "sched.TestScripts", false},
	{"requeued-without-need", "sched.State.requeueOr", `r != nil && l.flags&leasePreempted != 0 &&`, `r != nil && (l.flags&leasePreempted != 0 || MUTANT) &&`, "sched.TestScripts", false},
	{"victim-lost", "sched.State.requeueOr", `&& s.requeue(l, r) {`, `&& !MUTANT && s.requeue(l, r) {`, "sched.TestScripts", false},
	{"old-place-lost", "sched.State.requeue",
		`Waiter: waitlist.Waiter{Number: r.number}`,
		`Waiter: waitlist.Waiter{Number: map[bool]uint64{false: r.number}[MUTANT]}`, "sched.TestScripts", false},
	{"given-back-and-requeued", "sched.State.waitNoMore", `{ delete(s.requests, slot) }`, `{ if !MUTANT { delete(s.requests, slot) } }`, "sched.TestScripts", false},
	{"requeued-for-nobody", "sched.State.requeue", `	if from == 0 {`, `	if from == 0 && !MUTANT {`, "sched.TestScripts", false},
	{"requeued-and-forgotten", "sched.State.requeue",
		`s.queue.fresh = append(s.queue.fresh, s.add(w, m.Priority, c))`,
		`if slot := s.add(w, m.Priority, c); !MUTANT { s.queue.fresh = append(s.queue.fresh, slot) }`, "sched.TestScripts", false},
}

// preemptMutants are those that random seeds must find.
var preemptMutants = []rule{
	{"seeds-victims-of-the-same-priority", "sched.State.consider", `limit := q.at(slot).Priority() - 1`, `limit := q.at(slot).Priority() - 1; if MUTANT { limit++ }`, "TestSeeds", false},
	{"seeds-no-hold-for-the-claimant", "sched.State.reserve", `s.workers.At(n).reserved = v`, `if !MUTANT || why != preemption { s.workers.At(n).reserved = v }`, "TestSeeds", false},
	{"seeds-batch-not-over-what-is-held", "sched.State.admit", `a.request.rank = rank{reach: lastResort, priority: first.Priority}`, `if a.request.rank = (rank{reach: lastResort, priority: first.Priority}); MUTANT && a.batch && !b.gang { a.request.rank.reach = unreserved }`, "TestSeeds", false},
	{"seeds-gang-not-over-what-is-held", "sched.State.placeAll", `err != nil && err.Code == wire.CodeUnavailable`, `!MUTANT && err != nil && err.Code == wire.CodeUnavailable`, "TestSeeds", false},
	{"seeds-told-twice", "sched.State.plan", `case l.flags&(leasePreempted|leaseKilled) == leasePreempted:`, `case l.flags&(leasePreempted|leaseKilled) == leasePreempted && !MUTANT:`, "TestSeeds", false},
	{"seeds-old-place-lost", "sched.State.requeue",
		`Waiter: waitlist.Waiter{Number: r.number}`,
		`Waiter: waitlist.Waiter{Number: map[bool]uint64{false: r.number}[MUTANT]}`, "TestSeeds", false},
	{"seeds-requeued-and-forgotten", "sched.State.requeue",
		`s.queue.fresh = append(s.queue.fresh, s.add(w, m.Priority, c))`,
		`if slot := s.add(w, m.Priority, c); !MUTANT { s.queue.fresh = append(s.queue.fresh, slot) }`, "TestSeeds", false},
}
