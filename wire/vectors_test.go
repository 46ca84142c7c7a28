package wire

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The golden vectors: the messages of samples, in bytes. A vector is a name, a
// line of JSON with the fields, a line of hexadecimal digits with the whole
// frame, and an empty line.
const vectorFile = "testdata/v1/vectors.txt"

var addVectors = flag.Bool("add-vectors", false, "append vectors of new samples; those that exist are never changed")

type vector struct {
	name, fields string
	bytes        []byte
}

func readVectors(t *testing.T) map[string]vector {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	require.NoError(t, err)
	vectors := map[string]vector{}
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(block, "\n")
		require.Len(t, lines, 3, block)
		b, err := hex.DecodeString(lines[2])
		require.NoError(t, err, block)
		require.NotContains(t, vectors, lines[0])
		vectors[lines[0]] = vector{lines[0], lines[1], b}
	}
	return vectors
}

func TestGoldenVectors(t *testing.T) {
	if *addVectors {
		appendVectors(t)
	}
	vectors := readVectors(t)
	require.Len(t, vectors, len(samples()), "a vector is kept for ever, and so is its sample")
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			v, ok := vectors[s.name]
			require.True(t, ok, "no vector; go test ./wire -run Golden -add-vectors appends it")
			require.Equal(t, hex.EncodeToString(v.bytes), hex.EncodeToString(Append(nil, s.request, s.message)))
			requireReads(t, v.bytes, s)
			require.Equal(t, jsonOf(t, v.bytes), v.fields)
		})
	}
}

// requireReads fails the test unless a whole frame reads as the sample.
func requireReads(t *testing.T, buf []byte, s sample) {
	t.Helper()
	frame, n, err := Split(buf, MaxFrame)
	require.NoError(t, err)
	require.Equal(t, len(buf), n)
	var d Decoder
	m, request, err := d.Decode(frame)
	require.NoError(t, err)
	require.Equal(t, s.request, request)
	require.Equal(t, s.message, m)
}

// appendVectors adds the vectors of samples that have none yet.
func appendVectors(t *testing.T) {
	have := map[string]vector{}
	if _, err := os.Stat(vectorFile); err == nil {
		have = readVectors(t)
	}
	file, err := os.OpenFile(vectorFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	for _, s := range samples() {
		if _, ok := have[s.name]; !ok {
			b := Append(nil, s.request, s.message)
			fmt.Fprintf(file, "%s\n%s\n%x\n\n", s.name, jsonOf(t, b), b)
		}
	}
	require.NoError(t, file.Close())
}

// jsonOf returns the fields of a whole frame as JSON, in their order, with
// the names that docs/protocol.md gives them. It is made from the oracle's
// reading.
func jsonOf(t *testing.T, buf []byte) string {
	t.Helper()
	values, ok := oracleMessage(buf[lengthSize:])
	require.True(t, ok)
	kind := Kind(values[0].(integer).bits)
	var b strings.Builder
	fmt.Fprintf(&b, `{"kind":%q,"request_id":%d`, kind, values[1].(integer).bits)
	names := fieldNames(kind)
	for i, v := range values[2:] {
		fmt.Fprintf(&b, `,%q:%s`, names[i], describeValue(v))
	}
	return b.String() + "}"
}

// describeValue returns a value as JSON: lease ids as their text, digests as
// 16 hexadecimal digits, arrays of fields without names.
func describeValue(v any) string {
	switch v := v.(type) {
	case integer:
		if v.negative {
			return fmt.Sprint(int64(v.bits))
		}
		return fmt.Sprint(v.bits)
	case []byte:
		if len(v) == digestSize {
			return fmt.Sprintf(`"%x"`, v)
		}
		return fmt.Sprintf("%q", leaseFrom(v))
	case []any:
		elements := make([]string, len(v))
		for i := range v {
			elements[i] = describeValue(v[i])
		}
		return "[" + strings.Join(elements, ",") + "]"
	case pairs:
		entries := make([]string, 0, len(v)/2)
		for i := 0; i < len(v); i += 2 {
			entries = append(entries, describeValue(v[i])+":"+describeValue(v[i+1]))
		}
		return "{" + strings.Join(entries, ",") + "}"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// fieldNames returns the names of a kind's fields in the order of the wire.
func fieldNames(k Kind) (names []string) {
	for _, f := range kinds[k].fields.list {
		names = append(names, f.name)
	}
	return names
}

const python = "/usr/bin/python3"

// needsPython skips the test where Python or its msgpack is missing.
func needsPython(t *testing.T) {
	if err := exec.Command(python, "-c", "import msgpack").Run(); err != nil {
		t.Skipf("%s with the module msgpack is missing (Debian: python3-msgpack): %v", python, err)
	}
}

// TestPythonReadsTheVectors has a second implementation of msgpack read every
// vector, compare it with its description, and write it again; what it wrote
// must read as the same message.
func TestPythonReadsTheVectors(t *testing.T) {
	needsPython(t)
	out, err := exec.Command(python, "testdata/reencode.py", vectorFile).CombinedOutput()
	require.NoError(t, err, string(out))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, len(samples()))
	again := map[string][]byte{}
	for _, line := range lines {
		digits, name, _ := strings.Cut(line, " ")
		again[name], err = hex.DecodeString(digits)
		require.NoError(t, err, line)
	}
	for _, s := range samples() {
		requireReads(t, again[s.name], s)
	}
}
