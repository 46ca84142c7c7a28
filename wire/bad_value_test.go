package wire

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// task packs a schedule request with one field replaced.
func task(t *testing.T, index int, value any) []byte {
	t.Helper()
	values := []any{KindSchedule, 1, "task-001", []string{"gpu"}, 0, "", "", map[string]int{}, 0, "", "", []string{}, false, "", ""}
	values[2+index] = value
	return pack(t, values...)
}

// registration packs a register message with one field replaced.
func registration(t *testing.T, index int, value any) []byte {
	t.Helper()
	values := []any{KindRegister, 1, "w", "h:1", 9, 1, []string{}, 4, 0, map[string]int{}, 0, 0, []any{}, []any{}, 0, 0}
	values[2+index] = value
	return pack(t, values...)
}

func many(n int, tag string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = tag
	}
	return list
}

// The same name twice in a map is an error, not "the last one wins".
func TestDuplicateMapKeys(t *testing.T) {
	twice := rawBytes(0x82, 0xa3, 'c', 'p', 'u', 1, 0xa3, 'c', 'p', 'u', 2)
	refuses(t, task(t, 5, twice), "resources", 0)
	wide := rawBytes(0x82, 0xa3, 'c', 'p', 'u', 1, 0xd9, 3, 'c', 'p', 'u', 2)
	refuses(t, task(t, 5, wide), "resources", 0)
	refuses(t, registration(t, 7, twice), "resources", 0)
	refuses(t, pack(t, KindHelloOK, 1, 1, "", 1, 1, 1, 1, twice), "limits", 0)
}

// A map in fields that are not known here may hold anything that is msgpack.
func TestUnknownMapKeysAreSkipped(t *testing.T) {
	m := accepts(t, pack(t, KindPing, 1, rawBytes(0x82, 0x01, 0xc0, 0x01, 0x91, 0xca, 0, 0, 0, 0)))
	require.Equal(t, &Ping{}, m)
	refuses(t, pack(t, KindPing, 1, rawBytes(0x81, 0x01, 0xc1)), "", 0)
}

// Each message without its last required field names that field.
func TestMissingFieldIsNamed(t *testing.T) {
	for _, s := range samples() {
		kind := s.message.Kind()
		names := fieldNames(kind)
		names = names[:kinds[kind].fields.required]
		values, ok := oracleValues(Append(nil, 1, s.message)[lengthSize:])
		require.True(t, ok)
		for n := range names {
			frame := appendArray(nil, 2+n)
			full := Append(nil, 1, s.message)[lengthSize+len(appendArray(nil, len(values))):]
			frame = append(frame, full[:sizeOf(t, full, 2+n)]...)
			refuses(t, frame, names[n], 0)
		}
		require.GreaterOrEqual(t, len(values), 2+len(names))
	}
}

// sizeOf returns the size of the first n values of b.
func sizeOf(t *testing.T, b []byte, n int) int {
	t.Helper()
	r := reader{b: b}
	r.skip(n, 1)
	require.Nil(t, r.err)
	return r.pos
}

func TestMissingFieldsOfParts(t *testing.T) {
	lease := sampleLease.Bytes()
	refuses(t, pack(t, KindBatch, 1, []any{[]any{"t", []string{}}, []any{"t"}}), "tasks[1].tags", 0)
	refuses(t, pack(t, KindBatch, 1, []any{[]any{}}), "tasks[0].task", 0)
	refuses(t, pack(t, KindPlacedAll, 1, []any{[]any{}}), "results[0].code", 0)
	refuses(t, pack(t, KindPlacedAll, 1, []any{[]any{0, lease[:]}}), "results[0].worker", 0)
	refuses(t, pack(t, KindRenewed, 1, []any{[]any{1}}), "leases[0].reason", 0)
	refuses(t, pack(t, KindBegun, 1, 1, 1, []any{lease[:]}), "record.task", 0)
	refuses(t, registration(t, 10, []any{[]any{lease[:], "t"}}), "leases[0].client", 0)
	refuses(t, pack(t, KindWorkers, 1, []any{[]any{"w"}}, ""), "rows[0].address", 0)
	refuses(t, pack(t, KindWorker, 1, []any{"w"}, []any{}), "info.address", 0)
	refuses(t, pack(t, KindLeases, 1, []any{[]any{lease[:]}}, 0), "rows[0].task", 0)
	refuses(t, pack(t, KindTags, 1, []any{[]any{"gpu"}}, ""), "rows[0].workers", 0)
	refuses(t, pack(t, KindEvents, 1, []any{[]any{1, 2, "joined", "w"}}, 0, 0), "rows[0].lease", 0)
	refuses(t, pack(t, KindEndedLeases, 1, []any{[]any{1}}, 0), "rows[0].lease", 0)
}

