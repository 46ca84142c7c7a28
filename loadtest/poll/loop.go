// Package poll runs thousands of TCP connections, a few UDP sockets and timers
// on one goroutine, with epoll. It exists because the load test shares its processors with what
// it measures: an idle connection costs a descriptor and no goroutine, and all
// that is written to a connection during one round leaves in one system call.
//
// Everything of a Loop but Post and Now belongs to the goroutine in Run: the
// callbacks of handlers, timers and posted functions run there.
package poll

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxEvents  = 512      // events taken from the kernel in one round
	readSize   = 64 << 10 // bytes read from a connection in one call
	keptBuffer = 64 << 10 // larger buffers are not kept for another use
	keptCount  = 1024     // buffers kept for another use
	maxSleep   = 100 * time.Millisecond
)

// Pacer is called at moments that need more than the millisecond of timers.
type Pacer interface {
	// Due returns when Pace should run next, in the time of Loop.Now.
	Due() int64
	// Pace does what is due.
	Pace(now int64)
}

// Loop is one event loop.
type Loop struct {
	epoll, wake int
	base        time.Time
	conns       []*Conn // by descriptor
	ports       []*Port // few
	generation  int32
	events      []unix.EpollEvent
	input       []byte
	spare       [][]byte
	unsent      []*Conn
	timers      wheel
	pacer       Pacer
	stopped     bool
	ended       chan struct{} // closed when Run returns

	mu     sync.Mutex // Guards posted, which other goroutines fill, and closed.
	posted []func()
	closed bool // wake is no longer ours
	taken  []func()
}

// New returns a loop whose clock starts at base.
func New(base time.Time) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("poll: epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("poll: eventfd: %w", err)
	}
	l := &Loop{
		epoll: epoll, wake: wake, base: base,
		events: make([]unix.EpollEvent, maxEvents),
		input:  make([]byte, readSize),
		ended:  make(chan struct{}),
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &ev); err != nil {
		l.close()
		return nil, fmt.Errorf("poll: epoll_ctl: %w", err)
	}
	return l, nil
}

// Now returns the nanoseconds since the loop's base, by the monotonic clock.
func (l *Loop) Now() int64 { return int64(time.Since(l.base)) }

// Pace sets the loop's pacer, nil for none.
func (l *Loop) Pace(p Pacer) { l.pacer = p }

// Post runs f on the loop. It may be called from any goroutine, and from the
// loop itself, where f runs in the same round or the next. After the end of Run
// it does nothing.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.posted = append(l.posted, f)
	if len(l.posted) == 1 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(l.wake, one[:]) // a full counter wakes as well
	}
}

// Do runs f on the loop and waits for it. It must not be called from the loop.
// After the end of Run it returns at once, and f does not run.
func (l *Loop) Do(f func()) {
	done := make(chan struct{})
	l.Post(func() { f(); close(done) })
	select {
	case <-done:
	case <-l.ended:
	}
}

// Stop ends Run after the present round. Call it on the loop.
func (l *Loop) Stop() { l.stopped = true }

// Run serves until Stop, then closes every connection without further calls.
func (l *Loop) Run() error {
	defer close(l.ended)
	defer l.close()
	for !l.stopped {
		n, err := l.wait()
		if err != nil {
			return err
		}
		for i := range n {
			l.serve(&l.events[i])
		}
		l.runPosted()
		l.timers.advance(l.Now())
		if l.pacer != nil {
			if now := l.Now(); l.pacer.Due() <= now {
				l.pacer.Pace(now)
			}
		}
		l.flush()
	}
	return nil
}

// wait sleeps until a connection is ready or a timer is due.
func (l *Loop) wait() (int, error) {
	now := l.Now()
	due := min(l.timers.next(now), now+int64(maxSleep))
	precise := l.pacer != nil && l.pacer.Due() < due
	if precise {
		due = l.pacer.Due()
	}
	sleep := max(due-now, 0)
	if precise && sleep > 0 {
		fds := []unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}}
		ts := unix.NsecToTimespec(sleep)
		if _, err := unix.Ppoll(fds, &ts, nil); err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("poll: ppoll: %w", err)
		}
		sleep = 0
	}
	ms := int((sleep + int64(time.Millisecond) - 1) / int64(time.Millisecond))
	n, err := unix.EpollWait(l.epoll, l.events, ms)
	if err != nil && err != unix.EINTR {
		return 0, fmt.Errorf("poll: epoll_wait: %w", err)
	}
	return max(n, 0), nil
}

// serve handles one event. The generation tells a connection from an earlier
// one that had the same descriptor and was closed in this round.
func (l *Loop) serve(ev *unix.EpollEvent) {
	if int(ev.Fd) == l.wake {
		var count [8]byte
		_, _ = unix.Read(l.wake, count[:])
		return
	}
	if p := l.port(int(ev.Fd)); p != nil {
		p.read()
		return
	}
	c := l.conns[ev.Fd]
	if c == nil || c.generation != ev.Pad {
		return
	}
	if !c.open {
		c.finishDial()
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if c.fd >= 0 && ev.Events&^uint32(unix.EPOLLOUT) != 0 {
		c.read()
	}
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.posted, l.taken = l.taken[:0], l.posted
	l.mu.Unlock()
	for i, f := range l.taken {
		f()
		l.taken[i] = nil
	}
}

// flush writes what this round has left in the connections' buffers, then its
// datagrams.
func (l *Loop) flush() {
	for i := 0; i < len(l.unsent); i++ {
		c := l.unsent[i]
		l.unsent[i] = nil
		c.queued = false
		if c.fd >= 0 && c.open && !c.blocked {
			c.flush()
		}
	}
	l.unsent = l.unsent[:0]
	for _, p := range l.ports {
		p.flush()
	}
}

func (l *Loop) close() {
	for _, c := range l.conns {
		if c != nil {
			c.Close()
		}
	}
	for _, p := range l.ports {
		_ = unix.Close(p.fd)
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = unix.Close(l.wake)
	_ = unix.Close(l.epoll)
}

// buffer returns an empty buffer, a used one if there is one.
func (l *Loop) buffer() []byte {
	if n := len(l.spare); n > 0 {
		b := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return b
	}
	return make([]byte, 0, 512)
}

func (l *Loop) recycle(b []byte) {
	if b != nil && cap(b) <= keptBuffer && len(l.spare) < keptCount {
		l.spare = append(l.spare, b[:0])
	}
}
