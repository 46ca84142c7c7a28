package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/sched/health"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the life of a lease: every change of its state, and with it of
// the room on its worker, happens here.

// grant makes a lease on a worker that has room, and takes the room.
func (s *State) grant(n int32, client int32, r *request, devices uint64) int32 {
	m := r.m
	slot := s.leases.take()
	l := s.leases.slots.At(slot)
	l.id = s.leases.next(slot, l, s.Grantor())
	l.reason, l.flags = wire.ReasonNone, 0
	w := s.workers.At(n)
	if w.http == nil { // else nobody could tell it to make room
		l.flags = preemptFlags(m.OnPreempt, m.Priority)
	}
	if m.Exclusive {
		l.flags |= leaseExclusive
	}
	l.write(m.Task, m.Owner, m.Group, m.Key, devices)
	l.demand = r.demand
	s.demands.hold(l.demand)
	l.content, l.granted, l.worker, l.client, l.priority = r.content, s.now, n, client, m.Priority
	s.clients.holdAgain(client)
	if l.flags&leaseRequeue != 0 {
		s.keepRequest(slot, m)
	}

	l.state = wire.StateGranted
	l.ttl = m.TTLMS
	if l.ttl == 0 {
		l.ttl = uint32(s.cfg.StartTTL)
	}
	if w.http != nil {
		l.state, l.ttl = wire.StateAssumed, httpForgetAfter
	}
	s.expiry.Set(slot, s.now+Time(l.ttl))
	s.attach(slot, l, w)
	s.index.Give(index.Worker(n), w.load(), s.room(w)...)
	if w.admits == health.Probe {
		s.startProbe(slot)
	}
	s.log.granted++
	return slot
}

// attach puts a lease into its worker's list and takes its room.
func (s *State) attach(slot int32, l *lease, w *worker) {
	l.prev, l.next = w.tail, 0
	if w.tail != 0 {
		s.leases.slots.At(w.tail - 1).next = slot + 1
	} else {
		w.head = slot + 1
	}
	w.tail = slot + 1
	if w.parity {
		l.flags |= leaseParity
	}
	s.book(w, l, 1)
}

// detach takes a lease out of its worker's list and gives its room back.
func (s *State) detach(slot int32, l *lease, w *worker) {
	if l.prev != 0 {
		s.leases.slots.At(l.prev - 1).next = l.next
	} else {
		w.head = l.next
	}
	if l.next != 0 {
		s.leases.slots.At(l.next - 1).prev = l.prev
	} else {
		w.tail = l.prev
	}
	if w.joining || s.emptying.next == slot+1 {
		s.stepOver(w, slot, l)
	}
	s.book(w, l, -1)
}

// book counts a lease for its worker, its owner and the fleet, or with -1 counts it
// no more.
func (s *State) book(w *worker, l *lease, by int) {
	before := w.takenSlots()
	s.occupy(w, l, by)
	if w.presence == online {
		s.count.used += int64(w.takenSlots()) - int64(before)
	}
	s.countPreemptible(w, l, by)
	if s.queue.list.MaxLeases() > 0 {
		s.queue.list.CountLease(l.owner(), by)
	}
	s.leases.states[l.state] += by
}

// setState moves a live lease on.
func (s *State) setState(l *lease, to wire.State) {
	s.leases.states[l.state]--
	l.state = to
	s.leases.states[to]++
}

// askBack stops believing in a granted lease's client: its worker decides.
// The room returns with the worker's answer, never on a timer.
func (s *State) askBack(slot int32, out *Outbox) {
	l := s.leases.slots.At(slot)
	s.expiry.Remove(slot)
	s.setState(l, wire.StateAskedBack)
	s.log.revokes++
	s.note(eventRevoked, s.workers.At(l.worker).id).lease = l.id
	s.pushRevoke(l, out)
}

// pushRevoke tells the lease's worker, if it is connected, that the lease is
// asked back. After each registration the push is repeated.
func (s *State) pushRevoke(l *lease, out *Outbox) {
	w := s.workers.At(l.worker)
	if !w.isConnected() {
		return
	}
	out.next(w.session, 0, wire.KindRevoke).Revoke = wire.Revoke{Handle: w.handle, Lease: l.id}
}

// begin hands a live lease to its worker: only its report ends it from here.
func (s *State) begin(slot int32) {
	l := s.leases.slots.At(slot)
	if l.state != wire.StateBegun {
		s.expiry.Remove(slot)
		s.setState(l, wire.StateBegun)
		s.workers.At(l.worker).digest ^= l.id.Digest()
		if s.mustEmpty(s.workers.At(l.worker)) {
			l.flags |= leasePreempted
		}
		if l.flags&leasePreempted != 0 {
			s.warnSoon(slot)
		}
	}
}

