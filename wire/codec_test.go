package wire

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryKindIsWhole fails until a kind has a struct, a codec, a generator
// for the laws, a golden vector, and a section of the documents of the protocol
// that names its number and its fields in order.
func TestEveryKindIsWhole(t *testing.T) {
	vectors := map[Kind]bool{}
	for _, s := range samples() {
		vectors[s.message.Kind()] = true
	}
	document := documents(t)
	sections := sectionsOf(document)
	for _, k := range allKinds() {
		t.Run(k.String(), func(t *testing.T) {
			require.True(t, vectors[k], "no golden vector")
			section, ok := sections[k.String()]
			require.True(t, ok, "the documents have no section of this name")
			require.Contains(t, section, head(k), "the section names the kind's number and fields")
			for _, name := range fieldNames(k) {
				require.Contains(t, section, "`"+name+"`")
			}
		})
	}
	require.ElementsMatch(t, inOrderOfKinds(), headings(document), "one section for each kind")
	for i, name := range headings(document) {
		for _, request := range answered[name] {
			before := headings(document)[max(0, i-3):i]
			require.Contains(t, before, request, "%s stands beside what it answers", name)
		}
	}
}

// answered lists what an answer belongs to.
var answered = map[string][]string{
	"hello_ok": {"hello"}, "pong": {"ping"}, "placed": {"schedule"}, "placed_all": {"batch"}, "settled": {"batch"}, "renewed": {"renew"},
	"released": {"release"}, "registered": {"register"}, "superseded": {"register"}, "ended": {"end"}, "revoked": {"revoke"}, "gone": {"deregister"},
	"workers": {"list_workers"}, "worker": {"get_worker"}, "stats": {"get_stats"}, "beat_ack": {"beat"}, "cordoned": {"cordon"}, "leases": {"list_leases"},
	"tags": {"list_tags"}, "events": {"list_events"}, "ended_leases": {"list_ended"}, "cancelled": {"cancel"}, "queue": {"list_queue"},
}

// documents returns the pages of the protocol, one behind the other.
func documents(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, page := range []string{"protocol", "protocol-datagrams", "protocol-operators"} {
		text, err := os.ReadFile("../docs/" + page + ".md")
		require.NoError(t, err)
		all.Write(append(text, '\n'))
	}
	return all.String()
}

// The table of kinds names the file of every message.
func TestKindsNameTheirFiles(t *testing.T) {
	table, err := os.ReadFile("kind.go")
	require.NoError(t, err)
	named, file := 0, ""
	for line := range strings.SplitSeq(string(table), "\n") {
		if name, ok := strings.CutPrefix(line, "\t// "); ok && strings.HasSuffix(name, ".go") {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			file = string(text)
		}
		if m := regexp.MustCompile(`(?:cold|hot)\[(\w+)\]\("`).FindStringSubmatch(line); m != nil {
			require.Contains(t, file, "\ntype "+m[1]+" struct", "it stands in another file")
			named++
		}
	}
	require.Len(t, allKinds(), named)
}

// head is the line with which a section shows its message.
func head(k Kind) string {
	return "[" + strings.Join(append([]string{itoa(k), "request_id"}, fieldNames(k)...), ", ") + "]"
}

func itoa(k Kind) string { return strings.TrimPrefix(name(nil, int(k), "x"), "x") }

func inOrderOfKinds() []string {
	var names []string
	for _, k := range allKinds() {
		names = append(names, k.String())
	}
	return names
}

// headings returns the names of a document's sections of messages, "### name",
// in their order.
func headings(document string) (names []string) {
	for _, line := range strings.Split(document, "\n") {
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			names = append(names, heading)
		}
	}
	return names
}

// sectionsOf returns the text below each "### name".
func sectionsOf(document string) map[string]string {
	sections := map[string]string{}
	for _, section := range strings.Split(document, "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[heading] = text
	}
	return sections
}

// The documents list every code, state, reason and role by name and number.
func TestDocumentNamesEveryNumber(t *testing.T) {
	errors, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	document := documents(t) + string(errors)
	for table, names := range map[string][]string{"code": codeNames[:], "state": stateNames[:], "reason": reasonNames[:], "role": roleNames[:]} {
		for i, n := range names {
			if n != "" {
				require.Contains(t, document, "| "+name(nil, i, "")+" | `"+n+"` |", table)
			}
		}
	}
}

