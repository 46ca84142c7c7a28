package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/dtask/dtask-scheduler/wire"
)

// Sizes of the read buffer: it starts small, since there may be thousands of
// idle connections, and grows while reads fill it.
const (
	firstInput = 4 << 10
	usualInput = 64 << 10
)

// input cuts a stream into messages. It belongs to one goroutine.
type input struct {
	from       io.Reader
	decoder    wire.Decoder
	buf        []byte
	start, end int  // what was read and not used yet
	fresh      bool // bytes came in since this was last cleared
}

func newInput(from io.Reader) *input {
	return &input{from: from, buf: make([]byte, firstInput)}
}

// message returns the next message, which is valid until the next call. Its
// error is a *wire.Error if what came is not the protocol.
func (in *input) message() (m wire.Message, request uint64, err error) {
	for {
		frame, n, err := wire.Split(in.buf[in.start:in.end], wire.MaxFrame)
		if err != nil {
			return nil, 0, err
		}
		if frame != nil {
			in.start += n
			return in.decoder.Decode(frame)
		}
		if err := in.fill(); err != nil {
			return nil, 0, err
		}
	}
}

// shownForeign is how much of an answer that is not the protocol is shown, in bytes.
const shownForeign = 24

// notProtocol says what has answered if it is no scheduler; err is why its first
// bytes are no message.
func (in *input) notProtocol(err error) error {
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return err
	}
	text := "what answers does not speak the native protocol of dtask-scheduler"
	if first := in.buf[in.start:min(in.end, in.start+shownForeign)]; bytes.HasPrefix(first, []byte("HTTP/")) {
		text = "what answers speaks HTTP, and not the native protocol of dtask-scheduler; name that port"
	} else {
		text += fmt.Sprintf("; it begins with %q", first)
	}
	return refused("hello", &wire.Error{Code: wire.CodeProtocol, Message: text})
}

// buffered reports whether a whole frame is there already.
func (in *input) buffered() bool {
	frame, _, err := wire.Split(in.buf[in.start:in.end], wire.MaxFrame)
	return frame != nil && err == nil
}

// fill reads once, after it has freed space in its buffer.
func (in *input) fill() error {
	if in.start > 0 {
		in.end = copy(in.buf, in.buf[in.start:in.end])
		in.start = 0
	}
	if in.end == len(in.buf) {
		in.grow()
	}
	n, err := in.from.Read(in.buf[in.end:])
	in.end += n
	if n > 0 {
		in.fresh = true
		if in.end == len(in.buf) && len(in.buf) < usualInput {
			in.grow()
		}
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// grow doubles the buffer. Split refuses a frame over the limit before it is
// read, so the buffer never passes twice the limit.
func (in *input) grow() {
	grown := make([]byte, 2*len(in.buf))
	copy(grown, in.buf[:in.end])
	in.buf = grown
}
