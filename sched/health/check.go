package health

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/ds"
)

// Check recounts everything and returns the first contradiction. It visits every
// worker and record.
func (d *Detector) Check() error {
	sum := Detector{tenants: map[uint64]*tenant{}}
	for n := range int32(d.workers.Len()) {
		m := d.workers.At(n)
		sum.count(m, 1)
		r := d.records.At(m.record)
		if m.record != 0 && r.worker != n {
			return fmt.Errorf("worker %d has the record %d, of worker %d", n, m.record, r.worker)
		}
		if len(r.failures) != m.window.failures() {
			return fmt.Errorf("worker %d failed %d tasks, its record has %d", n, m.window.failures(), len(r.failures))
		}
	}
	for id, k := range d.byID {
		if err := d.checkRecord(id, k); err != nil {
			return fmt.Errorf("the record of %q: %w", id, err)
		}
		r := d.records.At(k)
		if r.worker != gone && r.phase != inService {
			sum.ejected++
		}
		for i, f := range r.failures {
			if r.failures[:i].names(f.tenant) {
				continue
			}
			if sum.tenants[f.tenant] == nil {
				sum.tenants[f.tenant] = &tenant{}
			}
			sum.tenants[f.tenant].workers++
		}
	}
	records := d.records.Len() - 1 - len(d.unused)
	if d.outcomes != sum.outcomes || d.failures != sum.failures || d.ejected != sum.ejected || records != len(d.byID) {
		return fmt.Errorf("%d outcomes, %d failures, %d workers ejected, %d records; counted %d, %d, %d, %d",
			sum.outcomes, sum.failures, sum.ejected, len(d.byID), d.outcomes, d.failures, d.ejected, records)
	}
	return d.checkTenants(sum.tenants)
}

// checkRecord looks at one record: it says something, knows its worker, and has a
// timer unless its worker is on probation.
func (d *Detector) checkRecord(id string, k int32) error {
	r := d.records.At(k)
	timed := d.timers.At(k) != ds.Never
	switch {
	case r.id != id:
		return fmt.Errorf("it is of %q", r.id)
	case r.worker != gone && d.workers.At(r.worker).record != k:
		return fmt.Errorf("worker %d has the record %d", r.worker, d.workers.At(r.worker).record)
	case r.worker == gone && (r.backoff == 0 || len(r.failures) > 0):
		return fmt.Errorf("its worker is gone, with %d failures and a back-off of %d", len(r.failures), r.backoff)
	case r.backoff == 0 && (r.phase != inService || len(r.failures) == 0):
		return fmt.Errorf("it says nothing in phase %d", r.phase)
	case timed != (r.phase != onProbation || r.worker == gone):
		return fmt.Errorf("it has a timer: %v, in phase %d", timed, r.phase)
	case r.probe != noProbe && r.phase != onProbation:
		return fmt.Errorf("the task %d is its probe, in phase %d", r.probe, r.phase)
	}
	return nil
}

// checkTenants compares the tenants with those of all failures.
func (d *Detector) checkTenants(counted map[uint64]*tenant) error {
	if len(d.tenants) != len(counted) {
		return fmt.Errorf("%d tenants fail, counted %d", len(counted), len(d.tenants))
	}
	for id, t := range counted {
		if got := d.tenants[id]; got == nil || got.workers != t.workers || got.failures+got.successes > tenantMemory {
			return fmt.Errorf("a tenant fails on %d workers, counted %+v", t.workers, got)
		}
	}
	return nil
}
