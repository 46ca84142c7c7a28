package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Times of the keeper.
const (
	// firstBackoff and lastBackoff bound the waits between attempts to connect;
	// each wait is drawn from zero to the bound, which doubles.
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// silence is how long a scheduler may owe an answer, and send nothing at
	// all, before it is pinged; after twice that the connection is given up.
	silence = 5 * time.Second
	// ticks is how often the keeper looks within one renewal period.
	ticks = 8
)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: handshakeTimeout, KeepAliveConfig: keepAlive}
	return d.DialContext(ctx, "tcp", address)
}

// connect tries every address once, starting at first. It returns the index of
// the one that answered.
func (c *Client) connect(ctx context.Context, first int) (*Conn, int, error) {
	var failed []error
	for i := range c.addrs {
		at := (first + i) % len(c.addrs)
		nc, err := c.dial(ctx, c.addrs[at])
		if err == nil {
			var conn *Conn
			if conn, err = NewConn(ctx, nc, &c.hello, c.pushed); err == nil {
				return conn, at, nil
			}
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		failed = append(failed, fmt.Errorf("dtask: connecting to %s: %w", c.addrs[at], err))
	}
	return nil, 0, errors.Join(failed...)
}

// keep renews leases while there is a connection and replaces it when it ends,
// until Close.
func (c *Client) keep(conn *Conn, at int) {
	defer close(c.done)
	bound := firstBackoff
	for {
		since := time.Now()
		c.serve(conn)
		c.detach(conn)
		if c.life.Err() != nil {
			c.book.close()
			return
		}
		c.log.Warn("dtask: the connection is lost", "address", c.addrs[at], "err", conn.Err())
		if time.Since(since) > lastBackoff {
			bound = firstBackoff
		}
		if conn, at, bound = c.reconnect(at, bound); conn == nil {
			c.book.close()
			return
		}
		c.attach(conn, at)
	}
}

// reconnect waits and tries, until it has a connection or the client closes. A
// connection that does not last does not shorten the waits.
func (c *Client) reconnect(at int, bound time.Duration) (*Conn, int, time.Duration) {
	for {
		select {
		case <-time.After(rand.N(bound)):
		case <-c.life.Done():
			return nil, at, bound
		}
		bound = min(2*bound, lastBackoff)
		// The next address goes first: the last one has just failed.
		conn, next, err := c.connect(c.life, at+1)
		if err == nil {
			c.failure = ""
			return conn, next, bound
		}
		if c.life.Err() == nil {
			c.tellFailure(err)
		}
	}
}

// tellFailure logs that no scheduler answers, once for each reason until one does.
func (c *Client) tellFailure(err error) {
	reason := wire.WithoutLocalEnds(err.Error())
	if reason != c.failure {
		c.log.Warn("dtask: no scheduler answers", "err", err)
	}
	c.failure = reason
}

// serve renews leases and watches for silence until the connection is gone.
func (c *Client) serve(conn *Conn) {
	welcome := conn.Welcome()
	period := max(time.Duration(welcome.StartTTLMS)*time.Millisecond/3, time.Millisecond)
	tick := time.NewTicker(max(period/ticks, time.Millisecond))
	defer tick.Stop()
	w := watch{conn: conn, heard: time.Now()}
	for {
		select {
		case <-conn.Gone():
			return
		case <-c.life.Done():
			conn.Close()
			return
		case now := <-tick.C:
			c.renewDue(conn, now)
			w.look(now)
		}
	}
}

// renewDue sends the renewals that are due, asks after what is followed, and
// releases what must be given up.
func (c *Client) renewDue(conn *Conn, now time.Time) {
	for {
		ids, late := c.book.due(now, wire.MaxBatch, nil)
		for _, l := range late {
			c.sendRelease(l)
		}
		if len(ids) == 0 {
			if len(late) == 0 {
				return
			}
			continue
		}
		err := conn.Start(c.life, &wire.Renew{Leases: ids}, func(m wire.Message, _ error) {
			answer, ok := m.(*wire.Renewed)
			if !ok {
				return // the next connection renews everything
			}
			if err := c.book.answered(ids, answer.Leases, now); err != nil {
				conn.Abort(err)
			}
		})
		if err != nil {
			return
		}
	}
}

// watch finds a connection whose other end says nothing although it owes an
// answer.
type watch struct {
	conn  *Conn
	reads uint64
	heard time.Time // when something last came in, or nothing was owed
	asked bool      // a ping was sent since
}

func (w *watch) look(now time.Time) {
	reads, owed := w.conn.progress()
	if reads != w.reads || !owed {
		w.reads, w.heard, w.asked = reads, now, false
		return
	}
	switch quiet := now.Sub(w.heard); {
	case quiet > 2*silence:
		w.conn.Abort(fmt.Errorf("the scheduler sent nothing for %v", quiet.Round(time.Second)))
	case quiet > silence && !w.asked:
		w.asked = true
		_ = w.conn.Go(&wire.Ping{}, func(wire.Message, error) {}) // what comes in is seen by reads
	}
}
