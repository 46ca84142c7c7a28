package index

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dtask/dtask-scheduler/selector"
)

// plainWorker is what the test knows of a worker: three dimensions, of which it has
// some.
type plainWorker struct {
	tags     []string
	dims     uint64
	room     [3]int64
	eligible bool
}

func (n *plainWorker) free() []int64 {
	var room []int64
	for d := range n.room {
		if n.dims>>d&1 != 0 {
			room = append(room, n.room[d])
		}
	}
	return room
}

// TestFindAgainstAScan changes workers at random and compares every search with
// a look at all of them.
func TestFindAgainstAScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New(Config{CacheSize: 3})
		workers := map[Worker]*plainWorker{}
		alike := rapid.Bool().Draw(t, "alike") // one deep heap instead of many small ones
		for range rapid.IntRange(20, 120).Draw(t, "steps") {
			w := Worker(rapid.IntRange(0, 11).Draw(t, "worker"))
			n := workers[w]
			if n == nil || rapid.IntRange(0, 9).Draw(t, "dress") == 0 {
				n = dress(t, x, w, n, alike)
				workers[w] = n
			}
			for d := range n.room {
				n.room[d] = rapid.Int64Range(0, 3).Draw(t, "room")
			}
			load := rapid.SampledFrom([]uint32{0, 1, 2, Full / 2, Full - 1, Full}).Draw(t, "load")
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				n.eligible = !n.eligible
				x.SetEligible(w, n.eligible, n.free()...)
			case 1:
				stamp, before := x.Stamp(w), x.LoadOf(w)
				x.Give(w, load, n.free()...)
				x.Ungive(w, before, stamp, n.free()...)
				require.Equal(t, []uint32{stamp, before}, []uint32{x.Stamp(w), x.LoadOf(w)})
			case 2:
				x.Give(w, load, n.free()...)
			default:
				x.SetLoad(w, load, n.free()...)
			}
			search(t, x, workers)
		}
		require.NoError(t, x.Check())
	})
}

// dress gives a worker tags and dimensions. What it had free is forgotten.
func dress(t *rapid.T, x *Index, w Worker, n *plainWorker, alike bool) *plainWorker {
	if n == nil {
		n = &plainWorker{}
	}
	if alike {
		n.dims = 7
		require.NoError(t, x.Put(w, nil, n.dims))
		return n
	}
	tags := []string{"gpu", "spot", "zone=a", "zone=b", "cuda=12.9", "cuda=12.10", "cuda=13"}
	n.tags = rapid.SliceOfNDistinct(rapid.SampledFrom(tags), 0, 4, rapid.ID).Draw(t, "tags")
	n.dims = rapid.Uint64Range(0, 7).Draw(t, "dims")
	require.NoError(t, x.Put(w, n.tags, n.dims))
	return n
}

var finds = []string{"", "gpu", "!spot", "cuda>12.9 && !spot", "zone in (a, b) || gpu", "zone!=a", "!(gpu && cuda<13)", "!gpu && !spot",
	`"zone=a" && !spot`, "zone in (a, b) && gpu && cuda>=12.10", "zone && (gpu || cuda<13 && !zone=b)"}

// search draws a query and compares the answer with a scan.
func search(t *rapid.T, x *Index, workers map[Worker]*plainWorker) {
	text := rapid.SampledFrom(finds).Draw(t, "where")
	where, err := selector.Parse(text)
	require.NoError(t, err)
	s := Spec{Where: where, Dims: rapid.Uint64Range(0, 7).Draw(t, "of")}
	if rapid.Bool().Draw(t, "tagged") {
		s.Tags = []string{"gpu"}
	}
	not := Worker(rapid.IntRange(0, 20).Draw(t, "not"))
	q := &Query{Most: rapid.Bool().Draw(t, "most"), Idle: rapid.IntRange(0, 3).Draw(t, "idle") == 0}
	if not < 12 {
		q.Fits = func(w Worker) bool { return w != not }
	}
	for d := range uint8(3) {
		if s.Dims>>d&1 != 0 {
			q.Needs = append(q.Needs, Need{d, rapid.Int64Range(1, 3).Draw(t, "amount")})
		}
	}
	counts := map[string]int{}
	if rapid.IntRange(0, 2).Draw(t, "spread") == 0 {
		q.Spread = x.NewSpread("zone")
		for w, n := range workers {
			if by := int(w) % 3; by > 0 {
				x.Count(q.Spread, w, by)
				counts[zoneOf(n)] += by
			}
		}
	}
	r := x.InternSpec(fmt.Appendf(nil, "%v %s %d", s.Tags, text, s.Dims), s)
	got, outcome := x.Find(r, q)
	want, all := scan(x, workers, &s, q, counts)
	require.Equal(t, len(all) > 0, outcome == Found, "%+v %+v", s, q)
	if len(all) > 0 {
		require.Equal(t, want, got, "%+v %+v", s, q)
	}
	for _, w := range all {
		require.Equal(t, w != want, x.Before(want, w, q), "%+v %+v", s, q)
		require.False(t, x.Before(w, want, q), "%+v %+v", s, q)
	}
	matching := 0
	for _, n := range workers {
		if matches(n, &s) {
			matching++
		}
	}
	require.EqualValues(t, matching, matched(x, r).GetCardinality())
	require.Equal(t, matching > 0, x.AnyMatch(r))
}

func zoneOf(n *plainWorker) string {
	zone := ""
	for _, tag := range n.tags {
		if len(tag) > 5 && tag[:5] == "zone=" && (zone == "" || tag[5:] < zone) {
			zone = tag[5:]
		}
	}
	return zone
}