// A value of another type than the field's.
func TestWrongType(t *testing.T) {
	names := fieldNames(KindSchedule)
	for i, wrong := range [][]any{
		{1, nil, []string{}, []byte("t"), true, 1.5},
		{1, nil, "gpu", map[string]int{}, []int{1}, []any{nil}, [][]string{{}}},
		{"1", nil, 1.0, 0.5, true, []int{}},
		{1, nil, []string{}, []byte("o")},
		{1, nil, false},
		{1, nil, []string{}, "cpu", map[string]string{"cpu": "1"}, map[int]int{1: 1}, map[string]any{"cpu": nil}},
		{"1", nil, 1.0, []int{}},
		{1, nil, []byte("x")},
		{1, nil, []byte("x")},
		{1, nil, "w", []int{1}, []any{nil}, map[string]int{}},
		{1, nil, "true"},
		{1, nil, []string{}},
		{1, nil, []string{}},
	} {
		for _, value := range wrong {
			refuses(t, task(t, i, value), names[i], 0)
		}
	}
	lease := sampleLease.Bytes()
	refuses(t, pack(t, KindRelease, 1, lease[:], 1), "handed", 0)
	refuses(t, pack(t, KindRelease, 1, lease[:], nil), "handed", 0)
	refuses(t, pack(t, KindRelease, 1, string(lease[:]), true), "lease", 0)
	refuses(t, pack(t, KindRelease, 1, lease[:15], true), "lease", LeaseIDSize)
	refuses(t, pack(t, KindRelease, 1, append(lease[:], 0), true), "lease", LeaseIDSize)
	refuses(t, pack(t, KindRenew, 1, []any{lease[:], 5}), "leases[1]", 0)
	refuses(t, pack(t, KindBatch, 1, []any{5}), "tasks[0]", 0)
	refuses(t, registration(t, 10, []any{5}), "leases[0]", 0)
	refuses(t, pack(t, KindHello, 1, 1, 1, 1, 5, "", []string{}), "client", 0)
	refuses(t, pack(t, KindHello, 1, 1.0, 1, 1, "", "", []string{}), "min_version", 0)
}

