package health

import "github.com/dtask/dtask-scheduler/ds"

// Status describes the outcomes and the ejection of a worker.
type Status struct {
	Outcomes, Failures int       // in its window
	Admission          Admission // Open: the rest says nothing
	OnProbation        bool      // its back-off is over
	Reason             string    // of the ejection
	Since              ds.Time   // the ejection
	ProbeAt            ds.Time   // when the back-off is over; Never on probation
}

// Status returns what is known of a worker.
func (d *Detector) Status(worker int32) Status {
	m := d.workers.At(worker)
	s := Status{Outcomes: m.window.outcomes(), Failures: m.window.failures(), ProbeAt: ds.Never}
	if r := d.records.At(m.record); r.phase != inService {
		s.Admission, s.OnProbation, s.Reason, s.Since = r.admission(), r.phase == onProbation, r.reason, r.since
		s.ProbeAt = d.timers.At(m.record)
	}
	return s
}

// DeviceFailures counts the failures in a worker's window in which each of its
// devices took part.
func (d *Detector) DeviceFailures(worker int32) [Devices]uint32 {
	return d.records.At(d.workers.At(worker).record).failures.byDevice()
}

// IsEjected reports whether an id, of a worker that is known or gone, is ejected or
// on probation.
func (d *Detector) IsEjected(id string) bool {
	return d.records.At(d.byID[id]).phase != inService
}

// Probe returns the task that was placed on a worker on probation; ok is false if
// there is none.
func (d *Detector) Probe(worker int32) (task int32, ok bool) {
	r := d.records.At(d.workers.At(worker).record)
	return r.probe, r.phase == onProbation && r.probe != noProbe
}

// Ejected returns the number of known workers that are ejected or on probation.
func (d *Detector) Ejected() int { return d.ejected }

// Ejections returns how often a worker was ejected.
func (d *Detector) Ejections() uint64 { return d.ejections }
