// Package health detects workers that fail their tasks, as outlier detection does
// in a service mesh: outcomes of tasks go in, verdicts come out. It knows workers,
// tasks and tenants by number alone, has no clock and no lock, and changes nothing
// outside: the caller applies each Verdict.
//
//	in service ──▶ ejected ──▶ on probation ──▶ in service
//	    an outlier    ▲  back-off  │   its probe succeeded
//	                  └────────────┘
//	             its probe failed: twice the back-off
//
// An ejection belongs to the worker's id: it outlives a worker that leaves and
// comes back.
package health

import "github.com/dtask/dtask-scheduler/ds"

// Detector is the outlier detection of one fleet. A record is made with a worker's
// first failure. It is dropped when the window holds no failure and no ejection has
// to be remembered. The record of a worker that was ejected outlives the worker for
// a while.
type Detector struct {
	cfg     Config
	workers ds.Chunks[member] // by the caller's number
	records ds.Chunks[record] // 0 stands for none
	unused  []int32
	byID    map[string]int32   // records; at most 3 * MaxWorkers
	tenants map[uint64]*tenant // at most Window for each record
	timers  ds.Wheel           // by record

	outcomes, failures int // in the windows of all known workers
	ejected            int // known workers that are ejected, or on probation
	ejections          uint64
}

// Config sets the numbers of a Detector; times are in milliseconds.
type Config struct {
	// First is the back-off of a worker's first ejection. Each further one takes
	// twice as long, up to Most.
	First, Most ds.Time
	// Failures in a window, of Owners different tenants, make an outlier possible.
	Failures, Owners int
	// Share is the percentage of the workers online that may be ejected at once; one
	// may always be.
	Share int
	// Memory is after how long without a failure a record is dropped.
	Memory ds.Time
	// MaxWorkers bounds the workers known at once.
	MaxWorkers int
}

const (
	// minFleet is how many workers must be online for one to be ejected.
	minFleet = 2
	// forgiveAfter is how many times its last back-off a worker must have been in
	// service until that back-off is forgotten.
	forgiveAfter = 10
)

// Devices bounds the devices of a worker.
const Devices = 64

// Admission is what may be placed on a worker.
type Admission uint8

// The admissions.
const (
	Open   Admission = iota // any task
	Probe                   // one task
	Closed                  // no task
)

// Event is a step of a worker's ejection.
type Event uint8

// The events.
const (
	None       Event = iota
	Ejected          // it is an outlier, or its probe failed
	Probing          // its back-off is over: one task may come
	Reinstated       // its probe succeeded
)

// Verdict is a change of what may be placed on a worker.
type Verdict struct {
	Event     Event // None: nothing changes
	Worker    int32
	Admission Admission
	Reason    string
}

// Outcome is how a task ended on a worker.
type Outcome struct {
	Worker  int32
	ID      string // of the worker
	Task    int32  // the number under which Placed was called
	Failed  bool
	How     string // for people, such as failed
	Tenant  uint64 // owner or group; of a success it may be 0 while Failing is false
	Devices uint64 // that the task had, a bit for each
}

// member is what is known of a worker.
type member struct {
	record int32 // 0: none
	window window
}

// phase is how far an ejection is.
type phase uint8

const (
	inService phase = iota
	ejected
	onProbation
)

// noProbe stands for no task.
const noProbe = -1

// gone is the worker of a record whose worker is not known now.
const gone = -1

// record is kept of a worker that failed tasks lately or was ejected.
type record struct {
	id       string
	worker   int32 // or gone
	failures failures
	phase    phase
	probe    int32   // the task that was placed on probation, or noProbe
	backoff  ds.Time // the last one; 0: it was never ejected
	forgiven ds.Time // the next one is the first again from then on
	since    ds.Time // the ejection
	reason   string
}

// admission is what may be placed on the record's worker.
func (r *record) admission() Admission {
	switch {
	case r.phase == inService:
		return Open
	case r.phase == onProbation && r.probe == noProbe:
		return Probe
	}
	return Closed
}

// verdict returns the change to the state that the record has now.
func (r *record) verdict(e Event) Verdict {
	return Verdict{Event: e, Worker: r.worker, Admission: r.admission(), Reason: r.reason}
}

// New returns the Detector of a fleet without workers.
func New(cfg Config) *Detector {
	d := &Detector{cfg: cfg, byID: map[string]int32{}, tenants: map[uint64]*tenant{}}
	d.records.Grow(1)
	return d
}

// Join adds a worker under a number, and returns what may be placed on it: an
// ejection of its id goes on.
func (d *Detector) Join(worker int32, id string) Admission {
	d.workers.Grow(int(worker) + 1)
	m := d.workers.At(worker)
	*m = member{record: d.byID[id]}
	if m.record == 0 {
		return Open
	}
	r := d.records.At(m.record)
	if r.worker = worker; r.phase != inService {
		d.ejected++
	}
	if r.phase == onProbation {
		d.timers.Remove(m.record)
	}
	return r.admission()
}

// Leave removes a worker and its window. The record of one that was ejected stays.
func (d *Detector) Leave(now ds.Time, worker int32) {
	m := d.workers.At(worker)
	d.clearWindow(m)
	if m.record == 0 {
		return
	}
	k := m.record
	m.record = 0
	r := d.records.At(k)
	if r.phase != inService {
		d.ejected--
	}
	switch r.worker = gone; {
	case r.backoff == 0:
		d.drop(k)
	case r.phase == onProbation:
		d.awaitReturn(now, k)
	}
}

// Pardon ends the ejection of a worker and forgets its outcomes. Any task may be
// placed on it then.
func (d *Detector) Pardon(worker int32) {
	m := d.workers.At(worker)
	d.clearWindow(m)
	if m.record == 0 {
		return
	}
	if d.records.At(m.record).phase != inService {
		d.ejected--
	}
	d.drop(m.record)
}

// PardonGone is Pardon for the id of a worker that is not known.
func (d *Detector) PardonGone(id string) {
	if k, ok := d.byID[id]; ok {
		d.drop(k)
	}
}

// DevicesChanged forgets which devices took part in the failures of a worker: their
// numbers mean others now.
func (d *Detector) DevicesChanged(worker int32) {
	r := d.records.At(d.workers.At(worker).record)
	for i := range r.failures {
		r.failures[i].devices = 0
	}
}

// newRecord makes the record of a worker.
func (d *Detector) newRecord(worker int32, id string) int32 {
	k := int32(d.records.Len())
	if n := len(d.unused); n > 0 {
		k, d.unused = d.unused[n-1], d.unused[:n-1]
	} else {
		d.records.Grow(int(k) + 1)
	}
	*d.records.At(k) = record{id: id, worker: worker, probe: noProbe}
	d.byID[id] = k
	return k
}

// drop removes a record without failures.
func (d *Detector) drop(k int32) {
	r := d.records.At(k)
	if r.worker != gone {
		d.workers.At(r.worker).record = 0
	}
	d.timers.Remove(k)
	delete(d.byID, r.id)
	*r = record{}
	d.unused = append(d.unused, k)
}

// clearWindow forgets how the last tasks of a worker ended.
func (d *Detector) clearWindow(m *member) {
	d.count(m, -1)
	m.window = 0
	r := d.records.At(m.record)
	d.dropFailures(r, len(r.failures))
}