// The hot kinds are decoded and encoded without a single allocation, but for the
// sentence of a refusal.
func TestHotKindsAllocateNothing(t *testing.T) {
	var d Decoder
	for _, s := range samples() {
		if kinds[s.message.Kind()].read == nil || strings.HasSuffix(s.name, "with a reason") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			out := Append(nil, s.request, s.message)
			frame := bytes.Clone(out[lengthSize:])
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if _, _, err := d.Decode(frame); err != nil {
					t.Error(err)
				}
			}), "decode")
			require.Zero(t, testing.AllocsPerRun(100, func() { out = Append(out[:0], s.request, s.message) }), "append")
		})
	}
	out := make([]byte, 0, 1024)
	refused := &Error{Code: CodeUnavailable, Message: "all workers with these tags are busy", RetryAfterMS: 1000}
	require.Zero(t, testing.AllocsPerRun(100, func() { out = Append(out[:0], 7, refused) }), "append an error")
}

// A heartbeat of a registered session never has more than 24 bytes, its length
// included.
func TestHeartbeatSize(t *testing.T) {
	greatest := &Heartbeat{Handle: math.MaxUint32, Seq: math.MaxUint32, External: math.MaxUint32}
	require.LessOrEqual(t, len(Append(nil, 0, greatest)), 24)
	require.LessOrEqual(t, len(Append(nil, 0, &Heartbeat{Handle: 300, Seq: 70_000, External: 2})), 16)
}

// A message of a decoder that was used before holds nothing of earlier ones.
func TestDecoderKeepsNothing(t *testing.T) {
	var d Decoder
	decode := func(m Message) Message {
		got, _, err := d.Decode(Append(nil, 1, m)[lengthSize:])
		require.NoError(t, err)
		return got
	}
	decode(&fullTask)
	require.Equal(t, &bareTask, decode(&bareTask))
	decode(&Batch{Tasks: []Schedule{fullTask, fullTask}})
	require.Equal(t, &Batch{Tasks: []Schedule{bareTask}}, decode(&Batch{Tasks: []Schedule{bareTask}}))
	decode(&PlacedAll{Results: []BatchResult{{Placed: samplePlaced}}})
	refused := &PlacedAll{Results: []BatchResult{{Code: CodeBusy}}}
	require.Equal(t, refused, decode(refused))

	_, _, err := d.Decode([]byte{0x93, byte(KindBatch), 1, 0x91})
	require.ErrorContains(t, err, "tasks")
	_, _, err = d.Decode([]byte{0x93, byte(KindSchedule), 1, 0})
	var bad *Error
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "tags", bad.Field, "the list of the earlier failure is not named")
	require.Equal(t, &bareTask, decode(&bareTask))
}

// The byte slices of a message end where they end: appending to one must not
// write into the frame.
func TestSlicesDoNotReachFurther(t *testing.T) {
	var d Decoder
	every := choiceTask
	every.Owner, every.Group = fullTask.Owner, fullTask.Group
	frame := Append(nil, 1, &every)[lengthSize:]
	before := bytes.Clone(frame)
	m, _, err := d.Decode(frame)
	require.NoError(t, err)
	s := m.(*Schedule)
	for _, b := range [][]byte{s.Task, s.Tags, s.Owner, s.Group, s.Resources, s.Selector, s.Prefer, s.NotWorkers, s.Policy, s.SpreadBy} {
		require.NotEmpty(t, b)
		_ = append(b, "overwritten"...)
	}
	require.Equal(t, before, frame)
}

