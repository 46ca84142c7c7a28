package loadtest

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/loadtest/poll"
	"github.com/dtask/dtask-scheduler/wire"
)

const (
	callBits = 20 // of a request id number the call's place, the rest counts its uses
	maxCalls = 1 << 16

	idlePause    = int64(time.Millisecond)     // of a closed loop while enough slots are taken
	refusedPause = int64(5 * time.Millisecond) // after a refusal
	watchPeriod  = int64(time.Second)          // between two looks for unanswered calls
)

// client is one client connection with the calls it has in flight.
type client struct {
	sh       *shard
	number   uint32
	name     string // the client id
	conn     *poll.Conn
	up       bool // the connection is past hello
	ttl      int64
	grace    uint64 // of preempted tasks, in milliseconds; 0 if the scheduler knows of none
	follows  map[wire.LeaseID]follower
	failures int
	life     uint64
	calls    []call
	free     []int32
	busy     int    // calls in flight
	loading  int    // schedule requests in flight that keep a closed loop going
	idle     bool   // a timer will look whether slots are free
	next     uint64 // number of the next task
}

// call is one request in flight.
type call struct {
	job      *job // nil for a call of the run itself
	gang     *gang
	done     func(m wire.Message)
	request  wire.Message // of a call without job
	step     step
	uses     uint64
	intended int64 // when it should have been sent
	sent     int64 // on the present connection
	busy     bool
}

func newClient(s *shard, number int) *client {
	return &client{sh: s, number: uint32(number), name: fmt.Sprintf("loadtest-%x-%d", s.run.cfg.Seed, number), follows: make(map[wire.LeaseID]follower)}
}

// What a client's timers mean.
const (
	clientConnect uint64 = iota
	clientWatch
	clientPump   // the number of the connection does not matter
	clientResume // nor here
)

// Ring implements poll.Alarm.
func (c *client) Ring(now int64, what uint64) {
	switch kind := what & (1<<timerBits - 1); {
	case kind == clientPump:
		c.idle = false
		c.pump(now)
	case kind == clientResume:
		c.loading--
		c.pump(now)
	case what>>timerBits != c.life:
	case kind == clientConnect:
		c.connect()
	case kind == clientWatch:
		c.watch(now)
	}
}

func (c *client) timer(at int64, what uint64) { c.sh.loop.At(at, c, c.life<<timerBits|what) }

func (c *client) connect() {
	c.life++
	conn, err := c.sh.loop.Dial(c.sh.to, c)
	if err != nil {
		c.later(c.sh.loop.Now())
		return
	}
	c.conn = conn
}

func (c *client) later(now int64) {
	c.life++
	c.timer(c.sh.back(now, c.failures), clientConnect)
	c.failures++
}

// Opened implements poll.Handler.
func (c *client) Opened(now int64) {
	c.conn.Put(wire.Append(c.conn.Grab(), 0, &wire.Hello{
		MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleClient, Client: c.name,
	}))
	c.timer(now+watchPeriod, clientWatch)
}

// Closed implements poll.Handler. The calls in flight are sent again on the
// next connection: all of them may be repeated.
func (c *client) Closed(now int64, _ error) {
	c.conn, c.up = nil, false
	c.sh.counts.Reconnects++
	c.later(now)
}

func (c *client) drop(now int64) {
	if c.conn != nil {
		c.conn.Close()
		c.Closed(now, nil)
	}
}

// Data implements poll.Handler.
func (c *client) Data(now int64, buf []byte) int {
	conn := c.conn
	used, err := c.sh.frames(buf, func(m wire.Message, request uint64) bool {
		c.message(now, m, request)
		return c.conn == conn
	})
	if err != nil {
		c.sh.run.judge.Broken(judge.Unexpected, "%s: cannot read the scheduler: %v", c.name, err)
		c.drop(now)
		return used
	}
	c.pump(now)
	return used
}

func (c *client) message(now int64, m wire.Message, request uint64) {
	if hello, is := m.(*wire.HelloOK); is {
		c.welcome(now, hello)
		return
	}
	if n, is := m.(*wire.Notice); is {
		c.noticed(now, n)
		return
	}
	place := request & (1<<callBits - 1)
	if request == 0 || place >= uint64(len(c.calls)) || !c.calls[place].busy || c.calls[place].uses != request>>callBits {
		c.stray(now, m)
		return
	}
	k := c.calls[place]
	c.calls[place].busy = false
	c.calls[place].job, c.calls[place].gang, c.calls[place].done, c.calls[place].request = nil, nil, nil, nil
	c.free = append(c.free, int32(place))
	c.busy--
	if k.job == nil {
		k.done(m)
		return
	}
	if k.gang != nil {
		k.gang.answered(now, &k, m)
		return
	}
	k.job.answered(now, &k, m)
}

// stray handles a message that answers no call: the scheduler's last word on a
// connection that it closes.
func (c *client) stray(now int64, m wire.Message) {
	if e, is := m.(*wire.Error); is {
		switch e.Code {
		case wire.CodeBusy, wire.CodeDraining, wire.CodeTimeout:
			c.drop(now)
			return
		}
	}
	c.sh.run.judge.Broken(judge.Unexpected, "%s: an answer to no call: %+v", c.name, m)
	c.drop(now)
}

func (c *client) welcome(now int64, m *wire.HelloOK) {
	c.up, c.failures = true, 0
	c.ttl = int64(m.StartTTLMS) * int64(time.Millisecond)
	c.grace = m.Limits["grace_ms"]
	for i := range c.calls {
		if c.calls[i].busy {
			c.sh.counts.Resent++
			c.write(now, i)
		}
	}
	if !c.sh.loading {
		c.sh.run.connected.Add(1)
	}
	c.pump(now)
}

// send puts a call into flight. While the connection is down it waits.
func (c *client) send(now int64, k call) {
	place := len(c.calls)
	if n := len(c.free); n > 0 {
		place = int(c.free[n-1])
		c.free = c.free[:n-1]
	} else {
		c.calls = append(c.calls, call{})
	}
	k.uses, k.busy, k.sent = c.calls[place].uses+1, true, now
	c.calls[place] = k
	c.busy++
	if c.up {
		c.write(now, place)
	}
}

func (c *client) write(now int64, place int) {
	k := &c.calls[place]
	k.sent = now
	m := k.request
	switch {
	case k.gang != nil:
		m = k.gang.message()
	case k.job != nil:
		m = k.job.message(k.step)
	}
	c.conn.Put(wire.Append(c.conn.Grab(), k.uses<<callBits|uint64(place), m))
}

// watch looks for calls that a living connection leaves unanswered.
func (c *client) watch(now int64) {
	c.timer(now+watchPeriod, clientWatch)
	for i := range c.calls {
		if k := &c.calls[i]; k.busy && now-k.sent > answerLimit {
			c.sh.run.judge.Broken(judge.Unanswered, "%s: %s was not answered in 30 s", c.name, k.step)
			c.drop(now)
			return
		}
	}
}

// pump keeps the closed loop going: as many schedule requests in flight as the
// depth says, while enough slots are free.
func (c *client) pump(now int64) {
	s := c.sh
	if !s.loading || s.run.cfg.Rate != ClosedLoop || c.idle {
		return
	}
	for c.up && c.loading < s.run.cfg.Depth {
		if s.run.live.Load() >= s.run.limit {
			c.idle = true
			s.loop.At(now+idlePause, c, clientPump)
			return
		}
		c.loading++
		c.submit(now, true)
	}
}
