package client

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is the two goroutines of a Conn, its writer and its reader.

// write joins what has been put since the last write into one, until the
// connection fails, and closes it after the last bytes.
func (c *Conn) write() {
	defer close(c.written)
	defer c.nc.Close()
	var spare []byte
	for {
		// The callers that are ready to run put their frames first: measured at
		// 64 callers, 1.7 times the throughput, and no loss for one alone.
		runtime.Gosched()
		frames, more := c.take(spare)
		if len(frames) > 0 {
			if _, err := c.nc.Write(frames); err != nil {
				c.fail(lostBy(err))
				return
			}
		}
		if !more {
			return
		}
		spare = frames[:0]
		if cap(spare) > keepOut {
			spare = nil
		}
	}
}

// take waits for frames and exchanges them for an empty buffer. more is false
// when the connection has failed and these are the last ones.
func (c *Conn) take(spare []byte) (frames []byte, more bool) {
	for {
		c.mu.Lock()
		if len(c.out) > 0 || c.err != nil {
			frames, c.out = c.out, spare
			c.callNextLocked(MaxInFlight - len(c.slots) + len(c.free))
			more = c.err == nil
			c.mu.Unlock()
			return frames, more
		}
		c.sleeping = true
		c.mu.Unlock()
		<-c.wake
	}
}

// read hands out answers until the connection ends, then tells the requests
// that are left.
func (c *Conn) read(in *input) {
	var told error
	for {
		m, request, err := in.message()
		if request == 0 && isUnknown(err) {
			c.handedOut(in.buffered()) // a push that a newer scheduler knows
			continue
		}
		if err != nil {
			c.fail(endOf(err, told))
			break
		}
		if e, ok := m.(*wire.Error); ok && request == 0 {
			copied := *e
			told = refused("connection", &copied)
		}
		if in.fresh {
			in.fresh = false
			c.reads.Add(1)
		}
		if err := c.deliver(request, m, in.buffered()); err != nil {
			c.fail(lostBy(err))
			break
		}
	}
	c.nc.Close()
	<-c.written
	c.abandon()
	close(c.gone)
}

// deliver hands one message to its request, or to push. While further frames
// are buffered the writer is left asleep, so that what the answers set off
// leaves in one write.
func (c *Conn) deliver(request uint64, m wire.Message, more bool) error {
	if !m.Kind().IsAnswer() {
		return fmt.Errorf("dtask: the scheduler sent a %v", m.Kind())
	}
	done, err := c.finish(request)
	switch e, failed := m.(*wire.Error); {
	case err != nil:
		return err
	case done == nil && m.Kind() == wire.KindPong:
		// The scheduler has heard nothing for long. Any message shows that this
		// end lives; one that cannot be sent now has others before it.
		_ = c.Go(&wire.Ping{}, func(wire.Message, error) {})
	case done == nil:
		if c.push != nil {
			c.push(m)
		}
	case failed:
		copied := *e
		done(nil, &copied)
	default:
		done(m, nil)
	}
	c.handedOut(more)
	return nil
}

// handedOut wakes the writer unless further frames are buffered.
func (c *Conn) handedOut(more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = more
	if !more && c.sleeping && len(c.out) > 0 {
		c.wakeLocked()
	}
}

// isUnknown reports whether a message is of a kind that this package does not
// know.
func isUnknown(err error) bool {
	e, ok := err.(*wire.Error)
	return ok && e.Code == wire.CodeUnknownKind
}

// finish frees the slot of a request and returns its Done; a request of 0 has
// none.
func (c *Conn) finish(request uint64) (Done, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = true
	if request == 0 {
		return nil, nil
	}
	n := uint32(request) & slotMask
	if n >= uint32(len(c.slots)) || c.slots[n].done == nil || request>>slotBits != uint64(c.slots[n].generation) {
		return nil, fmt.Errorf("dtask: the scheduler answered request %d, which is not in flight", request)
	}
	s := &c.slots[n]
	done := s.done
	s.done = nil
	c.free = append(c.free, n)
	c.callNextLocked(1)
	return done, nil
}

// abandon tells every request in flight why there will be no answer.
func (c *Conn) abandon() {
	c.mu.Lock()
	var left []Done
	for i := range c.slots {
		if done := c.slots[i].done; done != nil {
			c.slots[i].done = nil
			left = append(left, done)
		}
	}
	err := c.err
	c.mu.Unlock()
	for _, done := range left {
		done(nil, err)
	}
}

// lostBy says that a connection ended by err.
func lostBy(err error) error { return fmt.Errorf("%w: %w", ErrDisconnected, err) }

// endOf is lostBy with the reason that the scheduler gave before, if any.
func endOf(err, told error) error {
	if told != nil && !errors.Is(err, net.ErrClosed) {
		return lostBy(told)
	}
	return lostBy(err)
}
