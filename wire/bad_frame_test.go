package wire

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// pack returns a frame without its length: the values, each as msgpack/v5
// writes it, or as they are if they are raw bytes of msgpack.
func pack(t *testing.T, values ...any) []byte {
	t.Helper()
	b := appendArray(nil, len(values))
	for _, v := range values {
		encoded, err := msgpack.Marshal(v)
		require.NoError(t, err)
		b = append(b, encoded...)
	}
	return b
}

// rawBytes is a value that is msgpack already.
func rawBytes(b ...byte) msgpack.RawMessage { return b }

// refuses fails the test unless a frame is refused with CodeBadRequest for the
// field, naming the limit, and returns the error.
func refuses(t *testing.T, frame []byte, field string, limit uint64) *Error {
	t.Helper()
	var d Decoder
	m, _, err := d.Decode(frame)
	require.Nil(t, m)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, CodeBadRequest, refused.Code, refused)
	require.Equal(t, field, refused.Field, refused)
	require.Equal(t, limit, refused.Limit, refused)
	require.NotEmpty(t, refused.Message)
	return refused
}

// accepts fails the test unless a frame is read, and returns the message.
func accepts(t *testing.T, frame []byte) Message {
	t.Helper()
	var d Decoder
	m, _, err := d.Decode(frame)
	require.NoError(t, err)
	return m
}

// splitFails fails the test unless Split refuses buf with the code.
func splitFails(t *testing.T, buf []byte, limit int, code Code) {
	t.Helper()
	frame, n, err := Split(buf, limit)
	require.Nil(t, frame)
	require.Zero(t, n)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code)
}

// A length of 0.
func TestFrameOfLengthZero(t *testing.T) {
	splitFails(t, []byte{0, 0, 0, 0}, MaxFrame, CodeBadFrame)
	splitFails(t, []byte{0, 0, 0, 0, 1}, MaxFrame, CodeBadFrame)
}

// A length over the limit is refused as soon as its four bytes are there, and
// names the limit.
func TestFrameLongerThanLimit(t *testing.T) {
	splitFails(t, []byte{0xff, 0xff, 0xff, 0xff}, MaxFrame, CodeFrameTooLarge)
	splitFails(t, []byte{0, 0x10, 0, 1}, MaxFrame, CodeFrameTooLarge)
	splitFails(t, []byte{0, 0, 0x10, 1, 2, 3}, MaxFrameBeforeHello, CodeFrameTooLarge)

	_, _, err := Split([]byte{0, 0x10, 0, 1}, MaxFrame)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.EqualValues(t, MaxFrame, refused.Limit)

	frame, n, err := Split([]byte{0, 0x10, 0, 0}, MaxFrame)
	require.Nil(t, frame)
	require.Zero(t, n)
	require.NoError(t, err, "a frame of exactly the limit")
}

// Lengths that are negative, or overflow, as an int of 32 bits.
func TestFrameLengthWithSignBit(t *testing.T) {
	for _, first := range []byte{0x80, 0x7f, 0xfe} {
		splitFails(t, []byte{first, 0xff, 0xff, 0xff}, MaxFrame, CodeFrameTooLarge)
		splitFails(t, []byte{first, 0, 0, 0}, math.MaxInt32>>1, CodeFrameTooLarge)
	}
}

func TestBytesAfterTheFrameStay(t *testing.T) {
	buf := append(Append(nil, 1, &Ping{}), 9, 9)
	frame, n, err := Split(buf, MaxFrame)
	require.NoError(t, err)
	require.Equal(t, len(buf)-2, n)
	require.Equal(t, buf[4:n], frame)
	require.Equal(t, len(frame), cap(frame), "appending to a frame must not write over the next")
}

// Bytes behind the message, but inside the frame.
func TestTrailingBytesAfterMessage(t *testing.T) {
	for _, s := range samples() {
		frame := Append(nil, s.request, s.message)[lengthSize:]
		refuses(t, append(frame, 0x00), "", 0)
		refuses(t, append(frame, frame...), "", 0)
	}
}

// Every way to cut a message short is refused.
func TestMessageCutShort(t *testing.T) {
	for _, s := range samples() {
		frame := Append(nil, s.request, s.message)[lengthSize:]
		for n := 1; n < len(frame); n++ {
			var d Decoder
			_, _, err := d.Decode(frame[:n])
			var refused *Error
			require.ErrorAs(t, err, &refused, "%s cut at %d", s.name, n)
			require.Equal(t, CodeBadRequest, refused.Code)
		}
	}
}

