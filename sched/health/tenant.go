package health

import (
	"math/bits"
	"slices"
)

// tenant is an owner or group that has a failure in the window of some worker.
type tenant struct {
	workers             int // that have one
	failures, successes int // lately: workers on which it failed anew, and tasks that succeeded anywhere
}

const (
	// tenantMemory is up to how many outcomes of a tenant are counted before both
	// counts are halved.
	tenantMemory = 64
	// tenantElsewhere is on how many other workers a tenant must have failed before
	// it may be the cause itself.
	tenantElsewhere = 2
)

// age halves counts that have grown too old.
func (t *tenant) age() {
	if t.failures+t.successes > tenantMemory {
		t.failures, t.successes = t.failures/2, t.successes/2
	}
}

// failsAnywhere reports whether a tenant that has failed on a worker fails on
// others as well, and on more than it has had successes lately: then its failures
// say nothing about that worker.
func (t *tenant) failsAnywhere() bool {
	return t.workers > tenantElsewhere && t.failures > t.successes
}

// failure is a task that failed on a worker.
type failure struct {
	tenant  uint64
	devices uint64
}

// failures are those in the window of one worker, the oldest first.
type failures []failure

// names reports whether a failure of the tenant is among them.
func (f failures) names(tenant uint64) bool {
	return slices.ContainsFunc(f, func(f failure) bool { return f.tenant == tenant })
}

// byDevice counts the failures in which each device took part.
func (f failures) byDevice() (counts [Devices]uint32) {
	for i := range f {
		for mask := f[i].devices; mask != 0; mask &= mask - 1 {
			counts[bits.TrailingZeros64(mask)]++
		}
	}
	return counts
}

// succeed counts a success of a tenant that fails somewhere.
func (d *Detector) succeed(id uint64) {
	if t := d.tenants[id]; t != nil {
		t.successes++
		t.age()
	}
}

// addFailure adds a failure to a record.
func (d *Detector) addFailure(r *record, f failure) {
	if !r.failures.names(f.tenant) {
		t := d.tenants[f.tenant]
		if t == nil {
			t = &tenant{}
			d.tenants[f.tenant] = t
		}
		t.workers++
		t.failures++
		t.age()
	}
	r.failures = append(r.failures, f)
}

// dropFailures removes the n oldest failures of a record.
func (d *Detector) dropFailures(r *record, n int) {
	for ; n > 0; n-- {
		f := r.failures[0]
		r.failures = slices.Delete(r.failures, 0, 1)
		if r.failures.names(f.tenant) {
			continue
		}
		t := d.tenants[f.tenant]
		if t.workers--; t.workers == 0 {
			delete(d.tenants, f.tenant)
		}
	}
}
