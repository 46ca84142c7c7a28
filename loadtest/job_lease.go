package loadtest

import (
	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// placed goes on with a lease, as the plan says.
func (j *job) placed(now int64, k *call, m *wire.Placed) {
	s := j.client.sh
	if k.step == stepSchedule {
		s.counts.Placed++
		s.counts.Kinds[j.need.kind].Placed++
		j.asked(now, k, true)
	} else {
		s.counts.Repeated++
	}
	id, _ := wire.ReadTarget(m.Target)
	s.run.judge.Granted(j.task, m.Lease, id, m.Incarnation, &j.need.need, m.Devices)
	j.yields(m)
	if j.handed && m.Lease == j.lease {
		j.over()
		return
	}
	if j.handed {
		j.plan = planRelease // the first lease has ended meanwhile
	}
	j.lease, j.granted, j.devices, j.handed = m.Lease, m.Incarnation, m.Devices, false
	j.at = s.run.byID[id]
	if j.at == nil {
		j.over()
		return
	}
	if guessed := m.Flags&wire.PlacedBestEffort != 0; guessed != (j.at.spec.over == HTTP) {
		s.run.judge.Broken(judge.Unexpected, "%v: the answer says best effort %v of %s, whose transport is %s", j.task, guessed, id, j.at.spec.over)
	}
	if k.step == stepRepeat && j.plan == planRepeat {
		j.handOver(now)
		return
	}
	j.follow(now, int64(m.TTLMS)*1e6)
}

// follow begins what the plan says. Nothing is kept waiting once the load is
// over.
func (j *job) follow(now, ttl int64) {
	s := j.client.sh
	switch {
	case j.plan == planRelease:
		j.giveBack(now)
	case j.plan == planRepeat:
		j.send(now, stepRepeat)
	case j.plan == planHold && s.loading:
		j.due = now + ttl/5 + s.rng.Int64N(ttl+1)
		j.rest(min(j.due, now+ttl/3))
	case j.plan == planLate && s.loading:
		j.due = now + ttl*6/5 + s.rng.Int64N(ttl*2+1)
		j.rest(j.due)
	default:
		j.handOver(now)
	}
}

// rest wakes the job at a time, or when the load is over.
func (j *job) rest(until int64) {
	s := j.client.sh
	s.sleeping[j] = struct{}{}
	s.loop.At(until, j, j.sleep)
}

// Ring implements poll.Alarm.
func (j *job) Ring(now int64, sleep uint64) {
	if sleep == j.sleep {
		j.wake(now)
	}
}

func (j *job) wake(now int64) {
	s := j.client.sh
	j.sleep++
	delete(s.sleeping, j)
	if j.plan == planHold && now < j.due && s.loading {
		s.counts.Renewals++
		j.send(now, stepRenew)
		return
	}
	j.handOver(now)
}

// renewed goes on with a lease that was kept. One that is being asked back is
// handed over all the same: its worker decides.
func (j *job) renewed(now int64, l wire.LeaseStatus) {
	s := j.client.sh
	s.run.judge.Told(j.lease, l.State)
	switch l.State {
	case wire.StateGranted, wire.StateAssumed:
		j.rest(min(j.due, now+j.client.ttl/3))
	case wire.StateAskedBack:
		j.handOver(now)
	default:
		s.run.judge.GivenUp(j.lease)
		j.over()
	}
}

// giveBack releases the lease.
func (j *job) giveBack(now int64) {
	s := j.client.sh
	if !j.handed {
		s.run.judge.GivenUp(j.lease)
	}
	s.counts.Releases++
	j.send(now, stepRelease)
}

func (j *job) released(m *wire.Released) {
	told := wire.StateNone
	switch m.Code {
	case wire.CodeBegun:
		told = wire.StateBegun
	case wire.CodeOK, wire.CodeAlreadyEnded:
		told = wire.StateEnded
	}
	j.client.sh.run.judge.Told(j.lease, told)
	j.over()
}

// handOver gives the lease to its worker, in place of the message that a real
// client sends there.
func (j *job) handOver(now int64) {
	first := !j.handed
	j.handed = true
	caller := j.client.name
	h := &wire.Handover{
		Lease: j.lease, Worker: j.at.spec.id, Address: j.at.spec.address, Incarnation: j.granted,
		Task: string(j.id), Client: caller, Resources: j.need.takes, Exclusive: j.need.need.Exclusive,
	}
	if j.owner != nil && !j.web {
		h.Owner, h.Priority, h.OnPreempt = string(j.owner), j.priority(), j.on
	}
	for i := range wire.MaxDevices {
		if j.devices>>i&1 != 0 {
			h.Devices = append(h.Devices, i)
		}
	}
	if j.web {
		h.Client = "" // the answer by HTTP names none
	}
	from, to := j.client.sh, j.at
	if to.sh == from {
		j.handedOver(now, first, to.link.begin(now, h, caller))
		return
	}
	to.sh.loop.Post(func() {
		err := to.link.begin(to.sh.loop.Now(), h, caller)
		from.loop.Post(func() { j.handedOver(from.loop.Now(), first, err) })
	})
}

// handedOver goes on with the worker's answer. Nothing is handed twice to a
// worker that speaks HTTP: it would run it twice.
func (j *job) handedOver(now int64, first bool, err error) {
	s := j.client.sh
	switch {
	case j.plan == planTwice && first && s.loading && j.at.spec.over != HTTP:
		j.rest(now + s.rng.Int64N(int64(twiceWithin)))
	case j.plan == planLost, err != nil:
		j.giveBack(now)
	case j.plan == planRepeat:
		j.send(now, stepRepeat)
	default:
		j.over()
	}
}
