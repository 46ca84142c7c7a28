package agent

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lifeline is a connection that notices a peer that is silent or does not read.
type lifeline struct {
	net.Conn
	contact *atomic.Int64 // told when a byte comes; see now

	mu       sync.Mutex // Has the limit and the read deadline change together.
	interval time.Duration
	limit    time.Duration // 0 until watch
	heard    time.Duration // when a byte last came
}

// started is where the durations of this process are counted from; unlike the
// time of day they never jump.
var started = time.Now()

// now returns how long this process has known the time.
func now() time.Duration { return time.Since(started) }

// watch ends the connection when nothing comes for so many heartbeat intervals.
func (l *lifeline) watch(interval time.Duration, intervals int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interval, l.limit = interval, time.Duration(intervals)*interval
	l.SetReadDeadline(time.Now().Add(l.limit))
}

// allow changes how many heartbeat intervals may pass in silence, from now on.
func (l *lifeline) allow(intervals int) { l.watch(l.every(), intervals) }

// every returns the heartbeat interval.
func (l *lifeline) every() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.interval
}

// quiet reports whether half of the allowed silence is over.
func (l *lifeline) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now()-l.heard > l.limit/2
}

func (l *lifeline) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = now()
	l.contact.Store(int64(l.heard))
	if l.limit > 0 {
		l.SetReadDeadline(time.Now().Add(l.limit))
	}
	return n, err
}

func (l *lifeline) Write(b []byte) (int, error) {
	l.SetWriteDeadline(time.Now().Add(writeTimeout))
	return l.Conn.Write(b)
}
