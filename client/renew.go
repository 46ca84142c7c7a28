package client

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the part of the book that keeps leases alive.

// setPeriod sets how often leases are renewed: a third of what the scheduler
// lets them live. Everything held is due at once, since it may have waited for
// the connection.
func (b *book) setPeriod(startTTL time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.period = max(startTTL/3, time.Millisecond)
	for l := b.root.next; l != &b.root; l = l.next {
		l.due = now
	}
}

// due returns at most limit leases to renew now, appended to ids, and those that
// must be given up. Renewed ones move to the end of the ring.
func (b *book) due(now time.Time, limit int, ids []wire.LeaseID) (renew []wire.LeaseID, late []*Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range limit {
		l := b.root.next
		if l == &b.root || l.due.After(now) {
			break
		}
		b.unqueueLocked(l)
		if now.After(l.beginBy) {
			late = append(late, l)
			b.giveUpLocked(l, errStartWithin)
			continue
		}
		b.queueLocked(l, now)
		ids = append(ids, l.id)
	}
	return ids, late
}

// renewed takes the answer to a renewal.
func (b *book) renewed(ids []wire.LeaseID, answers []wire.LeaseStatus) error {
	if len(ids) != len(answers) {
		return fmt.Errorf("dtask: a renewal of %d leases was answered for %d", len(ids), len(answers))
	}
	b.mu.Lock()
	defer b.unlock()
	for i, id := range ids {
		if l := b.leases[id]; l != nil && l.standing == held {
			b.statusLocked(l, answers[i])
		}
	}
	return nil
}

// statusLocked takes what the scheduler says about one held lease.
func (b *book) statusLocked(l *Lease, s wire.LeaseStatus) {
	switch {
	case s.State == wire.StateBegun:
		b.dropLocked(l, begun, nil)
	case s.State == wire.StateNone:
		b.dropLocked(l, lost, errForgotten)
	case s.State == wire.StateEnded && (s.Reason == wire.ReasonOK || s.Reason == wire.ReasonFailed || s.Reason == wire.ReasonBelieved):
		b.dropLocked(l, ended, nil)
	case s.State == wire.StateEnded:
		b.dropLocked(l, lost, refused("lease", &wire.Error{Code: wire.CodeAlreadyEnded, Message: "it ended: " + s.Reason.String()}))
	case s.State == wire.StateAskedBack && !l.handed:
		b.loseLocked(l, errAskedBack)
	}
	// Granted and assumed leases live on. Of one asked back that was handed
	// over, the next renewal tells what its worker decided.
}
