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
	b.renewed.hurry(now)
	b.follows.hurry(now)
}

// due returns at most limit leases to renew or to look after now, appended to
// ids, and those that must be given up. The former move to the end of their ring.
func (b *book) due(now time.Time, limit int, ids []wire.LeaseID) (renew []wire.LeaseID, late []*Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range limit {
		l := b.renewed.first()
		if l == nil || l.due.After(now) {
			break
		}
		l.unqueue()
		if now.After(l.beginBy) && l.holds == 0 {
			late = append(late, l)
			b.giveUpLocked(l, errStartWithin)
			continue
		}
		b.renewed.push(l, now.Add(b.period))
		ids = append(ids, l.id)
	}
	for len(ids) < limit {
		l := b.follows.first()
		if l == nil || l.due.After(now) {
			break
		}
		l.unqueue()
		b.follows.push(l, now.Add(followPeriod))
		ids = append(ids, l.id)
	}
	return ids, late
}

// answered takes the answer to a renewal that was sent at a time.
func (b *book) answered(ids []wire.LeaseID, answers []wire.LeaseStatus, sent time.Time) error {
	if len(ids) != len(answers) {
		return fmt.Errorf("dtask: a renewal of %d leases was answered for %d", len(ids), len(answers))
	}
	b.mu.Lock()
	defer b.unlock()
	for i, id := range ids {
		switch l := b.leases[id]; {
		case l == nil:
		case l.standing == held:
			b.statusLocked(l, answers[i], sent)
		case l.standing != releasing && l.follow != nil:
			b.followedLocked(l, answers[i])
		}
	}
	return nil
}

// statusLocked takes what the scheduler says about one held lease.
func (b *book) statusLocked(l *Lease, s wire.LeaseStatus, sent time.Time) {
	switch {
	case s.State == wire.StateGranted:
		b.renewedLocked(l, sent)
	case s.State == wire.StateBegun:
		b.dropLocked(l, begun, nil)
	case s.State == wire.StateNone:
		b.dropLocked(l, lost, errForgotten)
	case s.State == wire.StateEnded:
		b.endedLocked(l, s.Reason, false)
	case s.State == wire.StateAskedBack && !l.handed:
		b.loseLocked(l, errAskedBack)
	}
	// Granted and assumed leases live on. Of one asked back that was handed
	// over, the next renewal tells what its worker decided.
}
