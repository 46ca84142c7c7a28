package sched

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file reports how tasks end to the outlier detection, and applies its
// verdicts to workers. What they follow from is in package health.

// newHealth returns the outlier detection of an empty fleet.
func newHealth(c *Config) *health.Detector {
	return health.New(health.Config{
		First: c.QuarantineFirst, Most: c.QuarantineMost, Failures: c.QuarantineFailures, Owners: c.QuarantineOwners,
		Share: c.QuarantineShare, Memory: c.QuarantineMemory, MaxWorkers: c.MaxWorkers,
	})
}

// quarantined reports whether a worker is ejected or on probation.
func (w *worker) quarantined() bool { return w.admits != health.Open }

// takesMore reports whether more than one task may be placed on a worker, as far as
// its resources allow.
func (w *worker) takesMore() bool {
	return w.eligible && w.exclusive == 0 && w.admits != health.Probe
}

// tenantOf returns whose task a lease is: that of an owner and group or, if it names
// neither, of its client.
func (s *State) tenantOf(l *lease) uint64 {
	none := s.clients.list[noClient].hash
	switch {
	case l.ownerLen > 0 || l.groupLen > 0:
		return hashBytes(hashBytes(none, l.owner()), l.group())
	case l.client > httpClient:
		return s.clients.list[l.client].hash
	}
	return none
}

// leaseCarried marks a lease that the present incarnation of its worker took over
// from another: what was lost then was lost by a restart.
const leaseCarried = 1 << 15

// tellsOfWorker reports whether an outcome that a worker reports says something about
// the worker. fresh is a report of the registration of a new incarnation. Preemption
// says nothing, nor does a refusal before the begin, which is for lack of resources,
// nor what a restart of the agent lost.
func (l *lease) tellsOfWorker(outcome wire.Reason, fresh bool) bool {
	if l.flags&(leasePreempted|leaseOrphan) != 0 {
		return false
	}
	switch outcome {
	case wire.ReasonOK, wire.ReasonFailed:
		return true
	case wire.ReasonRefused:
		return l.state == wire.StateBegun
	case wire.ReasonLost:
		return !fresh && l.flags&leaseCarried == 0
	}
	return false
}

// countOutcome counts an outcome that a worker reports, before its lease ends. What
// fails while a large part of the fleet is silent may be the network.
func (s *State) countOutcome(slot int32, outcome wire.Reason, fresh bool) {
	l := s.leases.slots.At(slot)
	if !s.cfg.Quarantine || !l.tellsOfWorker(outcome, fresh) {
		return
	}
	w := s.workers.At(l.worker)
	o := health.Outcome{Worker: l.worker, ID: w.id, Task: slot, Failed: outcome != wire.ReasonOK, How: outcome.String(), Devices: l.devices()}
	if o.Failed || s.health.Failing() {
		o.Tenant = s.tenantOf(l)
	}
	s.applyVerdict(s.health.Report(s.now, &o))
	if o.Failed && w.cordon == nil && !s.mass.on {
		s.applyVerdict(s.health.Judge(s.now, l.worker, s.count.presence[online], func() int { return s.runsElsewhere(w) }))
	}
}

// runsElsewhere counts the tasks that run on other workers.
func (s *State) runsElsewhere(w *worker) int {
	n := s.leases.states[wire.StateBegun]
	for e := w.head; e != 0; {
		l := s.leases.slots.At(e - 1)
		if l.state == wire.StateBegun {
			n--
		}
		e = l.next
	}
	return n
}

// verdictEvents are the events of verdicts.
var verdictEvents = [...]string{health.Ejected: eventQuarantined, health.Probing: eventProbing, health.Reinstated: eventRecovered}

// applyVerdict changes what may be placed on a worker.
func (s *State) applyVerdict(v health.Verdict) {
	if v.Event == health.None {
		return
	}
	e := s.note(verdictEvents[v.Event], s.workers.At(v.Worker).id)
	e.reason, e.by = v.Reason, byScheduler
	s.setAdmission(v.Worker, v.Admission)
}

func (s *State) setAdmission(n int32, to health.Admission) {
	s.workers.At(n).admits = to
	s.updateEligible(n)
}

// startProbe notes that a lease was granted on a worker on probation, which gets no
// second one.
func (s *State) startProbe(slot int32) {
	n := s.leases.slots.At(slot).worker
	s.setAdmission(n, s.health.Placed(n, slot))
}

// endProbe notes that a lease ends on a worker that gets no other. If it was a probe
// whose outcome said nothing, another one may come.
func (s *State) endProbe(slot int32) {
	n := s.leases.slots.At(slot).worker
	if s.health.Ended(n, slot) {
		s.setAdmission(n, health.Probe)
	}
}

// undoProbe is endProbe for a grant that was not answered: it gives no waiter
// capacity that was not there before.
func (s *State) undoProbe(slot int32) {
	n := s.leases.slots.At(slot).worker
	w := s.workers.At(n)
	if w.admits == health.Closed && s.health.Ended(n, slot) {
		w.admits = health.Probe
		s.serviceOf(w)
		w.eligible = w.usable() && w.reserved == nil
		s.index.SetEligible(index.Worker(n), w.eligible, s.room(w)...)
	}
}

// pardon ends the quarantine of an id, because an operator decides about it or its
// worker reports no outcomes any more. The caller updates the index.
func (s *State) pardon(id string) {
	if n, known := s.byID[id]; known {
		s.health.Pardon(n)
		s.workers.At(n).admits = health.Open
	} else {
		s.health.PardonGone(id)
	}
}

// informOutcomes describes how the last tasks of a worker ended, and its quarantine.
func (s *State) informOutcomes(n int32, info *wire.WorkerInfo) {
	w, st := s.workers.At(n), s.health.Status(n)
	info.Recent, info.RecentFailed = uint32(st.Outcomes), uint32(st.Failures)
	if st.Failures > 0 {
		counts := s.health.DeviceFailures(n)
		for i := range info.Devices {
			info.Devices[i].Failed = counts[i]
		}
	}
	if st.Admission == health.Open {
		return
	}
	if w.cordon == nil {
		info.Flags = append(info.Flags, "cordoned")
		info.CordonReason, info.CordonBy, info.CordonMS = st.Reason, byScheduler, age(s.now, st.Since)
	}
	info.Flags = append(info.Flags, "quarantined")
	if st.OnProbation {
		info.Flags = append(info.Flags, "probing")
		return
	}
	info.ProbeMS = uint64(max(st.ProbeAt-s.now, 0))
}

// devicesChanged tells the outlier detection that a worker has other devices.
func (s *State) devicesChanged(n int32, old *kit) {
	if old != nil && !slices.Equal(old.devices, s.workers.At(n).kit.devices) {
		s.health.DevicesChanged(n)
	}
}

// checkHealth compares workers with the outlier detection: what may be placed on
// each, and that a probe is a lease of its worker (I4).
func (s *State) checkHealth() error {
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		if is := s.health.Status(n).Admission; is != w.admits {
			return fmt.Errorf("I4: worker %q has the admission %d, and %d by its outcomes", w.id, w.admits, is)
		}
		if slot, ok := s.health.Probe(n); ok {
			if l := s.leases.slots.At(slot); !l.live() || l.worker != n {
				return fmt.Errorf("I4: the probe of worker %q is the lease %v of worker %d", w.id, l.id, l.worker)
			}
		}
	}
	return s.health.Check()
}