// Numbers at the edges of every type, and floats that look like numbers.
func TestNumbersOutOfRange(t *testing.T) {
	for _, wrong := range []any{
		int64(math.MinInt64), uint64(math.MaxUint64), math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), float32(1), -1,
	} {
		limit := uint64(0)
		if wrong == uint64(math.MaxUint64) {
			limit = MaxTTL
		}
		refuses(t, task(t, 6, wrong), "ttl_ms", limit)
	}
	refuses(t, task(t, 6, MaxTTL+1), "ttl_ms", MaxTTL)
	refuses(t, task(t, 6, uint64(1e18)), "ttl_ms", MaxTTL)
	refuses(t, pack(t, KindHeartbeat, 0, 1, 1, uint64(1<<32)), "external", math.MaxUint32)
	refuses(t, pack(t, KindHeartbeat, 0, -1, 1, 1), "handle", 0)
	refuses(t, pack(t, KindHeartbeat, 0, 1, math.NaN(), 1), "seq", 0)
	refuses(t, registration(t, 5, uint64(MaxSlots)+1), "slots", MaxSlots)
	refuses(t, registration(t, 5, -1), "slots", 0)
	refuses(t, registration(t, 2, 0), "incarnation", 0)
	refuses(t, pack(t, KindHello, 1, 1<<16, 1, 1, "", "", []string{}), "min_version", math.MaxUint16)
	refuses(t, pack(t, KindHello, 1, 1, 1, 3, "", "", []string{}), "role", uint64(RoleAgent))
	refuses(t, pack(t, KindHello, 1, 1, 1, 0, "", "", []string{}), "role", uint64(RoleAgent))
	refuses(t, pack(t, KindListWorkers, 1, "", MaxPage+1, []string{}, ""), "limit", MaxPage)
	refuses(t, pack(t, KindListWorkers, 1, "", 1, []string{}, "busy"), "state", 0)
	refuses(t, pack(t, KindListLeases, 1, 0, MaxPage+1, "", "", "", "", 0), "limit", MaxPage)
	refuses(t, pack(t, KindListLeases, 1, 0, 1, "", "", "", "", StateEnded), "state", uint64(StateAssumed))
	refuses(t, pack(t, KindListTags, 1, "", MaxPage+1), "limit", MaxPage)
	refuses(t, pack(t, KindListEvents, 1, 0, MaxPage+1), "limit", MaxPage)
	refuses(t, pack(t, KindListEvents, 1, -1, 1), "after", 0)
	refuses(t, pack(t, KindListEnded, 1, 0, MaxPage+1, "", ""), "limit", MaxPage)
}

// The words that go with a cordon are short and plain.
func TestCordonReason(t *testing.T) {
	refuses(t, pack(t, KindCordon, 1, "w", true, strings.Repeat("x", MaxReason+1), ""), "reason", MaxReason)
	refuses(t, pack(t, KindCordon, 1, "w", true, "two\nlines", ""), "reason", 0)
	refuses(t, pack(t, KindCordon, 1, "w", true, "", strings.Repeat("x", MaxID+1)), "by", MaxID)
	refuses(t, pack(t, KindCordon, 1, "w", true, "", "\x1b[1m"), "by", 0)
	refuses(t, pack(t, KindCordon, 1, "w", 1, "", ""), "on", 0)
	refuses(t, pack(t, KindCordon, 1, "\xff", true, "", ""), "worker", 0)
	refuses(t, pack(t, KindCordon, 1, "w", true, "", "", true, false, 0), "deadline_ms", MaxDrain)
	refuses(t, pack(t, KindCordon, 1, "w", true, "", "", true, false, MaxDrain+1), "deadline_ms", MaxDrain)
	require.Equal(t, &Cordon{Worker: "w", On: true, Drain: true, DeadlineMS: 1}, accepts(t, pack(t, KindCordon, 1, "w", true, "", "", true, false, 1)))
	m := accepts(t, pack(t, KindCordon, 1, "büro 1", true, strings.Repeat("x", MaxReason), "Anna Grün"))
	require.Equal(t, &Cordon{Worker: "büro 1", On: true, Reason: strings.Repeat("x", MaxReason), By: "Anna Grün"}, m)
}

func TestPriorityOutOfRange(t *testing.T) {
	for _, p := range []int64{MaxPriority + 1, -MaxPriority - 1, math.MaxInt64, math.MinInt64} {
		refuses(t, task(t, 2, p), "priority", MaxPriority)
	}
	refuses(t, task(t, 2, uint64(math.MaxUint64)), "priority", MaxPriority)
	for _, p := range []int64{MaxPriority, -MaxPriority, 0, -1} {
		require.EqualValues(t, p, accepts(t, task(t, 2, p)).(*Schedule).Priority)
	}
}

