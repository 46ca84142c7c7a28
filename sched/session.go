package sched

import (
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// maxLinks bounds the registrations of one connection.
const maxLinks = 4096

// session is one connection that has said hello.
type session struct {
	links   []link // by handle
	client  int32
	waiting int32 // its waiters, the latest first; slot + 1
}

// link is one registration of a worker through a session. It is the worker's
// present one as long as the worker names the session and the handle.
type link struct {
	worker      int32
	id          string
	incarnation uint64
}

// caller is the session and the request behind the message that is handled, and
// where the answers go.
type caller struct {
	sess    *session
	from    Session
	request uint64
	out     *Outbox
}

// reply appends an answer that is not one of the frequent kinds.
func (c *caller) reply(m wire.Message) { c.out.put(c.from, c.request, m) }

// next appends an empty answer and returns it.
func (c *caller) next(k wire.Kind) *Item { return c.out.next(c.from, c.request, k) }

// hello opens a session.
func (s *State) hello(c *caller, m wire.Message) {
	h, ok := m.(*wire.Hello)
	if !ok {
		c.reply(&wire.Error{Code: wire.CodeProtocol, Message: "the first message must be hello"})
		return
	}
	sess := &session{client: noClient}
	if h.Role == wire.RoleClient {
		if sess.client = s.clients.hold([]byte(h.Client)); sess.client != noClient { // an agent asks for nothing
			s.clients.list[sess.client].session = c.from
		}
	}
	s.sessions[c.from] = sess
	c.reply(&wire.HelloOK{
		Version:     min(h.MaxVersion, wire.Version),
		Server:      s.cfg.Version,
		Grantor:     s.Grantor(),
		HeartbeatMS: uint32(s.cfg.Heartbeat),
		StartTTLMS:  uint32(s.cfg.StartTTL),
		Limits:      s.limits,
	})
}

// limits is what HelloOK reports.
var limits = map[string]uint64{
	"frame":         wire.MaxFrame,
	"id":            wire.MaxID,
	"address":       wire.MaxAddress,
	"tag":           wire.MaxTag,
	"worker_tags":   wire.MaxWorkerTags,
	"task_tags":     wire.MaxTaskTags,
	"resources":     wire.MaxResources,
	"selector":      wire.MaxSelector,
	"not_workers":   wire.MaxNotWorkers,
	"devices":       wire.MaxDevices,
	"batch":         wire.MaxBatch,
	"worker_leases": wire.MaxWorkerLeases,
	"page":          wire.MaxPage,
	"ttl_ms":        wire.MaxTTL,
	"wait_ms":       wire.MaxWait,
	"priority":      wire.MaxPriority,

	"wait_for_workers": wire.MaxWait,
}

// limitsOf returns limits with what the configuration sets.
func limitsOf(cfg *Config) map[string]uint64 {
	all := maps.Clone(limits)
	all["grace_ms"] = uint64(cfg.PreemptGrace)
	return all
}

// latest is the session that spoke last. Frames come in batches, so it is often the
// next one as well, and then costs no look into the map.
type latest struct {
	id   Session
	sess *session // nil: none
}

// session returns a session, nil if it is not known.
func (s *State) session(id Session) *session {
	if l := &s.latest; l.sess == nil || l.id != id {
		l.id, l.sess = id, s.sessions[id]
	}
	return s.latest.sess
}

// Close forgets a session whose connection is gone. Workers registered through
// it become suspicious at once; the leases of its client live on.
func (s *State) Close(now Time, id Session, out *Outbox) {
	s.now = now
	sess := s.sessions[id]
	if sess == nil || id == 0 {
		return
	}
	if len(sess.links) > 0 {
		s.closings = append(s.closings, closing{id: id, links: sess.links})
		s.disconnect(closeLinks)
	}
	if c := &s.clients.list[sess.client]; c.session == id {
		c.session = 0
	}
	s.clients.drop(sess.client)
	delete(s.sessions, id)
	s.latest = latest{}
	if sess.waiting != 0 {
		s.queue.closed = append(s.queue.closed, sess.waiting)
		s.disperse(pulseBudget, out)
	}
	s.finish(out)
}

// closeLinks bounds the registrations that the close of a connection ends at once.
// The pulses behind it, which are due at once, end the others.
const closeLinks = 512

// closing is a connection that is gone, with the registrations that have not ended
// yet.
type closing struct {
	id    Session
	links []link
	ended int // of links, the first
}

// disconnect ends registrations of connections that are gone, as many as the budget
// allows, and returns what is left of it.
func (s *State) disconnect(budget int) int {
	for ; budget > 0 && len(s.closings) > 0; budget-- {
		c := &s.closings[0]
		h, n := c.ended, c.links[c.ended].worker
		c.ended++
		s.spend(workerWork)
		if w := s.workers.At(n); w.session == c.id && w.handle == uint32(h) {
			s.stopJoining(n)
			w.session, w.promised = 0, false
			if w.presence == online {
				s.setPresence(n, suspicious)
			}
			s.updateEligible(n)
		}
		if c.ended == len(c.links) {
			s.closings = slices.Delete(s.closings, 0, 1)
		}
	}
	return budget
}

// connect makes this session the worker's present connection.
func (s *State) connect(n int32, sess *session, from Session) {
	w := s.workers.At(n)
	k := link{worker: n, id: w.id, incarnation: w.incarnation}
	w.promised, w.unconfirmed = false, true
	if w.session == from {
		sess.links[w.handle] = k
		return
	}
	w.session, w.handle = from, uint32(len(sess.links))
	sess.links = append(sess.links, k)
}

// reporter finds the worker that a report speaks for. A report that is late,
// repeated or of another incarnation changes nothing; the last is told so.
func (s *State) reporter(c *caller, handle, seq uint32) (int32, bool) {
	if int(handle) >= len(c.sess.links) {
		c.reply(notRegistered)
		return 0, false
	}
	k := &c.sess.links[handle]
	w := s.workers.At(k.worker)
	if w.session != c.from || w.handle != handle {
		if cur, ok := s.byID[k.id]; !ok || s.workers.At(cur).incarnation != k.incarnation {
			s.tellSuperseded(c, c.request, k.id, k.incarnation)
		} else { // it comes late, or somebody else registered the worker since
			c.reply(notRegistered)
		}
		s.log.stale++
		return 0, false
	}
	if seq <= w.seq {
		s.log.stale++
		return 0, false
	}
	w.seq = seq
	s.heard(k.worker)
	return k.worker, true
}

var notRegistered = &wire.Error{Code: wire.CodeNotRegistered, Field: "handle",
	Message: "no worker is registered on this connection under this handle"}

func (s *State) tellSuperseded(c *caller, request uint64, worker string, incarnation uint64) {
	s.log.superseded++
	c.out.put(c.from, request, &wire.Superseded{Worker: worker, Incarnation: incarnation})
}
