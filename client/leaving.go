package client

import (
	"sync"
	"time"
)

// leaving counts the calls whose callers have gone away and whose answers are
// still to come.
type leaving struct {
	mu   sync.Mutex // Guards what follows.
	n    int
	idle chan struct{} // closed when n is 0; nil without a waiter for that
}

func (l *leaving) add() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
}

func (l *leaving) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n--; l.n == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// none returns a channel that is closed when no such call is left.
func (l *leaving) none() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return over
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	return l.idle
}

// linger waits until the leases of abandoned calls are given back, for
// at most lingerTimeout: what an abandoned call brings would take its room until
// its TTL is over.
func (c *Client) linger() {
	if c.conn.Load() == nil {
		return
	}
	timeout := time.NewTimer(lingerTimeout)
	defer timeout.Stop()
	select {
	case <-c.leaving.none():
	case <-timeout.C:
		return
	}
	for _, settled := range c.book.underWay() {
		select {
		case <-settled:
		case <-timeout.C:
			return
		}
	}
}

// underWay returns the signals of the releases that have no answer.
func (b *book) underWay() (all []<-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.leases {
		if l.standing == releasing {
			all = append(all, l.settled)
		}
	}
	return all
}
