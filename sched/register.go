package sched

import (
	"slices"
	"strconv"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// register applies a registration: it decides whether the incarnation speaks
// for the worker, believes its list of leases, and names the grantor that the
// agent must promise before it gets anything. What is left when the turn is over it
// returns, for joinOn.
func (s *State) register(c *caller, m *wire.Register) *joining {
	n, known := s.numberOf(m.Worker)
	if s.isVoid(m, n, known) {
		s.tellSuperseded(c, c.request, m.Worker, m.Incarnation)
		return nil
	}
	if known && s.workers.At(n).incarnation == m.Incarnation && m.Seq <= s.workers.At(n).seq {
		// Late, from an old connection that nobody reads, or somebody else has used
		// greater numbers: then the agent comes back under a new incarnation.
		if s.workers.At(n).session != c.from {
			s.tellSuperseded(c, c.request, m.Worker, m.Incarnation)
		}
		s.log.stale++
		return nil
	}
	if s.outOfReach(m.Promised) {
		s.refuseEpoch(c, m)
		return nil
	}
	if err := s.checkRegistration(m, c.sess); err != nil {
		c.reply(err)
		return nil
	}
	if known {
		if err := s.contestID(s.workers.At(n), m); err != nil {
			c.reply(err)
			return nil
		}
	}
	gone, err := s.contest(m)
	if err != nil {
		c.reply(err)
		return nil
	}
	if !s.clearWay(m.Worker) {
		return &joining{}
	}
	if !known {
		if n, err = s.newWorker(m.Worker); err != nil {
			c.reply(err)
			return nil
		}
	}
	if err := s.setOffer(n, m.Address, m.Tags, string(wire.AppendResources(nil, m.Resources)), m.Devices); err != nil {
		if !known {
			s.forget(n)
		}
		c.reply(err)
		return nil
	}
	if !known {
		s.note(eventJoined, s.workers.At(n).id)
	}
	s.giveWay(gone, m.Worker)
	s.riseAbove(m.Promised)
	j := &joining{started: true, worker: n, fresh: s.succeed(n, m)}
	s.connect(n, c.sess, c.from)
	s.updateEligible(n)
	if s.join(j, c, m) {
		return nil
	}
	s.suspend(j, m)
	return j
}

// isVoid reports whether a registration is of an incarnation that a newer one
// superseded, or that was removed. One that promised this very instance and is
// not the present one was known before.
func (s *State) isVoid(m *wire.Register, n int32, known bool) bool {
	if known {
		w := s.workers.At(n)
		if m.Incarnation == w.incarnation {
			return false
		}
		if w.superseded != nil {
			for _, i := range w.superseded {
				if i == m.Incarnation {
					return true
				}
			}
		}
	}
	return m.Promised.Instance == s.cfg.Instance
}

// checkRegistration checks the limits that a registration could break.
func (s *State) checkRegistration(m *wire.Register, sess *session) *wire.Error {
	problem := wire.AddressProblem(m.Address)
	switch {
	case problem != "":
		return &wire.Error{Code: wire.CodeBadRequest, Field: "address",
			Message: "the address " + strconv.Quote(m.Address) + " " + problem + "; a worker registers the host:port where clients reach it, such as node7.example.com:9000"}
	case len(sess.links) >= maxLinks:
		return &wire.Error{Code: wire.CodeBusy, Field: "worker", Limit: maxLinks,
			Message: "too many registrations on this connection"}
	case !s.leases.hasRoom(&s.cfg, len(m.Leases)):
		return &wire.Error{Code: wire.CodeLeaseLimit, Field: "leases", Limit: uint64(s.cfg.MaxLeases),
			Message: "too many leases are alive"}
	case s.leases.ahead+s.claimsAhead(m) > claimsAhead:
		return neverGranted
	case hasName(m.Resources, capacity.GPUMem), len(m.Devices) > 0 && hasName(m.Resources, capacity.GPU):
		return &wire.Error{Code: wire.CodeBadRequest, Field: "resources",
			Message: "gpu and gpu_mem are counted by device: a worker lists its devices instead"}
	}
	return nil
}

// neverGranted refuses claims of leases that cannot be.
var neverGranted = &wire.Error{Code: wire.CodeBadRequest, Field: "leases", Limit: claimsAhead,
	Message: "the worker claims leases that this scheduler has never granted, and too many such claims are there"}

// claimsAhead counts the leases that a registration claims anew although they were not
// granted yet.
func (s *State) claimsAhead(m *wire.Register) (claims int) {
	n, known := s.numberOf(m.Worker)
	for i := range m.Leases {
		if r := &m.Leases[i]; r.Outcome == wire.ReasonNone && s.isAhead(r.Lease) {
			if _, claimed := s.leases.findOn(r.Lease, n); !claimed || !known {
				claims++
			}
		}
	}
	return claims
}

func hasName(resources map[string]int64, name string) bool {
	_, ok := resources[name]
	return ok
}

// outOfReach reports whether a worker promised what no honest one can have:
// an epoch that this instance never had, or one of another instance that this
// scheduler could follow only with an epoch beyond the limit.
func (s *State) outOfReach(p wire.Grantor) bool {
	switch p.Instance {
	case 0:
		return false
	case s.cfg.Instance:
		return p.Epoch > s.epoch
	}
	return p.Epoch >= wire.MaxEpoch
}

// refuseEpoch answers a registration whose promise is out of reach. Were it
// followed, one damaged worker could use up the epochs of all later
// schedulers. Its agent is told that the incarnation is void before it is told
// why: with a new one, which promises nothing, it comes back by itself.
func (s *State) refuseEpoch(c *caller, m *wire.Register) {
	s.log.epochsRefused++
	s.tellSuperseded(c, 0, m.Worker, m.Incarnation)
	c.reply(&wire.Error{Code: wire.CodeBadRequest, Field: "epoch", Limit: wire.MaxEpoch,
		Message: "the promised epoch " + strconv.FormatUint(uint64(m.Promised.Epoch), 10) +
			" is out of reach: register again under a new incarnation, which promises nothing"})
}

// riseAbove makes this scheduler's epoch larger than any that a worker
// promised to another instance, so that its grants win.
func (s *State) riseAbove(p wire.Grantor) {
	if p.Instance == s.cfg.Instance || p.Instance == 0 {
		return
	}
	p.Epoch++
	if p.Epoch <= s.epoch {
		return
	}
	if s.grantedBefore != s.log.granted { // else no lease bears the present epoch
		s.grantedBefore = s.log.granted
		s.formerEpochs = append(s.formerEpochs, s.epoch)
		s.formerEpochs = s.formerEpochs[max(0, len(s.formerEpochs)-maxFormerEpochs):]
	}
	s.epoch = p.Epoch
}

// maxFormerEpochs is how many epochs of its own a scheduler remembers beside
// the present one. A lease of one before them is not known any more.
const maxFormerEpochs = 64

// past reports whether a lease that is not alive was granted here and has
// ended, and how if that is still remembered.
func (s *State) past(id wire.LeaseID) (wire.Reason, bool) {
	if id.Instance != s.cfg.Instance || id.Epoch != s.epoch && !slices.Contains(s.formerEpochs, id.Epoch) {
		return 0, false
	}
	return s.leases.past(id)
}

// succeed puts the incarnation that registers in the place of the one before, or of
// itself. It reports whether it is a fresh one.
func (s *State) succeed(n int32, m *wire.Register) (fresh bool) {
	w := s.workers.At(n)
	fresh = w.incarnation != m.Incarnation
	if fresh && w.incarnation != 0 {
		if w.superseded == nil {
			w.superseded = new([supersededMemory]uint64)
		}
		copy(w.superseded[1:], w.superseded[:])
		w.superseded[0] = w.incarnation
		s.note(eventSuperseded, w.id)
	}
	if fresh {
		w.machine, w.since = m.Machine, s.now // and not later: who forges an incarnation must not lock its owner out
		w.beatSeq = 0
		if w.cordon != nil && w.cordon.own {
			s.liftCordon(w.id, "its agent was restarted", w.id)
		}
	}
	if w.beatSeq > m.Beats && w.beatSeq-m.Beats > wire.BeatSkip && m.Beats != 0 {
		w.beatSeq = m.Beats // of datagrams that it never sent
	}
	w.differs = 0
	s.dropText(w)
	w.incarnation, w.seq = m.Incarnation, m.Seq
	s.speaksHTTP(w, nil)
	return fresh
}

// promise makes a worker eligible: what it began under an older grantor has
// been reported before this message.
func (s *State) promise(c *caller, m *wire.Promised) {
	if int(m.Handle) >= len(c.sess.links) {
		s.reporter(c, m.Handle, 0)
		return
	}
	n := c.sess.links[m.Handle].worker
	w := s.workers.At(n)
	if w.session != c.from || w.handle != m.Handle {
		s.reporter(c, m.Handle, 0)
		return
	}
	if m.Grantor.Instance != s.cfg.Instance || m.Grantor.Epoch > s.epoch {
		c.reply(&wire.Error{Code: wire.CodeBadRequest, Field: "epoch",
			Message: "the promise names another scheduler"})
		return
	}
	w.promised = true
	s.heard(n)
	s.updateEligible(n)
}

func (s *State) heartbeat(c *caller, m *wire.Heartbeat) {
	n, ok := s.reporter(c, m.Handle, m.Seq)
	if !ok {
		s.log.beat(OverTCP, lostBeat(c.sess, m.Handle))
		return
	}
	s.log.beat(OverTCP, BeatOK)
	s.measure(n, s.workers.At(n).slots, m.External)
}

func (s *State) begun(c *caller, m *wire.Begun) {
	n, ok := s.reporter(c, m.Handle, m.Seq)
	if !ok {
		return
	}
	if !s.leases.hasRoom(&s.cfg, 1) {
		if _, live := s.leases.findOn(m.Record.Lease, n); !live {
			c.reply(refusals[wire.CodeLeaseLimit])
			return
		}
	}
	if s.leases.ahead >= claimsAhead && s.isAhead(m.Record.Lease) {
		if _, live := s.leases.findOn(m.Record.Lease, n); !live {
			c.reply(neverGranted)
			return
		}
	}
	s.adopt(n, &m.Record)
}

// ended handles the report that a task is over, or was refused. It is
// acknowledged even if nothing was left to end, so that it is not repeated.
func (s *State) ended(c *caller, m *wire.End) {
	n, ok := s.reporter(c, m.Handle, m.Seq)
	if !ok {
		return
	}
	if slot, ok := s.leases.findOn(m.Lease, n); ok {
		before := s.log.history.Last()
		s.countOutcome(slot, m.Outcome, false)
		s.end(slot, s.leases.slots.At(slot).outcome(m.Outcome))
		s.endedByWorker(before)
	}
	c.reply(endedAnswer)
}

var endedAnswer = &wire.Ended{}

// revoked handles the worker's proof that a lease that was asked back never
// began and never will.
func (s *State) revoked(c *caller, m *wire.Revoked) {
	n, ok := s.reporter(c, m.Handle, m.Seq)
	if !ok {
		return
	}
	if slot, ok := s.leases.findOn(m.Lease, n); ok && s.leases.slots.At(slot).state == wire.StateAskedBack {
		s.end(slot, wire.ReasonRevoked)
	}
}

func (s *State) deregister(c *caller, m *wire.Deregister) {
	n, ok := s.reporter(c, m.Handle, m.Seq)
	if !ok {
		return
	}
	s.note(eventDeregistered, s.workers.At(n).id)
	s.remove(n)
	c.reply(&wire.Gone{})
}

// RemoveWorker removes a worker of either kind; its leases end as lost. It
// reports whether the worker was known.
func (s *State) RemoveWorker(now Time, id string, out *Outbox) bool {
	s.now = now
	n, ok := s.byID[id]
	if ok && !s.workers.At(n).leaving {
		s.note(eventRemoved, s.workers.At(n).id)
		s.remove(n)
		s.finish(out)
	}
	return ok
}