func matches(n *plainWorker, s *Spec) bool {
	for _, tag := range s.Tags {
		has := false
		for _, own := range n.tags {
			has = has || own == tag
		}
		if !has {
			return false
		}
	}
	return n.dims&s.Dims == s.Dims && s.Where.Match(n.tags)
}

// scan looks at every worker, and returns the best of all that fit.
func scan(x *Index, workers map[Worker]*plainWorker, s *Spec, q *Query, counts map[string]int) (best Worker, all []Worker) {
	var bestKey uint64
	var bestCount int
	for w, n := range workers {
		key := makeKey(x.workers.at(int(w)).load, x.workers.at(int(w)).stamp, w)
		if !n.eligible || !matches(n, s) || key >= keyFull || q.Idle && x.workers.at(int(w)).load != 0 || q.Fits != nil && !q.Fits(w) {
			continue
		}
		fits := true
		for _, need := range q.Needs {
			fits = fits && n.room[need.Dim] >= need.Amount
		}
		count := counts[zoneOf(n)]
		better := len(all) == 0 || count < bestCount || count == bestCount && (key < bestKey) != q.Most
		if fits && better {
			best, bestKey, bestCount = w, key, count
		}
		if fits {
			all = append(all, w)
		}
	}
	return best, all
}

// TestTheBudgetIsOutOfReach asks 8,000 workers, each a profile of its own, for
// what fits nowhere although no subtree can be cut, and then far more of them.
func TestTheBudgetIsOutOfReach(t *testing.T) {
	for _, c := range []struct {
		workers, tags int
		want          Outcome
	}{{8_000, 8_000, None}, {8_000, 1, None}, {60_000, 30_000, Limited}, {60_000, 1, Limited}} {
		x := New(Config{})
		for i := range c.workers {
			w := Worker(i)
			require.NoError(t, x.Put(w, []string{fmt.Sprint(i % c.tags)}, 3))
			x.SetLoad(w, 7)
			x.SetEligible(w, true, int64(i%2), int64(1-i%2))
		}
		r := x.InternSpec([]byte("both"), Spec{Dims: 3})
		q := &Query{Needs: []Need{{0, 1}, {1, 1}}}
		_, outcome := x.Find(r, q)
		require.Equal(t, c.want, outcome, "%d workers, %d sets of tags", c.workers, c.tags)
		require.Zero(t, testing.AllocsPerRun(10, func() { x.Find(r, q) }))
	}
}

func benchmarkFind(b *testing.B, workers int, need func(i int) [2]int64, ask [2]int64, most bool) {
	x := New(Config{})
	for i := range workers {
		w := Worker(i)
		_ = x.Put(w, []string{fmt.Sprintf("hw=%d", i%48), fmt.Sprintf("zone=%d", i/48%12)}, 3)
		x.SetLoad(w, Full/2)
		room := need(i)
		x.SetEligible(w, true, room[:]...)
	}
	r := x.InternSpec([]byte("x"), Spec{Dims: 3})
	q := &Query{Needs: []Need{{0, ask[0]}, {1, ask[1]}}, Most: most}
	for b.Loop() {
		w, outcome := x.Find(r, q)
		if outcome == Found {
			room := need(int(w))
			x.Give(w, Full/2, room[:]...)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{5_000, 50_000, 1_000_000} {
		roomy := func(i int) [2]int64 { return [2]int64{int64(i % 7), int64(i % 5)} }
		b.Run(fmt.Sprintf("scattered/%d", n), func(b *testing.B) { benchmarkFind(b, n, roomy, [2]int64{2, 1}, false) })
		b.Run(fmt.Sprintf("pack/%d", n), func(b *testing.B) { benchmarkFind(b, n, roomy, [2]int64{2, 1}, true) })
		b.Run(fmt.Sprintf("nothing/%d", n), func(b *testing.B) { benchmarkFind(b, n, roomy, [2]int64{9, 9}, false) })
		b.Run(fmt.Sprintf("hundredth/%d", n), func(b *testing.B) {
			benchmarkFind(b, n, func(i int) [2]int64 { return [2]int64{int64(i * 7919 % 100), 1} }, [2]int64{99, 1}, false)
		})
		b.Run(fmt.Sprintf("opposed/%d", n), func(b *testing.B) {
			benchmarkFind(b, n, func(i int) [2]int64 { return [2]int64{int64(i / 600 % 2), int64(1 - i/600%2)} }, [2]int64{1, 1}, false)
		})
	}
}

// BenchmarkNewSelector is a selector never seen before, with its first search.
func BenchmarkNewSelector(b *testing.B) {
	b.Run("shared", func(b *testing.B) { benchmarkNewSelector(b, 48) })
	b.Run("own", func(b *testing.B) { benchmarkNewSelector(b, 5_000) })
}

func benchmarkNewSelector(b *testing.B, models int) {
	x := New(Config{})
	for i := range 5_000 {
		w := Worker(i)
		_ = x.Put(w, []string{"gpu", fmt.Sprintf("hw=%d", i%models), fmt.Sprintf("zone=%d", i/48%12), fmt.Sprintf("cuda=12.%d", i%models%13)}, 3)
		x.SetLoad(w, Full/2)
		x.SetEligible(w, true, 1, 1)
	}
	n := 0
	for b.Loop() {
		n++
		where, err := selector.Parse(fmt.Sprintf("gpu && cuda>=12.%d && cuda<%d && zone in (1, 2, 3) && !spot", n%9, 13+n))
		if err != nil {
			b.Fatal(err)
		}
		r := x.InternSpec(fmt.Appendf(nil, "%d", n), Spec{Where: where, Dims: 3})
		if _, outcome := x.Find(r, &Query{Needs: []Need{{0, 1}}}); outcome != Found {
			b.Fatal(outcome)
		}
	}
}
