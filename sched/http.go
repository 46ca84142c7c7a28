package sched

import (
	"errors"

	"github.com/dtask/dtask-scheduler/wire"
)

// Workers that speak HTTP report one number and no leases, so nothing proves
// that a placement was taken or is over. What follows is a heuristic, and the
// only one here.
const (
	// httpBelieveAfter is the age, in milliseconds, from which a placement is
	// covered by the number that a worker reports.
	httpBelieveAfter = 4_000
	// httpForgetAfter is the age at which a placement is forgotten without any
	// report.
	httpForgetAfter = 11_000
	// httpReorderSpan bounds, in seconds, how much older than the newest a
	// heartbeat may be to count as late, and for how long the newest counts.
	httpReorderSpan = 10
)

// Report is one heartbeat of a worker that speaks HTTP.
type Report struct {
	Worker    string
	Address   string
	Tags      []string // kept verbatim, in this order
	Slots     uint32   // max_tasks
	Current   uint32   // current_tasks, as the worker counts
	Timestamp int64    // the worker's clock in seconds; only orders its own heartbeats
}

// httpWorker is what is known of an HTTP worker beside its number.
type httpWorker struct {
	newest int64 // largest timestamp lately
	at     Time  // when it came
	names  int   // bytes of its id and address that are counted
	kit    *kit  // whose tags are counted for it
}

// ErrLeaving says that a worker with the id is being removed, which has many leases:
// Report should be called again.
var ErrLeaving = errors.New("sched: a worker with this id is being removed")

// Report applies one heartbeat of an HTTP worker; the first one registers it.
// Errors are ErrLeaving or *wire.Error (tag limit, worker limit, or conflict: the id
// belongs to a worker that speaks leases).
func (s *State) Report(now Time, r *Report, out *Outbox) error {
	s.now = now
	if n, known := s.byID[r.Worker]; known && s.workers.At(n).leaving {
		for i := 0; i < removeLeases && s.workers.At(n).head != 0; i++ {
			s.endLost(s.workers.At(n).head - 1)
		}
		if s.workers.At(n).head != 0 {
			s.finish(out)
			return ErrLeaving
		}
		s.removeNow(n)
	}
	err := s.report(r)
	s.finish(out)
	if err != nil {
		return err
	}
	return nil
}

func (s *State) report(r *Report) *wire.Error {
	n, known := s.numberOf(r.Worker)
	if known && s.workers.At(n).http == nil {
		if w := s.workers.At(n); w.session != 0 || w.head != 0 {
			return &wire.Error{Code: wire.CodeConflict, Field: "worker_id",
				Message: "the worker id belongs to a worker that speaks leases"}
		}
		s.removeNow(n) // nothing can run there under a lease any more
		known = false
	}
	if !known {
		var err *wire.Error
		if n, err = s.newWorker(r.Worker); err != nil {
			return err
		}
	}
	w := s.workers.At(n)
	if w.http != nil && w.http.late(s.now, r.Timestamp) {
		s.log.stale++
		s.log.beat(OverHTTP, BeatStale)
		s.heard(n)
		return nil
	}
	err := s.textFits(w, r)
	if err == nil {
		err = s.setOffer(n, r.Address, r.Tags, "", nil)
	}
	if err != nil {
		if !known {
			s.forget(n)
		}
		return err
	}
	rise := uint32(0)
	if w.http == nil {
		s.speaksHTTP(w, &httpWorker{})
		s.pardon(w.id) // it reports no outcomes: no probe would ever tell anything
	} else if r.Current > w.external {
		rise = r.Current - w.external
	}
	s.holdText(w)
	if !known {
		s.note(eventJoined, w.id)
	}
	w.http.newest, w.http.at = r.Timestamp, s.now
	s.believe(n, rise)
	s.measure(n, r.Slots, r.Current)
	s.heard(n)
	if s.log.beats[OverHTTP][BeatOK]++; known {
		s.log.silences.add(s.log.gap, 1)
	}
	s.updateEligible(n)
	return nil
}

// late reports whether a heartbeat was overtaken by a newer one. Worker clocks
// are not trusted: a timestamp that is far off orders nothing.
func (h *httpWorker) late(now Time, timestamp int64) bool {
	if now-h.at > httpReorderSpan*1000 {
		return false
	}
	behind := h.newest - timestamp
	return behind >= 1 && behind < httpReorderSpan && timestamp < h.newest
}

// believe forgets the placements that the worker's number covers: the oldest,
// one for each unit by which the number rose, and all that are old enough.
func (s *State) believe(n int32, rise uint32) {
	w := s.workers.At(n)
	for w.head != 0 {
		l := s.leases.slots.At(w.head - 1)
		if rise == 0 && s.now-l.granted < httpBelieveAfter {
			return
		}
		if rise > 0 {
			rise--
		}
		s.end(w.head-1, wire.ReasonBelieved)
	}
}