func TestFrameThatIsNoArray(t *testing.T) {
	var d Decoder
	for _, frame := range [][]byte{nil, {0x01}, {0xc1}, {0x81, 1, 2}, []byte("GET / HTTP/1.1\r\n"), {0xc0}, {0xd9, 1, 'x'}} {
		_, _, err := d.Decode(frame)
		var refused *Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CodeBadFrame, refused.Code)
	}
}

func TestHeadWithoutKindOrRequest(t *testing.T) {
	refuses(t, pack(t), "kind", 0)
	refuses(t, pack(t, 3), "request_id", 0)
	refuses(t, pack(t, "schedule", 1), "kind", 0)
	refuses(t, pack(t, -3, 1), "kind", 0)
	refuses(t, pack(t, 3, "1"), "request_id", 0)
	refuses(t, pack(t, 3, -1), "request_id", 0)
	refuses(t, pack(t, 3, 1.0), "request_id", 0)
}

// An unknown kind is told from a broken frame, and keeps its request id.
func TestUnknownKind(t *testing.T) {
	var d Decoder
	for _, kind := range []uint64{0, 63, uint64(len(kinds)), 255, 256, math.MaxUint64} {
		_, request, err := d.Decode(pack(t, kind, 77, "x", map[string]any{"a": []int{1}}))
		var refused *Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CodeUnknownKind, refused.Code)
		require.EqualValues(t, 77, request)
	}
	refuses(t, append(pack(t, 200, 77), 0), "", 0)
	refuses(t, pack(t, 200, 77, rawBytes(0xc1)), "", 0)
}

// The request id is known beside an error, so that it can be answered.
func TestRequestIDBesideAnError(t *testing.T) {
	var d Decoder
	_, request, err := d.Decode(pack(t, KindSchedule, 4711, 5))
	require.Error(t, err)
	require.EqualValues(t, 4711, request)
}

// What a newer peer adds behind the known fields is walked and ignored.
func TestTrailingFieldsAreIgnored(t *testing.T) {
	for _, s := range samples() {
		values, ok := oracleValues(Append(nil, s.request, s.message)[lengthSize:])
		require.True(t, ok)
		if leftOut := len(values) < 2+len(fieldNames(s.message.Kind())); leftOut {
			continue
		}
		frame := appendArray(nil, len(values)+2)
		frame = append(frame, Append(nil, s.request, s.message)[lengthSize+len(appendArray(nil, len(values))):]...)
		frame = append(frame, pack(t, "new", map[string]any{"k": []any{1.5, nil}})[1:]...)
		require.Equal(t, s.message, accepts(t, frame), s.name)

		bad := append(bytes.Clone(frame[:len(frame)-1]), 0xc1)
		refuses(t, bad, "", 0)
	}
}

// What a newer peer adds behind the known fields of a part is ignored, too.
func TestTrailingFieldsOfPartsAreIgnored(t *testing.T) {
	task := append(valuesOf(scheduleFields), "new", []int{1, 2})
	batch := accepts(t, pack(t, KindBatch, 1, []any{task})).(*Batch)
	require.Equal(t, []byte("t"), batch.Tasks[0].Task)

	renewed := accepts(t, pack(t, KindRenewed, 1, []any{[]any{3, 0, map[string]int{"x": 1}}})).(*Renewed)
	require.Equal(t, []LeaseStatus{{State: StateBegun}}, renewed.Leases)

	begun := accepts(t, pack(t, KindBegun, 1, 5, 6, append(valuesOf(recordFields), "new"))).(*Begun)
	require.Equal(t, []byte("t"), begun.Record.Task)

	results := accepts(t, pack(t, KindPlacedAll, 1, []any{[]any{7, "", "new"}})).(*PlacedAll)
	require.Equal(t, []BatchResult{{Code: CodeUnavailable}}, results.Results)

	row := append(valuesOf(describe[WorkerInfo]()), "new", nil)
	workers := accepts(t, pack(t, KindWorkers, 1, []any{row}, "n")).(*Workers)
	require.Equal(t, "n", workers.Next)
}

// valuesOf returns a value for each field, the first one here that the oracle takes.
func valuesOf(all fields) (values []any) {
	for _, f := range all.list {
		for _, v := range []any{"", 0, false, []any{}, pairs{}, "t", 1, make([]byte, LeaseIDSize)} {
			if n, number := v.(int); number && fits(f, signed(int64(n))) || !number && fits(f, v) {
				if _, dict := v.(pairs); dict {
					v = map[string]int{}
				}
				values = append(values, v)
				break
			}
		}
	}
	return values
}

