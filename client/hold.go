package client

import (
	"fmt"
	"slices"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file keeps the leases of a call for many tasks alive until its caller has
// them, and makes sure that they are.

// hold keeps a lease for a caller that does not have it yet: neither its TTL nor
// StartWithin ends it meanwhile.
func (b *book) hold(l *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.holds++
}

// letGo ends a hold: the time to begin counts from now on.
func (b *book) letGo(l *Lease, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.holds--; l.holds == 0 && l.standing == held && l.ttl == 0 { // a TTL counts from its last renewal
		l.beginBy = now.Add(l.task.startWithin())
	}
}

// over returns why a lease can no longer be begun, nil if it can. A lease whose
// TTL has passed since its last renewal is given up; then its release must be
// sent.
func (b *book) over(l *Lease, now time.Time) (err error, release bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.standing == held && l.ttl > 0 && !now.Before(l.beginBy) {
		b.giveUpLocked(l, errTTL)
		return l.errLocked(), true
	}
	return l.errLocked(), false
}

// overdue reports whether the last renewal of a lease is so old that the
// scheduler may have given it up: this process was stopped, or had no time.
func (b *book) overdue(l *Lease, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.standing == held && l.ttl == 0 && now.Sub(l.due) > b.period
}

// renewable returns the leases that are held, and of these the ids of those that
// have used up a quarter of their TTL.
func (b *book) renewable(leases []*Lease, now time.Time) (left []*Lease, due []wire.LeaseID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left = slices.DeleteFunc(leases, func(l *Lease) bool { return l.standing != held })
	for _, l := range left {
		if l.beginBy.Sub(now) <= l.ttl-l.ttl/4 {
			due = append(due, l.id)
		}
	}
	return left, due
}

// renewedLocked takes in that the scheduler has kept a lease for another TTL; it
// was asked to at sent.
func (b *book) renewedLocked(l *Lease, sent time.Time) {
	switch by := sent.Add(l.ttl); {
	case l.ttl == 0:
		if due := time.Now().Add(b.period); l.next != nil && l.due.Before(sent) {
			l.unqueue()
			b.renewed.push(l, due)
		}
	case by.After(l.beginBy):
		l.beginBy = by
		l.expiry.Reset(time.Until(by))
	}
}

// shortestTTL returns the shortest TTL of tasks, 0 if none has one.
func shortestTTL(tasks []Task) (ttl time.Duration) {
	for i := range tasks {
		if t := tasks[i].TTL; t > 0 && (ttl == 0 || t < ttl) {
			ttl = t
		}
	}
	return ttl
}

// keep renews the leases with a TTL until the call ends.
func (e *each) keep(ttl time.Duration) {
	tick := time.NewTicker(max(ttl/6, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-e.life.Done():
			return
		}
		now := time.Now()
		e.mu.Lock()
		var due []wire.LeaseID
		e.kept, due = e.client.book.renewable(e.kept, now)
		e.mu.Unlock()
		conn := e.client.conn.Load()
		if conn == nil {
			continue // what does not live until the next connection is found out before it is delivered
		}
		for ids := range slices.Chunk(due, wire.MaxBatch) {
			_ = conn.Start(e.life, &wire.Renew{Leases: ids}, func(m wire.Message, _ error) {
				if a, ok := m.(*wire.Renewed); ok {
					_ = e.client.book.answered(ids, a.Leases, now) // of another length: nothing is renewed
				}
			})
		}
	}
}

// stale reports whether a lease may be over though the book does not say so: it
// was granted on an earlier connection, perhaps by an earlier life of the
// scheduler, or its renewal is overdue.
func (e *each) stale(s *settled) bool {
	l := e.results[s.task].Lease
	return l != nil && (s.on == nil || s.on != e.client.conn.Load() || s.on.Err() != nil || e.client.book.overdue(l, time.Now()))
}

// confirm asks the scheduler for everything that is ready. What it does not
// answer for is given up.
func (e *each) confirm() {
	for part := range slices.Chunk(e.ready, wire.MaxBatch) {
		var ids []wire.LeaseID
		for i := range part {
			if l := e.results[part[i].task].Lease; l != nil {
				ids = append(ids, l.id)
				part[i].on = e.client.conn.Load()
			}
		}
		if len(ids) == 0 {
			continue
		}
		sent := time.Now()
		_, err := e.client.ask(e.ctx, "renew", &wire.Renew{Leases: ids}, func(m wire.Message) error {
			a, ok := m.(*wire.Renewed)
			if !ok {
				return unexpected(m)
			}
			return e.client.book.answered(ids, a.Leases, sent)
		})
		if err == nil {
			continue
		}
		for _, s := range part {
			if l := e.results[s.task].Lease; l != nil && e.client.book.giveUp(l, fmt.Errorf("no scheduler answered whether it lives: %w", err)) {
				e.client.sendRelease(l)
			}
		}
	}
}
