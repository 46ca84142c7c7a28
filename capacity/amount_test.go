package capacity

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		up, down   int64
	}{
		{"cpu", "2", 2000, 2000},
		{"cpu", "0.5", 500, 500},
		{"cpu", "1500m", 1500, 1500},
		{"cpu", "0.0001", 1, 0},
		{"mem", "40Gi", 40960, 40960},
		{"mem", "500M", 477, 476},
		{"mem", "1.5Gi", 1536, 1536},
		{"mem", "1k", 1, 0},
		{"mem", "512", 512, 512},
		{"scratch", "200Gi", 204800, 204800},
		{"licenses", "3", 3, 3},
		{"mem", "1024Pi", 1 << 40, 1 << 40},
	} {
		up, err := Parse(c.name, c.text, Up)
		require.NoError(t, err, c.text)
		down, err := Parse(c.name, c.text, Down)
		require.NoError(t, err, c.text)
		require.Equal(t, []int64{c.up, c.down}, []int64{up, down}, c.text)
	}
}

func TestBadAmounts(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"cpu", "-1", `cpu: "-1" is negative`},
		{"cpu", "", `cpu: "" is not an amount`},
		{"cpu", "2Gi", `cpu: "2Gi" has an unknown unit; cpu is written as 2, 0.5 or 1500m`},
		{"mem", "5Q", `mem: "5Q" has an unknown unit; the units are Ki Mi Gi Ti Pi k M G T P`},
		{"mem", "5m", `mem: "5m" has an unknown unit; the units are Ki Mi Gi Ti Pi k M G T P`},
		{"mem", "0.5", `mem: "0.5" is not a whole number`},
		{"mem", "1e9", `mem: "1e9" is not a number`},
		{"mem", "1.2.3", `mem: "1.2.3" is not a number`},
		{"mem", "1025Pi", `mem: "1025Pi" is more than 1099511627776`},
		{"gpu", "2Gi", `gpu: "2Gi" has a unit; gpu counts whole devices`},
		{"gpu", "0.5", `gpu: "0.5" is not a whole number`},
		{"cpu", strings.Repeat("9", 33), `cpu: "` + strings.Repeat("9", 33) + `" is not a number`},
		{"mem", "Gi", `mem: "Gi" is not an amount`},
		{"mem", "16 Gi", `mem: "16 Gi" is not a number`},
		{"mem", "+1", `mem: "+1" is not a number`},
		{"gpu", "99999999999999999999", `gpu: "99999999999999999999" is more than 1099511627776`},
	} {
		_, err := Parse(c.name, c.text, Up)
		require.EqualError(t, err, c.want)
	}
	_, err := ParseList("cpu=1,cpu=2", Up)
	require.EqualError(t, err, `cpu: "cpu=2" names the resource twice`)
	_, err = ParseList("cpu", Up)
	require.EqualError(t, err, `resources: "cpu" is not name=amount`)
	list, err := ParseList(" cpu=4, mem=16Gi ,", Down)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"cpu": 4000, "mem": 16384}, list)
}

func TestFormatIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{CPU, Mem, GPU, GPUMem, "scratch"}).Draw(t, "name")
		amount := rapid.Int64Range(0, MaxAmount).Draw(t, "amount")
		back, err := Parse(name, Format(name, amount), Up)
		require.NoError(t, err)
		require.Equal(t, amount, back)
	})
}

// TestDevicesAgainstEveryChoice compares the choice with the best of all
// possible ones.
func TestDevicesAgainstEveryChoice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := make([]Device, rapid.IntRange(0, 6).Draw(t, "devices"))
		for i := range d {
			d[i].Memory = rapid.Int64Range(0, 4).Draw(t, "memory")
			switch rapid.IntRange(0, 2).Draw(t, "use") {
			case 1:
				d[i].Used, d[i].Leases = rapid.Int64Range(0, d[i].Memory).Draw(t, "used"), 1
			case 2:
				d[i].Whole, d[i].Leases = true, 1
			}
		}
		mem, n := rapid.Int64Range(1, 4).Draw(t, "mem"), rapid.Int64Range(1, 3).Draw(t, "n")
		share, okShare := TakeShare(d, mem)
		whole, okWhole := TakeWhole(d, n, mem)
		bestShare, bestWhole := uint64(0), uint64(0)
		for mask := uint64(1); mask < 1<<len(d); mask++ {
			if numbers := Bits(mask); len(numbers) == 1 && fitsShare(d[numbers[0]], mem) && (bestShare == 0 || left(d, mask) < left(d, bestShare)) {
				bestShare = mask
			}
			if fitsWhole(d, mask, n, mem) && (bestWhole == 0 || before(d, mask, bestWhole)) {
				bestWhole = mask
			}
		}
		require.Equal(t, bestShare, share)
		require.Equal(t, bestShare != 0, okShare)
		require.Equal(t, bestWhole != 0, okWhole)
		if okWhole {
			require.Equal(t, bestWhole, whole)
		}
		require.Equal(t, share, Mask(Bits(share)))
	})
}

func left(d []Device, mask uint64) int64 {
	i := Bits(mask)[0]
	return d[i].Memory - d[i].Used
}

func fitsShare(d Device, mem int64) bool { return !d.Whole && d.Memory-d.Used >= mem }

func fitsWhole(d []Device, mask uint64, n, mem int64) bool {
	numbers := Bits(mask)
	for _, i := range numbers {
		if d[i].Leases > 0 || d[i].Memory < mem {
			return false
		}
	}
	return int64(len(numbers)) == n
}

// before reports whether a takes less memory than b, or as much with lower
// numbers.
func before(d []Device, a, b uint64) bool {
	var sumA, sumB int64
	for _, i := range Bits(a) {
		sumA += d[i].Memory
	}
	for _, i := range Bits(b) {
		sumB += d[i].Memory
	}
	return sumA < sumB || sumA == sumB && a < b
}
