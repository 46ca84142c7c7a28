package server

import (
	"sync"
	"time"
)

// meterCopies keeps what each event loop had counted when it last answered, so
// that no counter goes back while a loop is stuck.
type meterCopies struct {
	mu sync.Mutex // guards by
	by map[*loop]*meter
}

// put copies the meter of a loop. It runs on the loop.
func (c *meterCopies) put(l *loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[l] == nil {
		c.by[l] = new(meter)
	}
	*c.by[l] = l.meter.meter
}

// sum adds the copies up.
func (c *meterCopies) sum() *meter {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := new(meter)
	for _, m := range c.by {
		all.merge(m)
	}
	return all
}

// sharedMeter is the meter of the HTTP gateway, whose requests have goroutines
// of their own.
type sharedMeter struct {
	mu sync.Mutex // guards m
	m  meter
}

func (s *sharedMeter) count(r request, took time.Duration) {
	s.mu.Lock()
	s.m.count(r, 1, took, bucketOf(took))
	s.mu.Unlock()
}

// read returns a copy.
func (s *sharedMeter) read() *meter {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.m
	return &m
}
