package wire

import (
	"fmt"
	"math"
	"math/bits"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The digest vectors: each line has the digest of a worker in hexadecimal
// digits, and the ids of the leases that run there.
const digestFile = "testdata/v1/digests.txt"

func readDigests(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(digestFile)
	require.NoError(t, err)
	return string(text)
}

func TestDigestVectors(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(readDigests(t)), "\n") {
		words := strings.Fields(line)
		var sum uint64
		for _, text := range words[1:] {
			id, err := ParseLeaseID(text)
			require.NoError(t, err)
			sum ^= id.Digest()
		}
		require.Equal(t, words[0], fmt.Sprintf("%016x", sum), line)
	}
}

// The document shows all digest vectors.
func TestDocumentedDigests(t *testing.T) {
	require.Contains(t, documents(t), "```\n"+readDigests(t)+"```\n")
}

// TestPythonComputesTheDigests has the recipe of the document, written in
// another language, agree with the vectors.
func TestPythonComputesTheDigests(t *testing.T) {
	needsPython(t)
	out, err := exec.Command(python, "testdata/digests.py", digestFile).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, fmt.Sprintln(strings.Count(readDigests(t), "\n")), string(out), "all of them")
}

// Leases that differ by little differ in about half of the digest's bits, and
// no two of the many that a scheduler grants have the same.
func TestDigestsAreSpread(t *testing.T) {
	seen := map[uint64]bool{}
	flips := 0
	const leases = 20_000
	for n := range uint64(leases) {
		id := LeaseID{Epoch: uint32(n % 7), Instance: math.MaxUint32 - uint32(n%11), Counter: n}
		next := id
		next.Counter++
		flips += bits.OnesCount64(id.Digest() ^ next.Digest())
		seen[id.Digest()] = true
	}
	require.Len(t, seen, leases)
	require.InDelta(t, 32, float64(flips)/leases, 0.5)
}

// Also the id that names no lease has a digest, so that a mistake is seen.
func TestDigestIsNotZero(t *testing.T) {
	require.NotZero(t, LeaseID{}.Digest())
}

func TestDigestAllocatesNothing(t *testing.T) {
	var sum uint64
	require.Zero(t, testing.AllocsPerRun(100, func() { sum ^= sampleLease.Digest() }))
}
