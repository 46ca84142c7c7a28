package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The fields that came with selectors, devices and gangs keep their limits.
func TestChoiceOutOfRange(t *testing.T) {
	long := strings.Repeat("x", MaxSelector+1)
	for i, field := range map[int]string{7: "selector", 8: "prefer"} {
		refuses(t, task(t, i, long), field, MaxSelector)
		refuses(t, task(t, i, "a\nb"), field, 0)
		refuses(t, task(t, i, "\xff"), field, 0)
		accepts(t, task(t, i, long[1:]))
	}
	refuses(t, task(t, 9, many(MaxNotWorkers+1, "w")), "not_workers", MaxNotWorkers)
	refuses(t, task(t, 9, []string{"w", ""}), "not_workers", 0)
	refuses(t, task(t, 9, []string{"\xff"}), "not_workers", 0)
	accepts(t, task(t, 9, many(MaxNotWorkers, "büro rechner")))
	for name, id := range badIDs {
		t.Run(name, func(t *testing.T) { refuses(t, task(t, 11, id), "policy", 0) })
	}
	refuses(t, task(t, 11, long), "policy", MaxID)
	refuses(t, task(t, 12, strings.Repeat("x", MaxTag+1)), "spread_by", MaxTag)
	refuses(t, task(t, 12, "\x1b"), "spread_by", 0)
	accepts(t, task(t, 12, strings.Repeat("x", MaxTag)))
}

func TestGangFlags(t *testing.T) {
	tasks := []any{[]any{"t", []string{}}}
	require.Equal(t, &Batch{Tasks: []Schedule{{Task: []byte("t")}}, AllOrNone: true}, accepts(t, pack(t, KindBatch, 1, tasks, true)))
	require.True(t, accepts(t, pack(t, KindBatch, 1, tasks, false, true)).(*Batch).Distinct, "it means nothing, and is no error")
	refuses(t, pack(t, KindBatch, 1, tasks, 1), "all_or_none", 0)
	refuses(t, pack(t, KindBatch, 1, tasks, true, nil), "distinct", 0)
}

func TestDevicesOutOfRange(t *testing.T) {
	devices := func(fields ...any) []byte { return registration(t, 11, []any{[]any{"", 1, ""}, fields}) }
	refuses(t, devices(strings.Repeat("x", MaxModel+1), 1, ""), "devices[1].model", MaxModel)
	refuses(t, devices("a\tb", 1, ""), "devices[1].model", 0)
	refuses(t, devices("", MaxAmount+1, ""), "devices[1].memory", MaxAmount)
	refuses(t, devices("", -1, ""), "devices[1].memory", 0)
	refuses(t, devices("", 1.5, ""), "devices[1].memory", 0)
	refuses(t, devices("", 1, "a b"), "devices[1].uuid", 0)
	refuses(t, devices("", 1, strings.Repeat("x", MaxID+1)), "devices[1].uuid", MaxID)
	refuses(t, devices("", 1), "devices[1].uuid", 0)
	refuses(t, devices("", 1, "", 7), "devices[1].missing", 0)
	refuses(t, registration(t, 11, 5), "devices", 0)
	device := []any{"H100", 81_559, "GPU-1", true, "new"}
	list := make([]any, MaxDevices+1)
	for i := range list {
		list[i] = device
	}
	refuses(t, registration(t, 11, list), "devices", MaxDevices)
	require.Len(t, accepts(t, registration(t, 11, list[1:])).(*Register).Devices, MaxDevices)

	lease := sampleLease.Bytes()
	record := func(devices, exclusive any) []byte {
		return pack(t, KindBegun, 1, 1, 1, []any{lease[:], "t", "", "", "", 0, map[string]int{}, 0, devices, exclusive})
	}
	refuses(t, record(-1, false), "record.devices", 0)
	refuses(t, record(0, 1), "record.exclusive", 0)
	require.EqualValues(t, uint64(math.MaxUint64), accepts(t, record(uint64(math.MaxUint64), true)).(*Begun).Record.Devices)
	refuses(t, pack(t, KindPlaced, 1, lease[:], "w", "a", 1, 1, 0, -1), "devices", 0)
}

func TestPreemptionOutOfRange(t *testing.T) {
	task := func(preempt, onPreempt any) []byte {
		return pack(t, KindSchedule, 1, "t", []string{}, 0, "", "", map[string]int{}, 0, "", "", []string{}, false, "", "", 0, preempt, onPreempt)
	}
	refuses(t, task(1, 0), "preempt", 0)
	refuses(t, task(false, 4), "on_preempt", uint64(OnPreemptNever))
	refuses(t, task(false, -1), "on_preempt", 0)
	refuses(t, task(false, "requeue"), "on_preempt", 0)
	lease := sampleLease.Bytes()
	refuses(t, pack(t, KindBegun, 1, 1, 1, []any{lease[:], "t", "", "", "", 0, map[string]int{}, 0, 0, false, 4}), "record.on_preempt", uint64(OnPreemptNever))
	refuses(t, pack(t, KindNotice, 0, lease[:], "t", 1, MaxGrace+1, 0), "grace_ms", MaxGrace)
}

// What nobody has said of a task depends on its priority alone.
func TestPreemptible(t *testing.T) {
	for o, want := range map[OnPreempt][2]bool{
		OnPreemptDefault: {true, false}, OnPreemptEnd: {true, true}, OnPreemptRequeue: {true, true}, OnPreemptNever: {false, false},
	} {
		require.Equal(t, want, [2]bool{o.Preemptible(-1), o.Preemptible(0)}, "%v", o)
		var read OnPreempt
		text, _ := o.MarshalText()
		require.NoError(t, read.UnmarshalText(text))
		require.Equal(t, o, read)
	}
	var o OnPreempt
	require.NoError(t, o.UnmarshalText(nil))
	require.ErrorContains(t, o.UnmarshalText([]byte("Requeue")), "on_preempt")
}