func TestExtensionTypesAndReservedByte(t *testing.T) {
	for _, value := range [][]byte{
		{0xc1}, {0xc7, 1, 5, 0}, {0xc8, 0, 1, 5, 0}, {0xc9, 0, 0, 0, 1, 5, 0},
		{0xd4, 1, 0}, {0xd5, 1, 0, 0}, {0xd6, 0xff, 0, 0, 0, 0}, {0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
		append([]byte{0xd8, 1}, make([]byte, 16)...),
	} {
		refuses(t, pack(t, KindPing, 1, rawBytes(value...)), "", 0)
		refuses(t, pack(t, KindGetStats, 1, rawBytes(value...)), "", 0)
		refuses(t, task(t, 0, rawBytes(value...)), "task", 0)
		refuses(t, task(t, 2, rawBytes(value...)), "priority", 0)
		refuses(t, registration(t, 0, rawBytes(value...)), "", 0)
	}
}

// Every legal width of a number, a string, a bin and a count is read, however
// much shorter it could be.
func TestWideFormsAreRead(t *testing.T) {
	for _, five := range [][]byte{
		{5}, {0xcc, 5}, {0xcd, 0, 5}, {0xce, 0, 0, 0, 5}, {0xcf, 0, 0, 0, 0, 0, 0, 0, 5},
		{0xd0, 5}, {0xd1, 0, 5}, {0xd2, 0, 0, 0, 5}, {0xd3, 0, 0, 0, 0, 0, 0, 0, 5},
	} {
		require.Equal(t, &Heartbeat{5, 5, 5}, accepts(t, pack(t, KindHeartbeat, rawBytes(five...), rawBytes(five...), rawBytes(five...), rawBytes(five...))))
		require.EqualValues(t, 5, accepts(t, task(t, 2, rawBytes(five...))).(*Schedule).Priority)
		require.EqualValues(t, 5, accepts(t, registration(t, 3, rawBytes(five...))).(*Register).Seq)
	}
	for _, minusTwo := range [][]byte{{0xfe}, {0xd0, 0xfe}, {0xd1, 0xff, 0xfe}, {0xd2, 0xff, 0xff, 0xff, 0xfe}, {0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}} {
		require.EqualValues(t, -2, accepts(t, task(t, 2, rawBytes(minusTwo...))).(*Schedule).Priority)
		refuses(t, task(t, 6, rawBytes(minusTwo...)), "ttl_ms", 0)
	}
	for _, w := range [][]byte{{0xa1, 'w'}, {0xd9, 1, 'w'}, {0xda, 0, 1, 'w'}, {0xdb, 0, 0, 0, 1, 'w'}} {
		require.Equal(t, []byte("w"), accepts(t, task(t, 0, rawBytes(w...))).(*Schedule).Task)
		require.Equal(t, "w", accepts(t, registration(t, 0, rawBytes(w...))).(*Register).Worker)
	}
	id := sampleLease.Bytes()
	for _, head := range [][]byte{{0xc4, 16}, {0xc5, 0, 16}, {0xc6, 0, 0, 0, 16}} {
		m := accepts(t, pack(t, KindRelease, 1, rawBytes(append(head, id[:]...)...), false))
		require.Equal(t, sampleLease, m.(*Release).Lease)
	}
	for _, tags := range [][]byte{{0x91, 0xa1, 'g'}, {0xdc, 0, 1, 0xa1, 'g'}, {0xdd, 0, 0, 0, 1, 0xd9, 1, 'g'}} {
		require.Equal(t, []string{"g"}, tagsOf(accepts(t, task(t, 1, rawBytes(tags...))).(*Schedule).Tags))
	}
	wideFrame := append([]byte{0xdd, 0, 0, 0, 2, 0xcd, 0, byte(KindPing)}, 0xcc, 9)
	require.Equal(t, &Ping{}, accepts(t, wideFrame))
}

// tagsOf returns the tags of raw as strings.
func tagsOf(raw []byte) (tags []string) {
	EachTag(raw, func(tag []byte) bool { tags = append(tags, string(tag)); return true })
	return tags
}

// badIDs are ids that the native protocol refuses, by what is wrong with them.
var badIDs = map[string]string{
	"NUL": "a\x00b", "InvalidUTF8": "a\xffb", "Control": "a\x1bb", "Newline": "a\nb", "Bidi": "a\u202eb",
	"Space": "a b", "Letter": "ä", "Quote": `a"b`, "Percent": "a%41", "Delete": "a\x7f",
}

func TestIDWithForbiddenBytes(t *testing.T) {
	for name, id := range badIDs {
		t.Run(name, func(t *testing.T) {
			lease := sampleLease.Bytes()
			refuses(t, task(t, 0, id), "task", 0)
			refuses(t, task(t, 3, id), "owner", 0)
			refuses(t, task(t, 4, id), "group", 0)
			refuses(t, task(t, 5, map[string]int{id: 1}), "resources", 0)
			refuses(t, registration(t, 0, id), "worker", 0)
			refuses(t, pack(t, KindHello, 1, 1, 1, 1, id, "", []string{}), "client", 0)
			refuses(t, pack(t, KindBatch, 1, []any{[]any{id, []string{}}}), "tasks[0].task", 0)
			refuses(t, registration(t, 10, []any{[]any{lease[:], "t", id, "", "", 0, map[string]int{}, 0}}), "leases[0].client", 0)
			require.False(t, ValidID(id))
		})
	}
}

func TestIDEmptyOrTooLong(t *testing.T) {
	long := strings.Repeat("x", MaxID+1)
	refuses(t, task(t, 0, ""), "task", 0)
	refuses(t, task(t, 0, long), "task", MaxID)
	refuses(t, task(t, 3, long), "owner", MaxID)
	refuses(t, task(t, 4, long), "group", MaxID)
	refuses(t, registration(t, 0, ""), "worker", 0)
	refuses(t, registration(t, 0, long), "worker", MaxID)
	refuses(t, pack(t, KindHello, 1, 1, 1, 1, long, "", []string{}), "client", MaxID)
	refuses(t, task(t, 5, map[string]int{"": 1}), "resources", 0)
	accepts(t, task(t, 0, long[1:]))
	require.True(t, ValidID(long[1:]))
	require.False(t, ValidID(long))
	require.False(t, ValidID(""))
	require.True(t, ValidID("AZaz09._:@/-"))
}

// A million tags in a registration, as many as a frame holds, and the first
// that is too many.
func TestMillionTags(t *testing.T) {
	refuses(t, registration(t, 4, many(1_000_000, "")), "tags", MaxWorkerTags)
	refuses(t, registration(t, 4, many(MaxWorkerTags+1, "x")), "tags", MaxWorkerTags)
	refuses(t, task(t, 1, many(MaxTaskTags+1, "x")), "tags", MaxTaskTags)
	refuses(t, pack(t, KindListWorkers, 1, "", 1, many(MaxTaskTags+1, "x"), ""), "tags", MaxTaskTags)
	refuses(t, pack(t, KindHello, 1, 1, 1, 1, "", "", many(maxFeatures+1, "x")), "features", maxFeatures)
	accepts(t, registration(t, 4, many(MaxWorkerTags, strings.Repeat("x", MaxTag))))
	accepts(t, task(t, 1, many(MaxTaskTags, strings.Repeat("x", MaxTag))))
}

// Tags are any text but control characters, with case, and kept as sent; a tag
// that comes twice is no error.
func TestTags(t *testing.T) {
	tags := []string{"gpu", "gpu", "GPU", "Größe=groß", "日本", "a b\"c", strings.Repeat("é", MaxTag/2)}
	require.Equal(t, tags, tagsOf(accepts(t, task(t, 1, tags)).(*Schedule).Tags))
	require.Equal(t, tags, accepts(t, registration(t, 4, tags)).(*Register).Tags)
	for bad, limit := range map[string]uint64{
		"": 0, "a\x00": 0, "12345678\x1f": 0, "a\x7f": 0, "a\u0085": 0, "\xff": 0, "1234567\xc3": 0,
		strings.Repeat("x", MaxTag+1): MaxTag, strings.Repeat("é", MaxTag/2+1): MaxTag,
	} {
		refuses(t, task(t, 1, []string{"ok", bad}), "tags", limit)
		refuses(t, registration(t, 4, []string{"ok", bad}), "tags", limit)
	}
}

func TestResourceAmountsOutOfRange(t *testing.T) {
	for value, limit := range map[any]uint64{
		-1: 0, int64(math.MinInt64): 0, uint64(1 << 63): MaxAmount, MaxAmount + 1: MaxAmount, 1.5: 0, math.NaN(): 0,
	} {
		refuses(t, task(t, 5, map[string]any{"cpu": value}), "resources", limit)
		refuses(t, registration(t, 7, map[string]any{"cpu": value}), "resources", limit)
	}
	nine := map[string]int{}
	for i := range MaxResources + 1 {
		nine[fmt.Sprint("r", i)] = 1
	}
	refuses(t, task(t, 5, nine), "resources", MaxResources)
	accepts(t, task(t, 5, map[string]int{"cpu": 0, "mem": MaxAmount}))
}

func TestListsOutOfRange(t *testing.T) {
	lease := sampleLease.Bytes()
	ids := func(n int) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = lease[:]
		}
		return list
	}
	refuses(t, pack(t, KindRenew, 1, ids(0)), "leases", 0)
	refuses(t, pack(t, KindRenew, 1, ids(MaxBatch+1)), "leases", MaxBatch)
	accepts(t, pack(t, KindRenew, 1, ids(MaxBatch)))
	refuses(t, pack(t, KindBatch, 1, []any{}), "tasks", 0)
	refuses(t, pack(t, KindBatch, 1, ids(MaxBatch+1)), "tasks", MaxBatch)
	refuses(t, registration(t, 10, ids(MaxWorkerLeases+1)), "leases", MaxWorkerLeases)
	refuses(t, pack(t, KindWorkers, 1, ids(MaxPage+1), ""), "rows", MaxPage)
	for _, kind := range []Kind{KindLeases, KindTags, KindEvents, KindEndedLeases} {
		refuses(t, pack(t, kind, 1, ids(MaxPage+1), 0, 0), "rows", MaxPage)
		refuses(t, pack(t, kind, 1, ids(1), 0, 0), "rows[0]", 0)
	}
}

