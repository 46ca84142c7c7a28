package selector

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ordered lists versions in their order; those of one line are equal.
var ordered = []string{
	"-12345678901234567890123", "-10 -010", "-9",
	"0-alpha", "0 -0 0.0 v0 00", "0.0.1", "0.1", "1", "1.2.3-alpha", "1.2.3-alpha.1 1.2.3-alpha.01",
	"1.2.3-alpha.beta", "1.2.3-beta", "1.2.3-beta.2", "1.2.3-beta.11", "1.2.3-rc.1 1.2.3-rc.1+build.5",
	"1.2.3 v1.2.3 1.2.3.0 1.2.3+cu118 01.02.03", "1.2.4-0", "1.2.4-1", "1.2.4--", "1.2.4-A", "1.2.4-a",
	"11.8", "12 12.0 12.0.0", "12.4", "12.9", "12.10", "13.0.0-beta1 13-beta1", "13.0.0 13", "13.0.1-rc1", "550.54.14",
	"2023-12-31 2023.12.31", "2024", "2024-05 2024.05 2024.5", "2024-05-17-rc1", "2024-05-17 2024.05.17 v2024-05-17+build", "2024-05-18", "2024-11-02", "2024-12",
	"2025.1", "20240517", "12345678901234567890", "12345678901234567890.1",
}

func sign(n int) int { return cmp.Compare(n, 0) }

func TestVersionsHaveAnOrder(t *testing.T) {
	for i, left := range ordered {
		for j, right := range ordered {
			for a := range strings.FieldsSeq(left) {
				for b := range strings.FieldsSeq(right) {
					require.True(t, isVersion(a), a)
					require.Equal(t, cmp.Compare(i, j), sign(compare(a, b)), "%s and %s", a, b)
				}
			}
		}
	}
}

func TestWhatIsNoVersion(t *testing.T) {
	for _, s := range []string{
		"", "v", "-", "new", "12.", ".12", "12..4", "12.x", "12.4rc1", "1.2.3-", "1.2.3+", "1.2.3-a..b", "1.2.3-ä", "1.2.3+a_b", "1.2.3-a_b",
		"-1.2", "--1", "-1-a", "vv1", "V1", "1:2.3", "2024-05-17T10:00", "2024/05/17", "r550", "1 2", "+1", "-v1", "1.2.3+a+b",
	} {
		require.False(t, isVersion(s), s)
	}
	// What looks like a date and is none is a year with a prerelease.
	for _, s := range []string{"2024-13-01", "2024-00", "0024-05", "12024-05", "2024-5", "2024-05-17a"} {
		v, ok := readVersion(s)
		require.True(t, ok, s)
		require.NotEmpty(t, v.pre, s)
	}
}

func TestPrereleasesBuildsAndDates(t *testing.T) {
	for _, c := range []struct {
		text, tags string
		want       bool
	}{
		{"cuda>=13", "cuda=13.0.0-beta1", false},
		{"cuda>=13-0", "cuda=13.0.0-beta1", true},
		{"cuda<13", "cuda=13.0.0-beta1", true},
		{"cuda>12.10", "cuda=13.0.0-beta1", true},
		{"cuda=13", "cuda=13.0.0-beta1", false},
		{"torch>=1.2.3", "torch=1.2.3+cu118", true},
		{"torch>1.2.3", "torch=1.2.3+cu118", false},
		{"torch=1.2.3", "torch=1.2.3+cu118", true},
		{"torch=1.2.3+cu118", "torch=1.2.3+cu118", true},
		{"torch=1.2.3+cu118", "torch=1.2.3+cu121", false},
		{"torch=1.2.3+cu118", "torch=1.2.3", false},
		{"torch!=1.2.3+cu118", "torch=1.2.3+cu121", true},
		{"torch in (1.2.3+cu118, 2)", "torch=v2.0+cu121", true},
		{"image>=2024-05-17", "image=2024-06-01", true},
		{"image>=2024-05-17", "image=2024.05.16", false},
		{"image<2024-06", "image=2024-05-31", true},
		{"driver>=550", "driver=550.54.14-grid", true},
	} {
		e, err := Parse(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, e.Match(strings.Fields(c.tags)), "%s on %s", c.text, c.tags)
	}
}

// drawn returns a text that is a version, or nearly one.
func drawn(rng *rand.Rand) string {
	pieces := []string{"0", "1", "2", "9", "10", "01", "2024", "05", "17", ".", ".", "-", "+", "v", "a", "rc", "B", "é"}
	var b strings.Builder
	for range 1 + rng.IntN(7) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// lawful checks the laws of a total order on three values, where all are versions.
func lawful(t *testing.T, a, b, c string) bool {
	if !isVersion(a) || !isVersion(b) || !isVersion(c) {
		return false
	}
	ab, bc, ac := sign(compare(a, b)), sign(compare(b, c)), sign(compare(a, c))
	what := fmt.Sprintf("%q, %q and %q", a, b, c)
	require.Zero(t, compare(a, a), what)
	require.Equal(t, ab, -sign(compare(b, a)), what)
	if ab == bc || bc == 0 {
		require.Equal(t, ab, ac, what)
	} else if ab == 0 {
		require.Equal(t, bc, ac, what)
	}
	require.Equal(t, ab == 0, equals(strings.SplitN(a, "+", 2)[0], b), what)
	return true
}

func TestVersionsAreTotallyOrdered(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	lawfuls := 0
	var known []string
	for range 20_000 {
		if s := drawn(rng); isVersion(s) {
			known = append(known, s)
		}
	}
	for range 100_000 {
		pick := func() string { return known[rng.IntN(len(known))] }
		if lawful(t, pick(), pick(), pick()) {
			lawfuls++
		}
	}
	require.Equal(t, 100_000, lawfuls)
}

func FuzzVersions(f *testing.F) {
	f.Add("1.2.3-beta1", "1.2.3+cu118", "2024-05-17")
	f.Add("-3", "v0", "0-a")
	f.Add("2024-05-17-rc.1", "2024.5.17", "2024-5")
	f.Fuzz(func(t *testing.T, a, b, c string) { lawful(t, a, b, c) })
}