// Sums of what leases take may be more than one amount, and of more names than
// one lease may have.
func TestUsedAmounts(t *testing.T) {
	row := func(used any, devices ...any) []byte {
		info := []any{"w", "a", []string{}, "online", []string{}, 1, 2, 3, 4, 5, map[string]int{}, "", "", 0, used, devices}
		return pack(t, KindWorkers, 1, []any{info}, "")
	}
	sum := int64(math.MaxInt64)
	info := accepts(t, row(map[string]int64{"cpu": sum}, []any{"", 1, "", sum, 9, true})).(*Workers).Rows[0]
	require.Equal(t, map[string]int64{"cpu": sum}, info.Used)
	require.Equal(t, []DeviceInfo{{Memory: 1, Used: sum, Leases: 9, Whole: true}}, info.Devices)
	refuses(t, row(map[string]any{"cpu": uint64(1 << 63)}), "rows[0].used", math.MaxInt64)
	refuses(t, row(map[string]int{"a b": 1}), "rows[0].used", 0)
	held := []any{"w", "a", []string{}, "online", []string{}, 1, 2, 3, 4, 5, map[string]int{}, "", "", 0, map[string]int{}, []any{[]any{"", 1, "", 0, 0, true}}, 7}
	refuses(t, pack(t, KindWorkers, 1, []any{held}, ""), "rows[0].held_by", 0)
	refuses(t, row(map[string]int{}, []any{7}), "devices[0].model", 0)
	refuses(t, row(rawBytes(0x82, 0xa1, 'c', 1, 0xa1, 'c', 1)), "rows[0].used", 0)
}

// A decoder that read every field holds none of them when the next frame
// leaves them out, wherever it ends.
func TestDecoderForgetsWhatIsLeftOut(t *testing.T) {
	var d Decoder
	full := Append(nil, 1, &choiceTask)[lengthSize:]
	for n := scheduleRequired; n <= choiceTask.used(); n++ {
		_, _, err := d.Decode(full)
		require.NoError(t, err)
		short := append([]byte{codeFixArray | byte(2+n)}, full[1:1+sizeOf(t, full[1:], 2+n)]...)
		m, _, err := d.Decode(short)
		require.NoError(t, err)
		require.Equal(t, accepts(t, short), m, "%d fields", n)
	}
	for _, pair := range [][2]Message{
		{&devicePlaced, &samplePlaced},
		{&Begun{Record: deviceRecord}, &Begun{Record: sampleRecord}},
		{&Batch{Tasks: []Schedule{choiceTask}, AllOrNone: true, Distinct: true}, &Batch{Tasks: []Schedule{bareTask}}},
		{&PlacedAll{Results: []BatchResult{{Code: CodeBusy, Message: "x"}}}, &PlacedAll{Results: []BatchResult{{Code: CodeBusy}}}},
		{&PlacedAll{Results: []BatchResult{{Placed: devicePlaced}}, RetryAfterMS: 1}, &PlacedAll{Results: []BatchResult{{Placed: samplePlaced}}}},
	} {
		for _, m := range pair {
			got, _, err := d.Decode(Append(nil, 1, m)[lengthSize:])
			require.NoError(t, err)
			require.Equal(t, m, got)
		}
	}
}

func TestEachWorker(t *testing.T) {
	var ids []string
	visit := func(id []byte) bool { ids = append(ids, string(id)); return len(ids) < 2 }
	EachWorker(AppendWorkers(nil, []string{"w1", "büro 2", "w3"}), visit)
	require.Equal(t, []string{"w1", "büro 2"}, ids)
	require.Empty(t, AppendWorkers(nil, nil))
	EachWorker(nil, func([]byte) bool { t.Error("none"); return true })
}

func TestHandoverWithDevices(t *testing.T) {
	h := &Handover{Lease: sampleLease, Worker: "w", Incarnation: 1, Task: "train-7", Resources: map[string]int64{"gpu": 2}, Devices: []int{1, 2}, Exclusive: true}
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.Contains(t, string(text), `"devices":[1,2],"exclusive":true`)
	require.NoError(t, h.Verify())
	require.Equal(t, deviceRecord, h.Record())
	for _, devices := range [][]int{{-1}, {MaxDevices}, {1, 1}, {2, 1}, {0, 1 << 40}} {
		h.Devices = devices
		var bad *Error
		require.ErrorAs(t, h.Verify(), &bad, devices)
		require.Equal(t, "devices", bad.Field)
	}
	h.Devices = []int{0, MaxDevices - 1}
	require.NoError(t, h.Verify())
	require.Equal(t, uint64(1<<63|1), h.Record().Devices)
}

// A field of a task either decides which workers can run it, or not: Needs,
// AppendNeeds and OnlyTags agree on that.
func TestNeeds(t *testing.T) {
	bare := Schedule{Task: []byte("t")}
	for _, f := range scheduleFields.list {
		s := bare
		switch v := reflect.ValueOf(&s).Elem().FieldByIndex(f.index); v.Kind() {
		case reflect.Slice:
			v.SetBytes([]byte{1})
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int32:
			v.SetInt(1)
		default:
			v.SetUint(1)
		}
		needs := s.Needs()
		kept := !reflect.ValueOf(needs).FieldByIndex(f.index).IsZero()
		require.Equal(t, kept, !bytes.Equal(s.AppendNeeds(nil), bare.AppendNeeds(nil)), f.name)
		require.Equal(t, !kept || f.name == "tags", s.OnlyTags(), f.name)
	}
	require.Equal(t, bare.AppendNeeds(nil), (&Schedule{}).AppendNeeds(nil))
}
