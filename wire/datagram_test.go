package wire

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// beat packs a beat with one field replaced.
func beat(t *testing.T, index int, value any) []byte {
	t.Helper()
	values := []any{KindBeat, 0, "worker-001", 9, 1, 0, make([]byte, digestSize)}
	values[2+index] = value
	return pack(t, values...)
}

// greatestAck returns the longest datagram that a beat can be answered with.
func greatestAck(request uint64, b *Beat) []byte {
	return AppendDatagram(nil, request, &BeatAck{Seq: b.Seq, Grantor: Grantor{math.MaxUint32, math.MaxUint32}, Connect: true})
}

func TestDatagramIsAFrameWithoutItsLength(t *testing.T) {
	for _, s := range samples() {
		require.Equal(t, Append(nil, s.request, s.message)[lengthSize:], AppendDatagram(nil, s.request, s.message), s.name)
	}
	prefix := []byte("kept")
	require.Equal(t, "kept", string(AppendDatagram(prefix, 1, &Beat{})[:4]))
}

func TestBeatThatIsNone(t *testing.T) {
	for name, id := range badIDs {
		t.Run(name, func(t *testing.T) { refuses(t, beat(t, 0, id), "worker", 0) })
	}
	refuses(t, beat(t, 0, ""), "worker", 0)
	refuses(t, beat(t, 0, strings.Repeat("w", MaxID+1)), "worker", MaxID)
	refuses(t, beat(t, 0, []byte("w")), "worker", 0)
	refuses(t, beat(t, 1, 0), "incarnation", 0)
	refuses(t, beat(t, 1, -1), "incarnation", 0)
	refuses(t, beat(t, 2, uint64(1<<32)), "seq", math.MaxUint32)
	refuses(t, beat(t, 3, uint64(1<<32)), "external", math.MaxUint32)
	refuses(t, beat(t, 3, math.NaN()), "external", 0)
	refuses(t, pack(t, KindBeatAck, 0, 1, 1, 1, 1), "connect", 0)
}

// A digest is 8 bytes of bin, whatever its value, and nothing shorter.
func TestDigestOfAnotherForm(t *testing.T) {
	for _, wrong := range []any{0, uint64(math.MaxUint64), nil, "12345678", []int{}} {
		refuses(t, beat(t, 4, wrong), "digest", 0)
	}
	for _, size := range []int{0, 7, 9, 16} {
		refuses(t, beat(t, 4, make([]byte, size)), "digest", digestSize)
	}
	refuses(t, beat(t, 4, rawBytes(codeBin8, digestSize, 1, 2)), "digest", 0)
	refuses(t, beat(t, 4, rawBytes(codeBin32, 0xff, 0xff, 0xff, 0xff)), "digest", 0)
	wide := accepts(t, beat(t, 4, rawBytes(codeBin16, 0, digestSize, 1, 2, 3, 4, 5, 6, 7, 8)))
	require.EqualValues(t, 0x0102030405060708, wide.(*Beat).Digest)
}

// What is longer than a datagram is none, though every byte of it can be read;
// fields of a newer peer may fill it up to there.
func TestDatagramTooLong(t *testing.T) {
	for _, m := range []Message{&Beat{Worker: []byte("w"), Incarnation: 1, Seq: 1}, &BeatAck{Seq: 1}} {
		short := AppendDatagram(nil, 0, m)
		filled := func(size int) []byte {
			b := append([]byte{short[0] + 1}, short[1:]...)
			return appendStr(b, strings.Repeat("x", size-len(b)-3))
		}
		require.Len(t, filled(MaxDatagram), MaxDatagram)
		require.Equal(t, m, accepts(t, filled(MaxDatagram)))
		refuses(t, filled(MaxDatagram+1), "", MaxDatagram)
		refuses(t, filled(65_507), "", MaxDatagram)
	}
}

// The sizes that docs/protocol-datagrams.md gives.
func TestBeatSize(t *testing.T) {
	greatest := &Beat{[]byte(strings.Repeat("w", MaxID)), math.MaxUint64, math.MaxUint32, math.MaxUint32, math.MaxUint64}
	require.Len(t, AppendDatagram(nil, 0, greatest), 162)
	require.Len(t, AppendDatagram(nil, 0, usualBeat()), 42)
	require.Len(t, greatestAck(0, greatest), 19)
}

// Nobody gets more bytes out of the scheduler than were sent to it, however
// short a beat is written. The laws try it with mutated beats, too.
func TestAckIsNeverLongerThanItsBeat(t *testing.T) {
	edges := []uint64{0, 1, 127, 128, 255, 256, 65_535, 65_536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}
	for _, request := range edges {
		for _, seq := range edges {
			shortest := &Beat{Worker: []byte("w"), Incarnation: 1, Seq: uint32(seq)}
			require.LessOrEqual(t, len(greatestAck(request, shortest)), len(AppendDatagram(nil, request, shortest)))
		}
	}
}
