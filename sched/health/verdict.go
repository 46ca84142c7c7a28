package health

import "github.com/dtask/dtask-scheduler/ds"

// Report counts an outcome, or decides a probe.
func (d *Detector) Report(now ds.Time, o *Outcome) Verdict {
	m := d.workers.At(o.Worker)
	r := d.records.At(m.record)
	if r.phase != inService {
		if r.probe == o.Task {
			return d.endProbe(now, m, o)
		}
		return Verdict{} // what ran there before the ejection says nothing new
	}
	var dropped bool
	d.count(m, -1)
	m.window, dropped = m.window.add(o.Failed)
	d.count(m, 1)
	if dropped {
		d.dropFailures(r, 1)
	}
	switch {
	case o.Failed:
		if m.record == 0 {
			m.record = d.newRecord(o.Worker, o.ID)
			r = d.records.At(m.record)
		}
		d.addFailure(r, failure{o.Tenant, o.Devices})
		d.timers.Set(m.record, max(now+d.cfg.Memory, r.forgiven))
	case d.Failing():
		d.succeed(o.Tenant)
	}
	if dropped && len(r.failures) == 0 && r.backoff == 0 {
		d.drop(m.record)
	}
	return Verdict{}
}

// Failing reports whether a tenant has a failure in some window. While it has not,
// successes need no tenant.
func (d *Detector) Failing() bool { return len(d.tenants) > 0 }

// count adds the window of a worker to the totals, or with -1 takes it out.
func (d *Detector) count(m *member, by int) {
	d.outcomes += by * m.window.outcomes()
	d.failures += by * m.window.failures()
}

// Judge ejects a worker that has just failed a task, if it is an outlier. online is
// the number of workers online; elsewhere returns the number of tasks that run on
// other workers, and is called only if that decides.
func (d *Detector) Judge(now ds.Time, worker int32, online int, elsewhere func() int) Verdict {
	m := d.workers.At(worker)
	r := d.records.At(m.record)
	if r.phase != inService || m.window.failures() < d.cfg.Failures {
		return Verdict{}
	}
	e := d.weigh(m, r)
	if e.failed < d.cfg.Failures || e.tenants < d.cfg.Owners {
		return Verdict{}
	}
	if d.weighOthers(&e, m, elsewhere()); !e.outlier(d.cfg.Failures) || !d.mayEject(online) {
		return Verdict{}
	}
	return d.eject(now, m, e.String())
}

// mayEject reports whether the fleet can do without one more worker.
func (d *Detector) mayEject(online int) bool {
	return online >= minFleet && len(d.byID) <= 2*d.cfg.MaxWorkers && (d.ejected == 0 || 100*(d.ejected+1) <= d.cfg.Share*online)
}

// eject closes a worker for a while, a longer one each time.
func (d *Detector) eject(now ds.Time, m *member, reason string) Verdict {
	d.clearWindow(m)
	r := d.records.At(m.record)
	if r.phase == inService {
		d.ejected++
		if now >= r.forgiven {
			r.backoff = 0
		}
	}
	r.backoff = min(max(2*r.backoff, d.cfg.First), d.cfg.Most)
	r.phase, r.probe, r.reason, r.since = ejected, noProbe, reason, now
	d.timers.Set(m.record, now+r.backoff)
	d.ejections++
	return r.verdict(Ejected)
}

// Placed notes that a task was placed on a worker, and returns what else may be: a
// worker on probation gets one task.
func (d *Detector) Placed(worker, task int32) Admission {
	r := d.records.At(d.workers.At(worker).record)
	if r.phase == onProbation {
		r.probe = task
	}
	return r.admission()
}

// Ended notes that a task is over, after its outcome was reported. If it was a probe
// whose outcome says nothing, another one may come. It reports whether that is so.
func (d *Detector) Ended(worker, task int32) bool {
	r := d.records.At(d.workers.At(worker).record)
	if r.phase != onProbation || r.probe != task {
		return false
	}
	r.probe = noProbe
	return true
}

// endProbe decides by the outcome of a probe.
func (d *Detector) endProbe(now ds.Time, m *member, o *Outcome) Verdict {
	reason := "its probe ended as " + o.How
	if o.Failed {
		return d.eject(now, m, reason)
	}
	r := d.records.At(m.record)
	d.ejected--
	r.phase, r.probe, r.reason, r.forgiven = inService, noProbe, reason, now+forgiveAfter*r.backoff
	d.timers.Set(m.record, r.forgiven)
	return r.verdict(Reinstated)
}

// Advance handles up to budget timers that are due, hands their verdicts to apply,
// and returns what is left of the budget.
func (d *Detector) Advance(now ds.Time, budget int, apply func(Verdict)) int {
	return d.timers.Advance(now, budget, func(k int32) {
		r := d.records.At(k)
		switch {
		case r.phase == ejected:
			if r.phase = onProbation; r.worker != gone {
				apply(r.verdict(Probing))
			} else {
				d.awaitReturn(now, k)
			}
		case r.worker != gone:
			d.Pardon(r.worker)
		default:
			d.drop(k)
		}
	})
}

// Next returns when Advance must be called.
func (d *Detector) Next() ds.Time { return d.timers.Next() }

// awaitReturn drops the record of a worker that is gone, and would be on probation,
// after a while.
func (d *Detector) awaitReturn(now ds.Time, k int32) {
	d.timers.Set(k, now+forgiveAfter*d.records.At(k).backoff)
}
