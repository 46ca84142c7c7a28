package health

import (
	"fmt"
	"strings"
)

// evidence is what speaks against a worker.
type evidence struct {
	failed, outcomes     int // in its window, without failures of tenants that fail anywhere
	tenants              int // of these failures
	device, onDevice     int // the device that took part in most of them, -1 if there is no such one
	others, othersFailed int // outcomes in all other windows, with what runs there, and failures
}

// weigh gathers what speaks against a worker, without a look at the others.
func (d *Detector) weigh(m *member, r *record) evidence {
	e := evidence{outcomes: m.window.outcomes(), device: -1}
	var told failures
	for _, f := range r.failures {
		if d.tenants[f.tenant].failsAnywhere() {
			e.outcomes--
			continue
		}
		if !told.names(f.tenant) {
			e.tenants++
		}
		told = append(told, f)
	}
	e.failed = len(told)
	for i, n := range told.byDevice() {
		if int(n) > e.onDevice {
			e.device, e.onDevice = i, int(n)
		} else if int(n) == e.onDevice {
			e.device = -1
		}
	}
	return e
}

// weighOthers adds what is known of the other workers. What runs there counts as a
// success: where tasks take long, nothing else tells for long that they succeed.
func (d *Detector) weighOthers(e *evidence, m *member, running int) {
	e.others = d.outcomes - m.window.outcomes() + running
	e.othersFailed = d.failures - m.window.failures()
}

// outlier reports whether the worker succeeds less than half as often as the others,
// of which at least least outcomes are known and most are successes.
func (e *evidence) outlier(least int) bool {
	successes := e.others - e.othersFailed
	return e.others >= least && 2*successes >= e.others && 2*(e.outcomes-e.failed)*e.others < successes*e.outcomes
}

// String is the reason of an ejection that people are shown.
func (e *evidence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "failed %d of its last %d tasks, of %d owners or groups", e.failed, e.outcomes, e.tenants)
	if e.device >= 0 {
		fmt.Fprintf(&b, ", %d of them on device %d", e.onDevice, e.device)
	}
	fmt.Fprintf(&b, "; the others fail %d %%", 100*e.othersFailed/e.others)
	return b.String()
}
