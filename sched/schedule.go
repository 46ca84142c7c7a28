package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// The refusals that need no details. They are shared and never changed.
var refusals = map[wire.Code]*wire.Error{
	wire.CodeUnavailable: {Code: wire.CodeUnavailable, Message: "no available worker matching requirements"},
	wire.CodeInfeasible:  {Code: wire.CodeInfeasible, Message: "no known worker has what the task requires"},
	wire.CodeConflict:    {Code: wire.CodeConflict, Field: "task", Message: "the task id is in use with other content"},
	wire.CodeLeaseLimit:  {Code: wire.CodeLeaseLimit, Message: "too many leases are alive"},
	wire.CodeBadRequest:  {Code: wire.CodeBadRequest, Field: "key", Limit: maxKey, Message: "the idempotency key is too long"},
}

func (s *State) schedule(now Time, sess *session, from Session, request uint64, m *wire.Schedule, out *Outbox) {
	it := out.next(from, request, wire.KindPlaced)
	if code := s.place(now, sess, m, &it.Placed); code != wire.CodeOK {
		it.Kind, it.Other = wire.KindError, refusals[code]
	}
}

func (s *State) batch(now Time, sess *session, from Session, request uint64, m *wire.Batch, out *Outbox) {
	all := &wire.PlacedAll{Results: make([]wire.BatchResult, len(m.Tasks))}
	for i := range m.Tasks {
		r := &all.Results[i]
		r.Code = s.place(now, sess, &m.Tasks[i], &r.Placed)
	}
	out.put(from, request, all)
}

// place finds room for a task, takes it, and describes the lease in p. Choosing
// and taking are one step.
func (s *State) place(now Time, sess *session, m *wire.Schedule, p *wire.Placed) wire.Code {
	client, key := sess.client, m.Task
	if len(m.Key) > 0 {
		client, key = httpClient, m.Key
	}
	if len(m.Key) > maxKey {
		return wire.CodeBadRequest
	}
	req := s.requirement(m.Tags)
	content := contentOf(req, m)
	var hash uint32
	if client != noClient {
		hash = keyHash(s.clients.list[client].hash, key)
		if slot, ok := s.findKey(client, hash, key); ok {
			return s.repeat(now, slot, content, p)
		}
	}
	if s.leases.live >= s.cfg.MaxLeases {
		return wire.CodeLeaseLimit
	}
	n, code := s.choose(now, req)
	if code != wire.CodeOK {
		return code
	}
	slot := s.grant(now, n, client, m, content)
	if client != noClient {
		s.leases.slots.at(slot).keyHash = hash
		s.addKey(slot)
	}
	s.describe(slot, p)
	return wire.CodeOK
}