func TestAddressAndToken(t *testing.T) {
	refuses(t, registration(t, 1, strings.Repeat("x", MaxAddress+1)), "address", MaxAddress)
	refuses(t, registration(t, 1, "host\n:1"), "address", 0)
	refuses(t, pack(t, KindHello, 1, 1, 1, 1, "", strings.Repeat("x", MaxToken+1), []string{}), "token", MaxToken)
	accepts(t, registration(t, 1, "[2001:db8::1]:9000"))
}

// Names that may have come over HTTP are any text, but text they are.
func TestForeignNames(t *testing.T) {
	refuses(t, pack(t, KindGetWorker, 1, "a\xff"), "id", 0)
	refuses(t, pack(t, KindListWorkers, 1, "\xc3", 1, []string{}, ""), "after", 0)
	long := strings.Repeat("büro \n", 1000)
	require.Equal(t, long, accepts(t, pack(t, KindGetWorker, 1, long)).(*GetWorker).ID)
	lease := sampleLease.Bytes()
	refuses(t, pack(t, KindPlaced, 1, lease[:], "w", "\xff", 1, 1, 0), "address", 0)
}

// A worker may report an outcome as the end of a lease, and nothing else.
func TestOutcomes(t *testing.T) {
	lease := sampleLease.Bytes()
	for reason := range 10 {
		end := pack(t, KindEnd, 1, 1, 1, lease[:], reason)
		record := registration(t, 10, []any{[]any{lease[:], "t", "", "", "", 0, map[string]int{}, reason}})
		if Reason(reason).IsOutcome() {
			require.EqualValues(t, reason, accepts(t, end).(*End).Outcome)
		} else {
			refuses(t, end, "outcome", uint64(ReasonLost))
		}
		if reason <= int(ReasonLost) {
			accepts(t, record)
		} else {
			refuses(t, record, "leases[0].outcome", uint64(ReasonLost))
		}
	}
}
