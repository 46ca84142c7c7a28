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
	late      []byte        // frames for it that another's message caused; guarded by scheduler.mu
	wake      chan struct{} // tells deliver of them
}

// deliver writes what others caused, until the connection is forgotten.
func (p *peer) deliver() {
	for {
		select {
		case <-p.gone:
			return
		case <-p.wake:
			p.scheduler.mu.Lock()
			frames := p.late
			p.late = nil
			p.scheduler.mu.Unlock()
			_, _ = p.nc.Write(frames) // serve notices the end of the connection
		}
	}
}

// push keeps a message for deliver. The scheduler's lock is held.
func (p *peer) push(request uint64, m wire.Message) {
	p.late = wire.Append(p.late, request, m)
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
		used, out, err := p.answer(in)
		if _, e := p.nc.Write(out); e != nil || err != nil {
			return
		}
		in = in[:copy(in, in[used:])]
	}
}

// answer handles the whole frames of in and returns how many bytes they take
// and what answers them. After an error the connection ends.
func (p *peer) answer(in []byte) (used int, out []byte, err error) {
	for {
		frame, n, err := wire.Split(in[used:], wire.MaxFrame)
		if err != nil {
			return used, appendError(out, 0, err), err
		}
		if frame == nil {
			return used, out, nil
		}
		used += n
		m, request, err := p.decoder.Decode(frame)
		var bad *wire.Error
		switch {
		case errors.As(err, &bad) && bad.Code == wire.CodeBadFrame:
			return used, appendError(out, 0, err), err
		case err != nil:
			out = appendError(out, request, err)
		default:
			out = p.apply(out, request, m)
		}
	}
}

func (p *peer) apply(out []byte, request uint64, m wire.Message) []byte {
	s := p.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(out, p.session, request, m)
}

// appendError appends a refusal; every error of package wire is one.
func appendError(out []byte, request uint64, err error) []byte {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Code: wire.CodeInternal, Message: err.Error()}
	}
	return wire.Append(out, request, e)
}

// forget ends the connection.
func (p *peer) forget() {
	p.nc.Close()
	s := p.scheduler
	s.mu.Lock()
	s.out.Reset()
	s.state.Close(s.now, p.session, &s.out)
	s.route(0, nil)
	delete(s.peers, p)
	s.mu.Unlock()
	close(p.gone)
}
