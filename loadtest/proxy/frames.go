package proxy

import (
	"encoding/binary"

	"github.com/dtask/dtask-scheduler/wire"
)

const lengthSize = 4 // bytes of the length before each frame

// framer follows the frames of a stream. Bytes pass as soon as they come, also
// those of an unfinished frame, except that a heartbeat is held until it is
// whole, as only whole ones can be delivered twice.
type framer struct {
	held []byte // of a frame whose kind is not known yet, or of a heartbeat
	left int    // bytes of a frame that is no heartbeat and still to come
	old  []byte // a heartbeat to be delivered again after the next one
	out  []byte
}

// pass returns what may be sent on after in has come; nothing comes twice.
func (f *framer) pass(in []byte) []byte {
	f.old = f.old[:0]
	return f.twice(in, func() bool { return false })
}

// twice returns what may be sent on after in has come. again says of each
// heartbeat whether it is delivered twice; every other time the copy comes
// behind the next heartbeat, out of date. What is returned is valid until the
// next call.
func (f *framer) twice(in []byte, again func() bool) []byte {
	f.out = f.out[:0]
	for len(in) > 0 {
		if f.left > 0 {
			n := min(f.left, len(in))
			f.out = append(f.out, in[:n]...)
			f.left -= n
			in = in[n:]
			continue
		}
		f.held = append(f.held, in[0])
		in = in[1:]
		f.look(again)
	}
	return f.out
}

// look decides about the held bytes as soon as the kind can be read.
func (f *framer) look(again func() bool) {
	kind, size := parse(f.held)
	switch {
	case size == 0:
		return
	case kind != wire.KindHeartbeat || size > wire.MaxFrame:
		f.out = append(f.out, f.held...)
		f.left = max(size-len(f.held), 0)
		f.held = f.held[:0]
	case len(f.held) == size:
		f.heartbeat(again)
		f.held = f.held[:0]
	}
}

func (f *framer) heartbeat(again func() bool) {
	f.out = append(f.out, f.held...)
	f.out = append(f.out, f.old...)
	late := len(f.old) == 0
	f.old = f.old[:0]
	if !again() {
		return
	}
	if late {
		f.old = append(f.old, f.held...)
	} else {
		f.out = append(f.out, f.held...)
	}
}

// parse reads the kind and the size, with its length, of the frame that begins
// with b. The size is 0 while b is too short to tell. The kind is the second
// msgpack value: the first is the head of the array.
func parse(b []byte) (kind wire.Kind, size int) {
	if len(b) < lengthSize+1 {
		return 0, 0
	}
	size = lengthSize + int(binary.BigEndian.Uint32(b))
	at := lengthSize + 1
	switch b[lengthSize] {
	case 0xdc: // array 16
		at += 2
	case 0xdd: // array 32
		at += 4
	}
	if at >= size {
		return 0, size // too short to be a message; not for us to judge
	}
	if len(b) <= at {
		return 0, 0
	}
	if b[at] >= 0x80 {
		return 0, size
	}
	return wire.Kind(b[at]), size
}