// end ends a live lease, once, and gives its room back.
func (s *State) end(slot int32, reason wire.Reason) {
	s.spend(leaseWork)
	l := s.leases.slots.At(slot)
	w := s.workers.At(l.worker)
	s.expiry.Remove(slot)
	s.dropKey(slot, l)
	if w.admits == health.Closed {
		s.endProbe(slot)
	}
	s.detach(slot, l, w)
	s.queue.applyLimit(l.owner())
	s.reindex(l.worker)
	if l.state == wire.StateBegun {
		w.digest ^= l.id.Digest()
	}
	s.queue.shaken = s.queue.shaken || l.flags&leasePreempted != 0
	if l.flags&leaseOrphan == 0 {
		s.log.ends[reason]++
		s.remember(l, reason)
	}
	if l.flags&leaseRequeue != 0 {
		s.requeueOr(slot, reason)
	}
	s.clients.drop(l.client)
	if l.flags&leaseAdopted != 0 {
		s.leases.leave(slot)
		reason = wire.ReasonNone // how that one ended is forgotten
	}
	s.demands.drop(l.demand)
	l.state, l.reason, l.flags, l.demand = wire.StateEnded, reason, 0, noDemand
	s.leases.give(slot)
}

// undo takes a grant back that nobody was told of, as if it had never been
// made: stamp is the worker's give stamp from before it.
func (s *State) undo(slot int32, stamp uint32) {
	l := s.leases.slots.At(slot)
	w := s.workers.At(l.worker)
	s.expiry.Remove(slot)
	s.dropKey(slot, l)
	s.detach(slot, l, w)
	delete(s.requests, slot)
	s.index.Ungive(index.Worker(l.worker), w.load(), stamp, s.room(w)...)
	s.undoProbe(slot)
	s.clients.drop(l.client)
	s.demands.drop(l.demand)
	l.state, l.reason, l.flags, l.demand = wire.StateEnded, wire.ReasonReleased, 0, noDemand
	s.leases.putBack(slot)
	s.log.granted--
}

// isAhead reports whether a lease bears the name of this instance, and was not granted
// yet.
func (s *State) isAhead(id wire.LeaseID) bool {
	return id.Instance == s.cfg.Instance && s.leases.isAhead(id)
}

// adopt believes a worker's report that the task of a lease runs. A lease that
// the table does not know is rebuilt from the record.
func (s *State) adopt(n int32, r *wire.Record) {
	if slot, ok := s.leases.findOn(r.Lease, n); ok {
		s.begin(slot)
		return
	}
	_, rival := s.leases.find(r.Lease)
	ahead := s.isAhead(r.Lease)
	if ahead && s.leases.ahead >= claimsAhead {
		return // others came between the turns of its registration
	}
	slot := s.leases.take()
	s.leases.enter(slot, r.Lease, n, rival, ahead)
	l := s.leases.slots.At(slot)
	l.reason, l.flags = wire.ReasonNone, leaseAdopted|preemptFlags(r.OnPreempt, r.Priority)
	if r.Exclusive {
		l.flags |= leaseExclusive
	}
	l.write(r.Task, r.Owner, r.Group, nil, r.Devices)
	l.demand = s.demands.find(r.Resources)
	s.demands.hold(l.demand)
	l.granted, l.worker, l.priority, l.ttl = s.now, n, r.Priority, 0
	l.client, l.content = s.clients.hold(r.Client), 0
	l.state = wire.StateBegun
	w := s.workers.At(n)
	w.digest ^= l.id.Digest()
	if s.mustEmpty(w) {
		l.flags |= leasePreempted
		s.warnSoon(slot)
	}
	s.attach(slot, l, w)
	s.queue.applyLimit(l.owner())
	s.reindex(n)
	s.log.adopted++
	if rival || r.Lease.Instance == s.cfg.Instance {
		// It ended here already, or lives elsewhere. It takes room until its
		// worker ends it, but no second end is counted, and a repeat of its task
		// is not answered with it.
		l.flags |= leaseOrphan
		return
	}
	l.keyHash = keyHash(s.clients.list[l.client].hash, l.key())
	if _, taken := s.findKey(l.client, l.keyHash, l.key()); !taken && l.client != noClient {
		s.addKey(slot, l)
		if waiter, ok := s.waitingFor(l.client, l.key()); ok {
			s.queue.found = append(s.queue.found, waiter) // it runs already
		}
	}
}
