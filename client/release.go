package client

import (
	"context"
	"errors"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Release gives a lease back whose task has not begun; it is never handed over
// afterwards. It is repeated over reconnects until it is answered, also after
// the context has ended; the context only bounds the wait for the answer.
//
// nil means that the room is free. ErrAskedBack means that the lease had been
// handed over, so its worker was asked: the room returns with the answer,
// unless the task has begun. ErrBegun means that the task runs, and nothing has
// changed. ErrAlreadyEnded and ErrNotFound say that there was nothing to
// release. Releasing a lost lease returns Lease.Err.
func (c *Client) Release(ctx context.Context, l *Lease) error {
	if l.book != c.book {
		return errForeign
	}
	settled, send, err := c.book.release(l)
	if err != nil {
		return err
	}
	if send {
		c.sendRelease(l)
	}
	select {
	case <-settled:
		return c.book.outcome(l)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ReleaseAll gives many leases back at once, under the rules of Release. The
// error joins those of leases that still take room: ErrBegun, or that of the
// context if it ended first. Of a lease that was handed over its worker was
// asked, and the room returns with the answer.
func (c *Client) ReleaseAll(ctx context.Context, leases []*Lease) error {
	var failed []error
	for part := range slices.Chunk(leases, wire.MaxBatch) {
		under := make([]<-chan struct{}, len(part))
		for i, l := range part {
			if l.book != c.book {
				failed = append(failed, errForeign)
				continue
			}
			settled, send, err := c.book.release(l)
			if errors.Is(err, ErrClosed) {
				return errors.Join(append(failed, err)...)
			}
			under[i] = settled // nil: there is nothing to release
			if send {
				c.sendRelease(l)
			}
		}
		for i, l := range part {
			if under[i] == nil {
				continue
			}
			select {
			case <-under[i]:
			case <-ctx.Done():
				return errors.Join(append(failed, ctx.Err())...)
			}
			switch err := c.book.outcome(l); {
			case err == nil, errors.Is(err, ErrAskedBack), errors.Is(err, ErrAlreadyEnded), errors.Is(err, ErrNotFound):
			default:
				failed = append(failed, err)
			}
		}
	}
	return errors.Join(failed...)
}

// ReleaseID gives back a lease of which only the id is known, for example one
// that another program asked for. handed says that a begin of it may have been
// sent to its worker: the lease is then asked back instead of ended. The answers
// are those of Release. It is sent again on the next connection if this one
// ends, but only until the context does.
//
// A lease that this client holds is released as by Release.
func (c *Client) ReleaseID(ctx context.Context, id wire.LeaseID, handed bool) error {
	if l := c.book.find(id, handed); l != nil {
		return c.Release(ctx, l)
	}
	var answer wire.Released
	sends, err := c.ask(ctx, "release "+id.String(), &wire.Release{Lease: id, Handed: handed}, func(m wire.Message) error {
		a, ok := m.(*wire.Released)
		if !ok {
			return unexpected(m)
		}
		answer = *a
		return nil
	})
	if err != nil {
		return err
	}
	again := sends > 1 && answer.Reason == wire.ReasonReleased
	if answer.Code == wire.CodeOK || answer.Code == wire.CodeAlreadyEnded && again {
		return nil
	}
	return refusedRelease(id, id.String(), &answer)
}

// find returns a lease that is held or on its way back, and marks it as handed
// over if it was.
func (b *book) find(id wire.LeaseID, handed bool) *Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.leases[id]
	if l == nil || l.standing != held && l.standing != releasing {
		return nil
	}
	l.handed = l.handed || handed
	return l
}

// sendRelease sends the release of a lease on the present connection. Without
// one nothing is lost: the next connection sends all that were not answered.
func (c *Client) sendRelease(l *Lease) {
	conn := c.conn.Load()
	if conn == nil {
		return
	}
	m := c.book.releaseOf(l)
	done := func(answer wire.Message, err error) {
		if a, ok := answer.(*wire.Released); ok {
			c.book.settle(l, a)
		} else if e, ok := err.(*wire.Error); ok {
			c.book.settle(l, &wire.Released{Code: e.Code})
		}
	}
	if err := conn.Go(m, done); errors.Is(err, ErrFull) {
		// A connection that fails meanwhile is followed by one that sends it again.
		go func() { _ = conn.Start(c.life, m, done) }()
	}
}

// release moves a lease towards its end. send is false if a release is on its
// way already; an error says why there is nothing to release.
func (b *book) release(l *Lease) (settled <-chan struct{}, send bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch l.standing {
	case releasing:
		if !l.abandoned {
			return l.settled, false, nil
		}
		return nil, false, l.errLocked()
	case released, lost:
		return nil, false, l.errLocked()
	}
	if b.closed {
		return nil, false, ErrClosed
	}
	b.startReleaseLocked(l)
	return l.settled, true, nil
}

// startReleaseLocked marks a lease as on its way back.
func (b *book) startReleaseLocked(l *Lease) {
	l.unqueue()
	if l.expiry != nil {
		l.expiry.Stop()
	}
	b.leases[l.id] = l
	l.standing, l.sends = releasing, 0
	l.settled = make(chan struct{})
}

// giveUpLocked starts the release of a lease that its holder did not release.
// One that was handed over is lost only when the scheduler does not answer that
// it has begun.
func (b *book) giveUpLocked(l *Lease, cause error) {
	b.startReleaseLocked(l)
	l.abandoned, l.cause = true, cause
	if !l.handed {
		l.signalLocked()
	}
}

// giveUp is giveUpLocked for one lease; it reports false if the lease has moved
// on.
func (b *book) giveUp(l *Lease, cause error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.standing != held {
		return false
	}
	b.giveUpLocked(l, cause)
	return true
}

// releaseOf returns the message that releases a lease. A lease that was there
// before this client asked may have been handed over by an earlier life of the
// program, or before this one forgot it; then only its worker can tell.
func (b *book) releaseOf(l *Lease) *wire.Release {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.sends++
	return &wire.Release{Lease: l.id, Handed: l.handed || l.flags.Repeat()}
}

// settle takes the answer to a release. A second answer, to a release that was
// repeated, changes nothing.
func (b *book) settle(l *Lease, m *wire.Released) {
	b.mu.Lock()
	defer b.unlock()
	if l.standing != releasing {
		return
	}
	again := l.sends > 1 && m.Reason == wire.ReasonReleased
	switch {
	case m.Code == wire.CodeOK, m.Code == wire.CodeAlreadyEnded && again:
		b.settleLocked(l, released, nil)
	case m.Code == wire.CodeBegun:
		b.settleLocked(l, begun, refusedRelease(l.id, l.task.ID, m))
	case m.Code == wire.CodeAlreadyEnded:
		l.learnLocked(m.Reason, false)
		b.settleLocked(l, ended, refusedRelease(l.id, l.task.ID, m))
	default:
		b.settleLocked(l, released, refusedRelease(l.id, l.task.ID, m))
	}
	if m.Code == wire.CodeAskedBack {
		b.shunLocked(l)
	}
}

// settleLocked ends a release. A lease that its holder did not release is lost
// unless its task has begun.
func (b *book) settleLocked(l *Lease, to standing, answer error) {
	cause := l.cause
	if l.abandoned && to != begun {
		to = lost
	}
	b.dropLocked(l, to, cause)
	l.abandoned, l.answer = false, answer
	close(l.settled)
}

// outcome returns what the last release of a lease came to.
func (b *book) outcome(l *Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.answer
}

func refusedRelease(id wire.LeaseID, of string, m *wire.Released) error {
	text := "the lease " + id.String()
	switch m.Code {
	case wire.CodeBegun:
		text += " has begun: its worker ends it"
	case wire.CodeAskedBack:
		text += " was asked back: its worker decides"
	case wire.CodeAlreadyEnded:
		text += " has ended before: " + m.Reason.String()
	case wire.CodeNotFound:
		text += " is not known to the scheduler"
	default:
		text += " was not released"
	}
	return refused("release "+of, &wire.Error{Code: m.Code, Message: text})
}

// unanswered returns the leases whose release has no answer.
func (b *book) unanswered() (all []*Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.leases {
		if l.standing == releasing {
			all = append(all, l)
		}
	}
	return all
}