// allocated returns the bytes that the heap gave out while f ran.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// smallHeap is what refusing a frame may allocate: the error and its words.
const smallHeap = 8 << 10

// A frame full of arrays in arrays is refused at the ninth, by a loop: it costs
// neither stack nor heap.
func TestNestedArraysBomb(t *testing.T) {
	bomb := bytes.Repeat([]byte{0x91}, MaxFrame)
	refuses(t, bomb, "kind", 0)
	for _, kind := range []byte{byte(KindSchedule), byte(KindHello), byte(KindWorkers), 120} {
		frame := append([]byte{0xdc, 0, 30, kind, 1}, bomb[:MaxFrame-5]...)
		var err error
		require.Less(t, allocated(func() { _, _, err = new(Decoder).Decode(frame) }), uint64(smallHeap+2048))
		require.Error(t, err)
	}
	maps := append([]byte{0x93, byte(KindPing), 1}, bytes.Repeat([]byte{0x81, 0x01}, 1000)...)
	refuses(t, maps, "", maxDepth)
}

// Eight levels are allowed, the frame's own array included, nine are not.
func TestNestingAtTheLimit(t *testing.T) {
	deep := func(levels int) []byte {
		values := append(bytes.Repeat([]byte{0x91}, levels-1), 0x01)
		return append([]byte{0x93, byte(KindPing), 1}, values...)
	}
	accepts(t, deep(maxDepth))
	refuses(t, deep(maxDepth+1), "", maxDepth)

	empty := append([]byte{0x93, byte(KindPing), 1}, append(bytes.Repeat([]byte{0x91}, maxDepth-1), 0x90)...)
	refuses(t, empty, "", maxDepth)
}

// Counts of 2^32-1 in a frame of a few bytes make nothing.
func TestArrayHeaderAnnouncingFourBillion(t *testing.T) {
	four := []byte{0xff, 0xff, 0xff, 0xff}
	array, dict := rawBytes(append([]byte{0xdd}, four...)...), rawBytes(append([]byte{0xdf}, four...)...)
	for _, c := range []struct {
		frame []byte
		field string
	}{
		{append([]byte{0xdd}, four...), ""},
		{pack(t, KindSchedule, 1, "t", array), "tags"},
		{pack(t, KindSchedule, 1, "t", []string{}, 0, "", "", dict), "resources"},
		{pack(t, KindBatch, 1, array), "tasks"},
		{pack(t, KindBatch, 1, []any{array}), "tasks[0]"},
		{pack(t, KindRenew, 1, array), "leases"},
		{pack(t, KindPlacedAll, 1, array), "results"},
		{pack(t, KindHello, 1, 1, 1, 1, "", "", array), ""},
		{pack(t, KindRegister, 1, "w", "a", 1, 1, array), ""},
		{pack(t, KindWorkers, 1, array), ""},
		{pack(t, KindPing, 1, array), ""},
		{pack(t, 200, 1, dict), ""},
	} {
		require.Less(t, allocated(func() { refuses(t, c.frame, c.field, 0) }), uint64(4*smallHeap))
	}
}

// Strings and bins that are longer than what is left of the frame.
func TestStringLongerThanFrame(t *testing.T) {
	for _, head := range [][]byte{{0xa5}, {0xbf}, {0xd9, 0xff}, {0xda, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xd9}, {0xdb, 0}} {
		refuses(t, append([]byte{0x94, byte(KindSchedule), 1}, head...), "task", 0)
		refuses(t, append([]byte{0x95, byte(KindHello), 1, 1, 1}, head...), "", 0)
	}
	for _, head := range [][]byte{{0xc4, 0xff}, {0xc5, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0x7f}} {
		refuses(t, append([]byte{0x94, byte(KindRelease), 1}, head...), "lease", 0)
		refuses(t, append([]byte{0x93, byte(KindPing), 1}, head...), "", 0)
	}
}

// Whatever arrives, decoding allocates at most a few times its length beside
// the decoder's own lists, which are bounded and used again.
func TestAllocationsFollowTheInput(t *testing.T) {
	record := sampleRecord
	record.Task, record.Client, record.Owner, record.Group, record.Resources = []byte("t"), nil, nil, nil, nil
	m := &Register{Worker: "w", Incarnation: 1}
	for range MaxWorkerLeases {
		m.Leases = append(m.Leases, record)
	}
	frame := Append(nil, 1, m)[lengthSize:]
	var d Decoder
	got := allocated(func() { _, _, _ = d.Decode(frame) })
	require.Less(t, got, uint64(24*len(frame)), "a registration of %d bytes", len(frame))
}
