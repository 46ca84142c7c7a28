package sched

import "fmt"

// checkQuarantine recounts how the tasks of workers ended, and looks whether
// workers and their records know each other.
func (s *State) checkQuarantine() error {
	q, sum := &s.quarantine, quarantine{parties: map[uint64]*party{}}
	held := 0
	for n := range int32(s.workers.n) {
		w := s.workers.at(n)
		if !w.known {
			continue
		}
		sum.ended += w.recent.ended()
		sum.failed += w.recent.failed()
		if err := s.checkSuspect(n, w); err != nil {
			return fmt.Errorf("worker %q: %w", w.id, err)
		}
		p, _ := s.suspectOf(w)
		if p == nil {
			continue
		}
		if held++; p.phase != inService {
			sum.out++
		}
		for i, f := range p.failures {
			if (&suspect{failures: p.failures[:i]}).names(f.party) {
				continue
			}
			if sum.parties[f.party] == nil {
				sum.parties[f.party] = &party{}
			}
			sum.parties[f.party].workers++
		}
	}
	for id, k := range q.byID {
		p := q.suspects.at(k)
		n, known := s.byID[id]
		switch {
		case p.worker != id || known == (s.standingOf(n, known) == clean):
			return fmt.Errorf("the record of %q is of %q, and known to it: %v", id, p.worker, s.standingOf(n, known))
		case known:
		case p.backoff == 0:
			return fmt.Errorf("a record is kept of %q, which is gone and was never kept out", id)
		default:
			held++
		}
	}
	if q.ended != sum.ended || q.failed != sum.failed || q.out != sum.out || held != q.suspects.n-len(q.unused) {
		return fmt.Errorf("%d outcomes, %d failures, %d workers kept out, %d records; counted %d, %d, %d, %d",
			sum.ended, sum.failed, sum.out, held, q.ended, q.failed, q.out, q.suspects.n-len(q.unused))
	}
	if len(q.parties) != len(sum.parties) {
		return fmt.Errorf("%d owners and groups fail, counted %d", len(sum.parties), len(q.parties))
	}
	for k, p := range sum.parties {
		if g := q.parties[k]; g == nil || g.workers != p.workers || g.failed+g.oks > partyMemory {
			return fmt.Errorf("an owner or group fails on %d workers, counted %+v", p.workers, g)
		}
	}
	return nil
}

// standingOf is that of a worker, clean if it is not known.
func (s *State) standingOf(n int32, known bool) standing {
	if !known {
		return clean
	}
	return s.workers.at(n).standing
}

// checkSuspect looks at what is known of one worker: what is kept out gets
// nothing, and on probe it has one task at most (I4).
func (s *State) checkSuspect(n int32, w *worker) error {
	p, k := s.suspectOf(w)
	if p == nil {
		if w.recent.failed() > 0 {
			return fmt.Errorf("no record tells of its %d failures", w.recent.failed())
		}
		return nil
	}
	want := [...]standing{inService: suspected, keptOut: barred, onProbe: probing}[p.phase]
	if p.probe != 0 {
		want = barred
	}
	timed := s.quarantine.timers.at(k) != Never
	switch {
	case p.worker != w.id:
		return fmt.Errorf("its record is of %q", p.worker)
	case len(p.failures) != w.recent.failed():
		return fmt.Errorf("%d of its tasks failed, %d are kept", w.recent.failed(), len(p.failures))
	case p.phase == inService && len(p.failures) == 0 && p.backoff == 0:
		return fmt.Errorf("its record says nothing")
	case w.standing != want:
		return fmt.Errorf("I4: its standing is %d, and %d in phase %d with the probe %d", w.standing, want, p.phase, p.probe)
	case timed != (p.phase != onProbe):
		return fmt.Errorf("it has a timer: %v, in phase %d", timed, p.phase)
	case p.probe == 0:
		return nil
	}
	if l := s.leases.slots.at(p.probe - 1); p.phase != onProbe || !l.live() || l.worker != n {
		return fmt.Errorf("I4: its probe is the lease %v of worker %d, in phase %d", l.id, l.worker, p.phase)
	}
	return nil
}
