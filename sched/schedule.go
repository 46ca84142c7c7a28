package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// searchRetry is after how many milliseconds a search that was given up is
// worth a repeat.
const searchRetry = 1000

// The refusals that need no details. They are shared and never changed.
var refusals = map[wire.Code]*wire.Error{
	wire.CodeUnavailable: {Code: wire.CodeUnavailable, Message: "the workers that could take it are busy or out of service"},
	wire.CodeInfeasible:  {Code: wire.CodeInfeasible, Message: wire.CodeInfeasible.Sentence()},
	wire.CodeConflict:    {Code: wire.CodeConflict, Field: "task", Message: wire.CodeConflict.Sentence()},
	wire.CodeSearchLimit: {Code: wire.CodeSearchLimit, Message: wire.CodeSearchLimit.Sentence(), Limit: index.VisitBudget, RetryAfterMS: searchRetry},
	wire.CodeLeaseLimit:  {Code: wire.CodeLeaseLimit, Message: wire.CodeLeaseLimit.Sentence()},
	wire.CodeBadRequest:  {Code: wire.CodeBadRequest, Field: "key", Limit: maxKey, Message: "the idempotency key is too long"},
}

// schedule answers a request for one task. It reports false if nothing was done
// because the turn is over.
func (s *State) schedule(c *caller, m *wire.Schedule) bool {
	if err := s.checkPreempt(c.sess, m, false); err != nil {
		c.reply(err)
		return true
	}
	one := s.queue.one[:]
	one[0] = wire.BatchResult{}
	switch _, err := s.admit(c, s.alone(c.sess, nil), s.bundled(m), one); err {
	case nil:
		c.next(wire.KindPlaced).Placed = one[0].Placed
	case nowWaiting:
	case notReady:
		return false
	default:
		c.reply(err)
	}
	return true
}

// bundled returns a task as a bundle. It is valid until the next call.
func (s *State) bundled(m *wire.Schedule) bundle {
	s.queue.task[0] = *m
	return bundle{tasks: s.queue.task[:]}
}

// place finds room for a task, takes it, and describes the lease in p. Choosing
// and taking are one step.
func (s *State) place(a *admission, m *wire.Schedule, p *wire.Placed) *wire.Error {
	if len(m.Key) > maxKey {
		return refusals[wire.CodeBadRequest]
	}
	r := &a.request
	if err := s.read(a, m); err != nil {
		return err
	}
	slot, held, client, hash := s.held(a.sess, m)
	if held {
		return refusals[s.repeat(slot, r.content, p)]
	}
	if !s.leases.hasRoom(&s.cfg, 1) {
		return refusals[wire.CodeLeaseLimit]
	}
	if s.queue.ownerAtLimit(m.Owner) {
		return s.overLimit(r)
	}
	n, devices, planned := int32(0), uint64(0), false
	if a.gang {
		n, devices, planned = s.chooseAgain(a)
	}
	if !planned {
		code := wire.CodeOK
		if n, devices, code = s.choose(r); code != wire.CodeOK {
			return s.refusal(code)
		}
	}
	stamp := s.index.Stamp(index.Worker(n))
	slot = s.grant(n, client, r, devices)
	l := s.leases.slots.At(slot)
	if client != noClient {
		l.keyHash = hash
		s.addKey(slot, l)
	}
	if a.batch {
		a.add(s, slot, stamp)
	}
	if !a.gang {
		if s.queue.list.Len() > 0 {
			s.countBypass(n)
		}
		s.queue.applyLimit(m.Owner)
	}
	s.describe(l, p)
	return nil
}

// clientOf returns the scope and the key by which a request is idempotent.
func clientOf(sess *session, m *wire.Schedule) (int32, []byte) {
	if len(m.Key) > 0 {
		return httpClient, m.Key
	}
	return sess.client, m.Task
}

// held returns the slot of the lease that the task of a request holds already,
// and the scope and hash of its key.
func (s *State) held(sess *session, m *wire.Schedule) (slot int32, ok bool, client int32, hash uint32) {
	client, key := clientOf(sess, m)
	if client == noClient {
		return 0, false, client, 0
	}
	hash = keyHash(s.clients.list[client].hash, key)
	slot, ok = s.findKey(client, hash, key)
	return slot, ok, client, hash
}

// repeat answers a task that holds a lease already. Its client speaks, so a
// granted lease is kept for another TTL.
func (s *State) repeat(slot int32, content uint64, p *wire.Placed) wire.Code {
	l := s.leases.slots.At(slot)
	if l.content != 0 && l.content != content {
		return wire.CodeConflict
	}
	s.log.repeated++
	s.keep(slot)
	s.describe(l, p)
	p.Flags |= wire.PlacedRepeat
	switch l.state {
	case wire.StateBegun:
		p.Flags |= wire.PlacedBegun
	case wire.StateAskedBack:
		p.Flags |= wire.PlacedAskedBack
	}
	return wire.CodeOK
}

// describe fills in the answer for a lease.
func (s *State) describe(l *lease, p *wire.Placed) {
	w := s.workers.At(l.worker)
	*p = wire.Placed{Lease: l.id, Target: w.target, Incarnation: w.incarnation, TTLMS: l.ttl, Devices: l.devices()}
	if l.state == wire.StateAssumed {
		p.Flags = wire.PlacedBestEffort
	}
}

// keep gives a granted lease another TTL.
func (s *State) keep(slot int32) {
	if l := s.leases.slots.At(slot); l.state == wire.StateGranted {
		s.expiry.Set(slot, s.now+Time(l.ttl))
	}
}

func (s *State) renew(c *caller, m *wire.Renew) {
	r := &wire.Renewed{Leases: make([]wire.LeaseStatus, len(m.Leases))}
	for i, id := range m.Leases {
		s.spend(lookWork)
		if slot, ok := s.leases.find(id); ok {
			s.keep(slot)
			r.Leases[i].State = s.leases.slots.At(slot).state
		} else if reason, ok := s.past(id); ok {
			r.Leases[i] = wire.LeaseStatus{State: wire.StateEnded, Reason: reason}
		}
	}
	c.reply(r)
}

func (s *State) release(c *caller, m *wire.Release) {
	r := wire.Released{Code: wire.CodeNotFound}
	if slot, ok := s.leases.find(m.Lease); ok {
		r.Code = s.releaseLive(slot, m.Handed, c.out)
	} else if reason, ok := s.past(m.Lease); ok {
		r = wire.Released{Code: wire.CodeAlreadyEnded, Reason: reason}
	}
	c.next(wire.KindReleased).Released = r
}

// releaseLive gives a lease back that its client no longer wants. If a begin
// may be on its way to the worker, only the worker can say what became of it.
func (s *State) releaseLive(slot int32, handed bool, out *Outbox) wire.Code {
	l := s.leases.slots.At(slot)
	switch {
	case l.state == wire.StateBegun:
		return wire.CodeBegun
	case handed && l.state == wire.StateAskedBack:
		s.waitNoMore(slot)
		return wire.CodeAskedBack
	case handed && l.state == wire.StateGranted:
		s.waitNoMore(slot)
		s.askBack(slot, out)
		return wire.CodeAskedBack
	}
	s.end(slot, wire.ReasonReleased)
	return wire.CodeOK
}