// repeat answers a task that holds a lease already. Its client speaks, so a
// granted lease is kept for another TTL.
func (s *State) repeat(now Time, slot int32, content uint64, p *wire.Placed) wire.Code {
	l := s.leases.slots.at(slot)
	if l.content != 0 && l.content != content {
		return wire.CodeConflict
	}
	s.count.repeated++
	s.keep(now, slot)
	s.describe(slot, p)
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
func (s *State) describe(slot int32, p *wire.Placed) {
	l := s.leases.slots.at(slot)
	w := s.workers.at(l.worker)
	*p = wire.Placed{Lease: l.id, Target: w.target, Incarnation: w.incarnation, TTLMS: l.ttl}
	if l.state == wire.StateAssumed {
		p.Flags = wire.PlacedBestEffort
	}
}

// choose returns the least loaded worker that has the tags and room. A worker
// whose silence nobody noticed yet is not given anything.
func (s *State) choose(now Time, req *index.Requirement) (int32, wire.Code) {
	for {
		n, ok := s.index.Least(req)
		if !ok {
			break
		}
		w := s.workers.at(int32(n))
		if now < w.seen+s.quiet(w) {
			return int32(n), wire.CodeOK
		}
		s.setPresence(int32(n), suspicious)
		s.timers.set(int32(n), w.seen+s.goneAfter(w))
	}
	if !s.feasible(req) {
		s.count.infeasible++
		return 0, wire.CodeInfeasible
	}
	s.count.unavailable++
	return 0, wire.CodeUnavailable
}

// feasible reports whether a known worker, busy or silent as it may be, has
// the tags and runs tasks at all.
func (s *State) feasible(req *index.Requirement) bool {
	if s.count.slotless == 0 {
		return s.index.AnyMatch(req)
	}
	for it := s.index.Matching(req).Iterator(); it.HasNext(); {
		if s.workers.at(int32(it.Next())).slots > 0 {
			return true
		}
	}
	return false
}

// noTags is the raw form of an empty list of tags.
var noTags = []byte{0x90}

// requirement returns the index's form of a raw list of tags. The same bytes
// find it again without being decoded.
func (s *State) requirement(raw []byte) *index.Requirement {
	if len(raw) == 0 {
		raw = noTags
	}
	if r := s.index.Lookup(raw); r != nil {
		return r
	}
	var tags []string
	wire.EachTag(raw, func(tag []byte) bool {
		tags = append(tags, string(tag))
		return true
	})
	return s.index.Intern(raw, tags)
}

// contentOf hashes what a task asks for, in whatever encoding and order. It is
// never 0, which stands for content that is not known.
func contentOf(req *index.Requirement, m *wire.Schedule) uint64 {
	h := mix(req.Hash()^uint64(uint32(m.Priority)), hashK1)
	h = hashBytes(h, m.Owner)
	h = hashBytes(h, m.Group)
	if len(m.Resources) > 0 {
		var sum uint64
		wire.EachResource(m.Resources, func(name []byte, amount int64) bool {
			sum += hashBytes(uint64(amount), name)
			return true
		})
		h = mix(h^sum, hashK2)
	}
	return h | 1
}

// keep gives a granted lease another TTL.
func (s *State) keep(now Time, slot int32) {
	if l := s.leases.slots.at(slot); l.state == wire.StateGranted {
		s.expiry.set(slot, now+Time(l.ttl))
	}
}

func (s *State) renew(now Time, from Session, request uint64, m *wire.Renew, out *Outbox) {
	r := &wire.Renewed{Leases: make([]wire.LeaseStatus, len(m.Leases))}
	for i, id := range m.Leases {
		if slot, ok := s.leases.find(id); ok {
			s.keep(now, slot)
			r.Leases[i].State = s.leases.slots.at(slot).state
		} else if reason, ok := s.leases.past(id, s.cfg.Instance); ok {
			r.Leases[i] = wire.LeaseStatus{State: wire.StateEnded, Reason: reason}
		}
	}
	out.put(from, request, r)
}

func (s *State) release(from Session, request uint64, m *wire.Release, out *Outbox) {
	r := wire.Released{Code: wire.CodeNotFound}
	if slot, ok := s.leases.find(m.Lease); ok {
		r.Code = s.releaseLive(slot, m.Handed, out)
	} else if reason, ok := s.leases.past(m.Lease, s.cfg.Instance); ok {
		r = wire.Released{Code: wire.CodeAlreadyEnded, Reason: reason}
	}
	out.next(from, request, wire.KindReleased).Released = r
}

// releaseLive gives a lease back that its client no longer wants. If a begin
// may be on its way to the worker, only the worker can say what became of it.
func (s *State) releaseLive(slot int32, handed bool, out *Outbox) wire.Code {
	l := s.leases.slots.at(slot)
	switch {
	case l.state == wire.StateBegun:
		return wire.CodeBegun
	case handed && l.state == wire.StateAskedBack:
		return wire.CodeAskedBack
	case handed && l.state == wire.StateGranted:
		s.askBack(slot, out)
		return wire.CodeAskedBack
	}
	s.end(slot, wire.ReasonReleased)
	return wire.CodeOK
}
