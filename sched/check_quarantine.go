package sched

import "fmt"

// checkQuarantine recounts how the tasks of workers ended, and looks whether
// workers and their records know each other.
func (s *State) checkQuarantine() error {
	q := &s.quarantine
	sum, held, err := s.recountOutcomes()
	if err != nil {
		return err
	}
	gone, err := s.checkGone()
	if err != nil {
		return err
	}
	held += gone
	if q.ended != sum.ended || q.failed != sum.failed || q.out != sum.out || held != q.suspects.Len()-len(q.unused) {
		return fmt.Errorf("%d outcomes, %d failures, %d workers kept out, %d records; counted %d, %d, %d, %d",
			sum.ended, sum.failed, sum.out, held, q.ended, q.failed, q.out, q.suspects.Len()-len(q.unused))
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

// recountOutcomes adds up what is known of the workers, and counts their records.
func (s *State) recountOutcomes() (sum quarantine, held int, err error) {
	sum.parties = map[uint64]*party{}
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		sum.ended += w.recent.ended()
		sum.failed += w.recent.failed()
		if err := s.checkSuspect(n, w); err != nil {
			return sum, 0, fmt.Errorf("worker %q: %w", w.id, err)
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
	return sum, held, nil
}

// checkGone looks at each record by its id, and counts those of workers that are
// gone.
func (s *State) checkGone() (gone int, err error) {
	for id, k := range s.quarantine.byID {
		p := s.quarantine.suspects.At(k)
		n, known := s.byID[id]
		switch {
		case p.worker != id || known && s.workers.At(n).standing == clean:
			return 0, fmt.Errorf("the record of %q is of %q, or it does not know it", id, p.worker)
		case known:
		case p.backoff == 0:
			return 0, fmt.Errorf("a record is kept of %q, which is gone and was never kept out", id)
		default:
			gone++
		}
	}
	return gone, nil
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
	timed := s.quarantine.timers.At(k) != Never
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
	if l := s.leases.slots.At(p.probe - 1); p.phase != onProbe || !l.live() || l.worker != n {
		return fmt.Errorf("I4: its probe is the lease %v of worker %d, in phase %d", l.id, l.worker, p.phase)
	}
	return nil
}