func TestEachTagAndResource(t *testing.T) {
	raw := AppendTags(nil, []string{"a", "b", "c"})
	require.Equal(t, []string{"a", "b", "c"}, tagsOf(raw))
	require.Empty(t, tagsOf(nil))
	require.Equal(t, []string{"a"}, tagsOf(raw[:4]), "bytes that are cut short end the tags")
	var first []byte
	EachTag(raw, func(tag []byte) bool { first = tag; return false })
	require.Equal(t, []byte("a"), first)

	resources := map[string]int64{"mem": 3, "cpu": 2000, "gpu": 0}
	got, order := map[string]int64{}, ""
	EachResource(AppendResources(nil, resources), func(name []byte, amount int64) bool {
		got[string(name)] = amount
		order += string(name) + " "
		return true
	})
	require.Equal(t, resources, got)
	require.Equal(t, "cpu gpu mem ", order)
	visits := 0
	EachResource(AppendResources(nil, resources), func([]byte, int64) bool { visits++; return false })
	require.Equal(t, 1, visits)
	EachResource(nil, func([]byte, int64) bool { t.Error("none"); return true })
	require.Empty(t, AppendTags(nil, nil))
	require.Empty(t, AppendResources(nil, nil))

	long := strings.Repeat("x", 70_000)
	require.Equal(t, []string{long, "y"}, tagsOf(AppendTags(nil, []string{long, "y"})), "HTTP has no limits of ours")
	require.Len(t, tagsOf(AppendTags(nil, many(70_000, "t"))), 70_000)
}

// A task is written without the zeros at its end, whichever field is the last
// that says something, and with priorities of every width.
func TestTaskIsWrittenAsShortAsItIs(t *testing.T) {
	var d Decoder
	for n, s := range []Schedule{
		{}, {Priority: -33}, {Owner: []byte("o")}, {Group: []byte("g")}, {Resources: AppendResources(nil, map[string]int64{"cpu": 1})}, {TTLMS: 1},
		{Selector: []byte("s")}, {Prefer: []byte("p")}, {NotWorkers: AppendWorkers(nil, []string{"w"})}, {Exclusive: true},
		{Policy: []byte("pack")}, {SpreadBy: []byte("k")},
	} {
		s.Task = []byte("t")
		frame := Append(nil, 1, &s)[lengthSize:]
		require.EqualValues(t, codeFixArray+2+scheduleRequired+n, frame[0])
		m, _, err := d.Decode(frame)
		require.NoError(t, err)
		require.Equal(t, &s, m)
	}
	for _, p := range []int32{0, 1, 127, 128, 255, 256, 65_535, 65_536, -1, -32, -33, -128, -129, -32_768, -32_769, -MaxPriority} {
		m, _, err := d.Decode(Append(nil, 1, &Schedule{Task: []byte("t"), Priority: p})[lengthSize:])
		require.NoError(t, err)
		require.Equal(t, p, m.(*Schedule).Priority)
	}
	require.Equal(t, []byte{codeInt64, 0x80, 0, 0, 0, 0, 0, 0, 0}, appendInt(nil, math.MinInt64))
}

func TestTarget(t *testing.T) {
	worker, address := ReadTarget(AppendTarget(nil, "büro 1", strings.Repeat("h", 300)))
	require.Equal(t, "büro 1", worker)
	require.Equal(t, strings.Repeat("h", 300), address)
	worker, address = ReadTarget(accepts(t, Append(nil, 1, &Placed{})[lengthSize:]).(*Placed).Target)
	require.Empty(t, worker+address, "a placement without a target is a message all the same")
	worker, address = ReadTarget([]byte{0xa1, 'w'})
	require.Empty(t, worker+address)
}

// The sessions of a client and an agent that the document shows in bytes are
// what the codec writes.
func TestDocumentedSession(t *testing.T) {
	_, examples, _ := strings.Cut(documents(t), "## A session in bytes")
	examples, _, _ = strings.Cut(examples, "\n# ")
	blocks := strings.Split(examples, "```\n")
	require.Len(t, blocks, 7)
	client, agent := strings.Split(strings.TrimSpace(blocks[1]), "\n"), strings.Split(strings.TrimSpace(blocks[5]), "\n")
	require.Len(t, client, 6)
	require.Len(t, agent, 11)
	var d Decoder
	for _, line := range append(client, agent...) {
		kind, digits, _ := strings.Cut(line, " ")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		require.NoError(t, err)
		frame, n, err := Split(b, MaxFrameBeforeHello)
		require.NoError(t, err)
		require.Equal(t, len(b), n)
		m, request, err := d.Decode(frame)
		require.NoError(t, err)
		require.Equal(t, kind, m.Kind().String())
		require.Equal(t, b, Append(nil, request, m))
	}
}
