package wire

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// allKinds returns every kind of the protocol.
func allKinds() (all []Kind) {
	for i, info := range kinds {
		if info.name != "" {
			all = append(all, Kind(i))
		}
	}
	return all
}

// comesBack is the first law: what Append wrote of a message of this kind,
// Split and Decode read back as it was.
func comesBack(t *rapid.T, kind Kind) {
	m := messageOf(t, kind)
	request := rapid.Uint64().Draw(t, "request")
	prefix := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "prefix")
	buf := Append(prefix, request, m)

	frame, n, err := Split(buf[len(prefix):], MaxFrame)
	require.NoError(t, err)
	require.Equal(t, len(buf)-len(prefix), n)
	var d Decoder
	got, gotRequest, err := d.Decode(frame)
	require.NoError(t, err)
	require.Equal(t, request, gotRequest)
	require.Equal(t, m, got)
	require.Equal(t, buf[len(prefix):], Append(nil, request, got))
}

func TestMessageComesBack(t *testing.T) {
	for _, k := range allKinds() {
		t.Run(k.String(), rapid.MakeCheck(func(t *rapid.T) { comesBack(t, k) }))
	}
}

func FuzzMessageComesBack(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { comesBack(t, rapid.SampledFrom(allKinds()).Draw(t, "kind")) }))
}

// FuzzDecode holds the decoder against the oracle on arbitrary bytes: both
// refuse, or both read the same values.
func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add(Append(nil, s.request, s.message)[lengthSize:])
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, frame []byte) { agree(t, &d, frame) })
}

// agree fails the test unless the decoder and the oracle agree on a frame.
func agree(t require.TestingT, d *Decoder, frame []byte) {
	want, ok := oracleMessage(frame)
	m, request, err := d.Decode(frame)
	if !ok {
		var refused *Error
		require.ErrorAs(t, err, &refused, "%x", frame)
		require.Nil(t, m)
		require.Contains(t, []Code{CodeBadFrame, CodeBadRequest, CodeUnknownKind}, refused.Code)
		return
	}
	require.NoError(t, err, "%x", frame)
	if beat, ok := m.(*Beat); ok {
		require.LessOrEqual(t, len(greatestAck(request, beat)), len(frame), "%x", frame)
	}
	got, ok := oracleMessage(Append(nil, request, m)[lengthSize:])
	require.True(t, ok, "%x", frame)
	require.Equal(t, want, got, "%x", frame)
}

// TestMutatedMessages brings the decoder and the oracle closer to the edges
// than arbitrary bytes do: messages that are right but for a few bytes.
func TestMutatedMessages(t *testing.T) {
	var d Decoder
	for _, k := range allKinds() {
		t.Run(k.String(), rapid.MakeCheck(func(t *rapid.T) {
			frame := Append(nil, 1, messageOf(t, k))[lengthSize:]
			for range rapid.IntRange(0, 3).Draw(t, "mutations") {
				frame = mutate(t, frame)
			}
			agree(t, &d, frame)
		}))
	}
}

// mutate changes or inserts one byte of a frame, or cuts the frame.
func mutate(t *rapid.T, frame []byte) []byte {
	at := rapid.IntRange(0, len(frame)-1).Draw(t, "at")
	switch rapid.IntRange(0, 2).Draw(t, "how") {
	case 0:
		frame[at] = rapid.Byte().Draw(t, "byte")
		return frame
	case 1:
		return slices.Insert(frame, at, rapid.Byte().Draw(t, "byte"))
	default:
		return frame[:at+1]
	}
}

// FuzzSplit holds that cutting a stream into frames does not depend on how the
// stream arrives: byte by byte, or all at once.
func FuzzSplit(f *testing.F) {
	var stream []byte
	for _, s := range samples() {
		stream = Append(stream, s.request, s.message)
	}
	f.Add(stream, uint16(1))
	f.Add(stream, uint16(7))
	f.Add([]byte{0, 0, 0, 0}, uint16(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		whole, wholeErr := splitAll(stream, len(stream))
		pieces, piecesErr := splitAll(stream, 1+int(step)%(len(stream)+1))
		require.Equal(t, whole, pieces)
		require.Equal(t, wholeErr, piecesErr)
	})
}

// splitAll feeds a stream in pieces and returns the frames and the error that
// ended them.
func splitAll(stream []byte, step int) (frames [][]byte, err error) {
	var buf []byte
	for len(stream) > 0 {
		piece := min(step, len(stream))
		buf = append(buf, stream[:piece]...)
		stream = stream[piece:]
		for {
			frame, n, err := Split(buf, 4096)
			if err != nil {
				return frames, err
			}
			if frame == nil {
				break
			}
			frames = append(frames, append([]byte(nil), frame...))
			buf = buf[n:]
		}
	}
	return frames, nil
}

// Every point at which a stream can be cut in two gives the same frames.
func TestSplitAtEveryPoint(t *testing.T) {
	var stream []byte
	for _, s := range samples() {
		stream = Append(stream, s.request, s.message)
	}
	want, err := splitAll(stream, len(stream))
	require.NoError(t, err)
	require.Len(t, want, len(samples()))
	for cut := range stream {
		first, n, err := Split(stream[:cut], MaxFrame)
		require.NoError(t, err)
		whole := int(binary.BigEndian.Uint32(stream)) + lengthSize
		if cut < whole {
			require.Nil(t, first)
			require.Zero(t, n)
		}
		got, err := splitAll(stream, cut+1)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
