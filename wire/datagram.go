package wire

import "encoding/binary"

// Beat is the heartbeat of a worker as a datagram: that it lives, its external
// load, and the leases that run.
type Beat struct {
	Worker      []byte `wire:"worker id"`               // id, 1..MaxID bytes; belongs to the decoder's input
	Incarnation uint64 `wire:"incarnation incarnation"` // never 0
	Seq         uint32 `wire:"seq uint32"`              // a counter of the incarnation for datagrams alone, from 1
	External    uint32 `wire:"external uint32"`         // tasks that run outside any lease
	Digest      uint64 `wire:"digest digest"`           // LeaseID.Digest of all leases that have begun and not ended, joined by XOR
}

// BeatAck acknowledges a Beat that was taken, or asks its sender to connect.
type BeatAck struct {
	Seq     uint32  `wire:"seq uint32"` // of the beat
	Grantor Grantor `wire:"inline"`
	Connect bool    `wire:"connect bool"` // register over TCP, again if need be
}

func (*Beat) Kind() Kind { return KindBeat }

func (*BeatAck) Kind() Kind { return KindBeatAck }

// digestSize is the length of a digest on the wire, in bytes. It never gets
// shorter, whatever the number: that makes every beat at least as long as its
// acknowledgement, so a forged sender address amplifies nothing.
const digestSize = 8

// AppendDatagram appends m as a datagram: a frame without its length, which
// Decoder.Decode reads. Only Beat and BeatAck travel so. Like Append it checks
// no limits.
func AppendDatagram(dst []byte, request uint64, m Message) []byte {
	return m.append(dst, request)
}

// datagram records a failure if the message is longer than a datagram may be.
func (r *reader) datagram() {
	if len(r.b) > MaxDatagram {
		r.fail("", MaxDatagram, "is longer than a datagram")
	}
}

func readBeat(d *Decoder, _ int) Message {
	r := &d.r
	r.datagram()
	d.beat = Beat{
		Worker:      r.id("worker"),
		Incarnation: r.incarnation("incarnation"),
		Seq:         r.uint32("seq"),
		External:    r.uint32("external"),
		Digest:      r.digest("digest"),
	}
	return &d.beat
}

func (m *Beat) append(dst []byte, request uint64) []byte {
	dst = appendStr(appendHead(dst, 5, KindBeat, request), m.Worker)
	dst = appendUint(dst, m.Incarnation)
	dst = appendUint(dst, uint64(m.Seq))
	dst = appendUint(dst, uint64(m.External))
	return binary.BigEndian.AppendUint64(append(dst, codeBin8, digestSize), m.Digest)
}

func readBeatAck(d *Decoder, _ int) Message {
	r := &d.r
	r.datagram()
	d.beatAck = BeatAck{
		Seq:     r.uint32("seq"),
		Grantor: Grantor{Epoch: r.uint32("epoch"), Instance: r.uint32("instance")},
		Connect: r.bool("connect"),
	}
	return &d.beatAck
}

func (m *BeatAck) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 4, KindBeatAck, request), uint64(m.Seq))
	dst = appendUint(dst, uint64(m.Grantor.Epoch))
	dst = appendUint(dst, uint64(m.Grantor.Instance))
	return appendBool(dst, m.Connect)
}
