package sched

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/sched/health"
)

// service says whether a worker is in service, or what keeps it from getting
// anything. Of several reasons it is the one that would remain the longest.
type service uint8

const (
	isServing service = iota
	isOffline
	isSuspicious
	isDrained
	isDraining
	isCordoned
	isQuarantined
	isConnecting
	services // how many there are
)

func (v service) String() string {
	return [services]string{"in service", "offline", "suspicious", "drained", "draining", "cordoned", "quarantined", "connecting"}[v]
}

// inquire returns what w.service should be.
func (w *worker) inquire() service {
	switch {
	case w.usable():
		return isServing
	case w.presence == offline:
		return isOffline
	case w.presence == suspicious:
		return isSuspicious
	case w.cordon != nil && w.cordon.drained:
		return isDrained
	case w.cordon != nil && w.cordon.drain:
		return isDraining
	case w.cordon != nil:
		return isCordoned
	case w.admits == health.Closed:
		return isQuarantined
	}
	return isConnecting
}

// serviceOf brings w.service and the counts of its kind up to date.
func (s *State) serviceOf(w *worker) {
	is := w.inquire()
	if is == w.service {
		return
	}
	s.countService(w, -1)
	w.service = is
	s.countService(w, 1)
}

// speaksHTTP notes whether a worker speaks HTTP; nil for no.
func (s *State) speaksHTTP(w *worker, h *httpWorker) {
	s.enable(w, -1)
	w.http = h
	s.enable(w, 1)
}

// countService counts a worker with slots among those of its kind.
func (s *State) countService(w *worker, by int) {
	if w.kit == nil || w.slots == 0 {
		return
	}
	k := w.kit.kind
	k.able += by
	k.services[w.service] += by
	if w.http != nil {
		k.https += by
	}
	if w.service != isServing {
		s.count.outOfService += by
	}
	s.why.shape++
}

// checkServices recounts what the workers of each kind are.
func (s *State) checkServices() error {
	kinds, out := map[*kind]kind{}, 0
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		k := kinds[w.kit.kind]
		if k.workers++; w.slots > 0 {
			k.able++
			k.services[w.service]++
			if w.http != nil {
				k.https++
			}
			if w.service != isServing {
				out++
			}
			if w.service != w.inquire() {
				return fmt.Errorf("worker %q is %v, and noted as %v", w.id, w.inquire(), w.service)
			}
		}
		kinds[w.kit.kind] = k
	}
	if s.kinds.list.Len() != len(kinds) || len(s.kinds.byKey) != len(kinds) || out != s.count.outOfService {
		return fmt.Errorf("totals: %d kinds and %d workers out of service, listed %d and kept %d", len(kinds), out, s.kinds.list.Len(), s.count.outOfService)
	}
	for i := range int32(s.kinds.list.Len()) {
		k := *s.kinds.list.At(i)
		if c := kinds[k]; k.place != i || c.workers != k.workers || c.able != k.able || c.services != k.services || c.https != k.https {
			return fmt.Errorf("kind %d: counted %+v, kept %+v", i, c, *k)
		}
	}
	return nil
}
