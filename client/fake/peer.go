package fake

import (
	"errors"
	"net"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// readSize is how much of a connection is read at once, in bytes.
const readSize = 64 << 10

// peer is one client's connection.
type peer struct {
	scheduler *Scheduler
	session   sched.Session
	nc        net.Conn
	gone      chan struct{} // closed when the connection is forgotten
	decoder   wire.Decoder
	out       []byte        // frames for it, in the order in which they came up; guarded by scheduler.mu
	over      bool          // these are the last; guarded by scheduler.mu
	wake      chan struct{} // tells deliver of them
}

// deliver writes the client's messages, until the connection is
// forgotten.
func (p *peer) deliver() {
	for {
		select {
		case <-p.gone:
			return
		case <-p.wake:
			p.scheduler.mu.Lock()
			frames, over := p.out, p.over
			p.out = nil
			p.scheduler.mu.Unlock()
			if len(frames) > 0 { // one wake may stand for several messages, and the next for none
				_, _ = p.nc.Write(frames) // serve notices the end of the connection
			}
			if over {
				p.nc.Close()
				return
			}
		}
	}
}

// put keeps a message for deliver. The scheduler's lock is held.
func (p *peer) put(request uint64, m wire.Message) {
	p.out = wire.Append(p.out, request, m)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// serve answers what the client sends until the connection ends.
func (p *peer) serve() {
	defer p.forget()
	var in []byte
	chunk := make([]byte, readSize)
	for {
		n, err := p.nc.Read(chunk)
		if err != nil {
			return
		}
		in = append(in, chunk[:n]...)
		in = in[:copy(in, in[p.answer(in):])]
	}
}

// answer handles the whole frames of in and returns how many bytes they take.
// After what is no frame the connection ends.
func (p *peer) answer(in []byte) (used int) {
	s := p.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	for !p.over {
		frame, n, err := wire.Split(in[used:], wire.MaxFrame)
		if err != nil {
			p.refuse(0, err)
			p.over = true
			break
		}
		if frame == nil {
			break
		}
		used += n
		m, request, err := p.decoder.Decode(frame)
		if err == nil {
			s.apply(p.session, request, m)
			continue
		}
		p.refuse(request, err)
		var bad *wire.Error
		p.over = errors.As(err, &bad) && bad.Code == wire.CodeBadFrame
	}
	return used
}

// refuse answers with an error; every error of package wire is a *wire.Error.
func (p *peer) refuse(request uint64, err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Code: wire.CodeInternal, Message: err.Error()}
	}
	p.put(request, e)
}

// forget ends the connection.
func (p *peer) forget() {
	p.nc.Close()
	s := p.scheduler
	s.mu.Lock()
	s.out.Reset()
	s.state.Close(s.now, p.session, &s.out)
	s.route()
	delete(s.peers, p)
	s.mu.Unlock()
	close(p.gone)
}
