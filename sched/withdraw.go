package sched

// Withdraw takes the task of a request out of the queue whose asker has gone
// away, without an answer. It reports false if the request does not wait: it
// was answered, and a lease that the answer brought is the caller's to release.
// It looks at the waiters of the session one by one.
func (s *State) Withdraw(now Time, from Session, request uint64, out *Outbox) bool {
	s.now = now
	sess := s.sessions[from]
	if sess == nil {
		return false
	}
	for e := sess.waiting; e != 0; {
		w := s.queue.at(e - 1)
		if w.request != request {
			e = w.later
			continue
		}
		s.log.waitEnded(waitClosed, w.size())
		s.leave(e - 1)
		s.finish(out)
		return true
	}
	return false
}
