package client

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the part of the book that follows leases beyond their begin,
// because their tasks may be requeued, or a caller waits for the notice of a
// preemption. The scheduler reports how such a lease ends. It may not
// reach this client, so the client also asks, on each new connection and from
// time to time.

const (
	// followPeriod is how often the client asks what became of such a lease.
	followPeriod = 30 * time.Second
	// maxMissing is how often in a row the scheduler may not know one before the
	// client gives it up: the worker of a lease that runs comes back within
	// seconds to a scheduler that was started anew, and names it.
	maxMissing = 5
)

// follow is what a client knows of a lease that it follows. It is guarded by
// book.mu, but for the channels.
type follow struct {
	preempted chan struct{} // closed at the notice
	over      chan struct{} // closed when nothing more is to be learned
	told      bool          // preempted is closed
	ended     bool          // over is closed
	requeued  bool          // the task waits again
	again     bool          // the task is to be asked for again
	cause     error         // why it is not
	killAt    time.Time     // the end of the grace
	next      *Lease        // that the task got after this one
	missing   int
}

func newFollow() *follow {
	return &follow{preempted: make(chan struct{}), over: make(chan struct{})}
}

// end says that nothing more is to be learned of a lease; cause is why its task
// is not asked for again.
func (f *follow) end(again bool, cause error) {
	f.ended, f.again, f.cause = true, again, cause
	close(f.over)
}

// goOnLocked follows a lease that the client no longer keeps, as long as there
// is something to learn of it: it runs, or its worker decides, or it runs on a
// worker that has not come back yet.
func (b *book) goOnLocked(l *Lease) {
	f := l.follow
	if f == nil || f.ended {
		return
	}
	open := l.standing == begun || l.standing == lost && (l.cause == errAskedBack || l.handed && l.cause == errForgotten)
	switch {
	case b.closed:
		f.end(false, ErrClosed)
		return
	case !open:
		f.end(false, l.errLocked())
		return
	}
	b.leases[l.id] = l
	b.follows.push(l, time.Now().Add(followPeriod))
}

// endFollowLocked gives up what is followed.
func (b *book) endFollowLocked(l *Lease, cause error) {
	if f := l.follow; f != nil && !f.ended {
		f.end(false, cause)
		if l.standing != held { // else it has a place of its own in the book
			l.unqueue()
			delete(b.leases, l.id)
		}
	}
}

// followedLocked takes what the scheduler says about a lease that is followed.
func (b *book) followedLocked(l *Lease, s wire.LeaseStatus) {
	switch f := l.follow; s.State {
	case wire.StateEnded:
		b.endedLocked(l, s.Reason, false)
	case wire.StateNone:
		if f.missing++; f.missing >= maxMissing {
			b.endFollowLocked(l, fmt.Errorf("%w: %w", ErrLost, errForgotten))
		}
	default:
		f.missing = 0
	}
}

// learnLocked notes how a lease ended, and whether its task waits again.
func (l *Lease) learnLocked(reason wire.Reason, requeued bool) {
	f := l.follow
	if f == nil {
		return
	}
	f.requeued = f.requeued || requeued
	if !f.ended {
		f.end(l.goesRound(reason), &EndedError{Reason: reason})
	}
}

// endedLocked takes in that a lease has ended, and whether its task waits again.
func (b *book) endedLocked(l *Lease, reason wire.Reason, requeued bool) {
	l.learnLocked(reason, requeued)
	switch {
	case l.standing == releasing: // the answer to the release says the same
	case l.standing != held:
		l.unqueue()
		delete(b.leases, l.id)
		if l.standing == begun {
			l.standing = ended
		}
	case hasRun(reason):
		b.dropLocked(l, ended, nil)
	default:
		b.dropLocked(l, lost, refused("lease", &wire.Error{Code: wire.CodeAlreadyEnded, Message: "it ended: " + reason.String()}))
	}
}

// goesRound reports whether the task of a lease that has ended is to be asked
// for again: it was requeued, or would have been, had its client been there.
func (l *Lease) goesRound(reason wire.Reason) bool {
	f := l.follow
	switch {
	case l.task.OnPreempt != OnPreemptRequeue:
		return false
	case f.requeued, reason == wire.ReasonPreempted:
		return true
	}
	return f.told && !hasRun(reason) && reason != wire.ReasonReleased
}

// hasRun reports whether a lease that ended for this reason had begun, and its
// worker said how it went.
func hasRun(r wire.Reason) bool {
	switch r {
	case wire.ReasonOK, wire.ReasonFailed, wire.ReasonBelieved, wire.ReasonPreempted:
		return true
	}
	return false
}

// pushed takes what the scheduler sends unasked. It runs on the connection's
// reader.
func (c *Client) pushed(m wire.Message) {
	n, ok := m.(*wire.Notice)
	if !ok {
		return
	}
	if n.News == wire.NewsPreempted {
		c.log.Warn("dtask: a task is preempted", "lease", n.Lease, "task", n.Task, "grace", time.Duration(n.GraceMS)*time.Millisecond)
	} else {
		c.log.Info("dtask: a task is over that could be requeued", "lease", n.Lease, "task", n.Task, "reason", n.Reason, "news", n.News)
	}
	c.book.noticed(n, time.Now())
}

// noticed takes a notice. One about a lease that is not followed is ignored.
func (b *book) noticed(n *wire.Notice, now time.Time) {
	b.mu.Lock()
	defer b.unlock()
	l := b.leases[n.Lease]
	if l == nil {
		return
	}
	if n.News != wire.NewsPreempted {
		b.endedLocked(l, n.Reason, n.News == wire.NewsRequeued)
		return
	}
	if f := b.followLocked(l); !f.told {
		f.told, f.killAt = true, now.Add(time.Duration(n.GraceMS)*time.Millisecond)
		close(f.preempted)
	}
}

// followLocked follows a lease from now on, unless the book is full: then
// nothing is heard of it.
func (b *book) followLocked(l *Lease) *follow {
	if l.follow != nil {
		return l.follow
	}
	l.follow = newFollow()
	if l.standing != held && l.standing != releasing && len(b.leases) < MaxHeld {
		b.goOnLocked(l)
	}
	return l.follow
}

// preemptedSignal returns the channel of Lease.Preempted.
func (b *book) preemptedSignal(l *Lease) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.followLocked(l).preempted
}

// graceOf is Lease.Grace.
func (b *book) graceOf(l *Lease) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.follow == nil || !l.follow.told || l.follow.ended {
		return 0
	}
	return max(time.Until(l.follow.killAt), 0)
}
