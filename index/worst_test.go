package index

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryWorkerWithATagSetOfItsOwn(t *testing.T) {
	const workers = 3_000
	x := New(Config{})
	for w := range Worker(workers) {
		put(t, x, w, uint32(w*7919%workers), "all", fmt.Sprintf("a=%d", w%60), fmt.Sprintf("b=%d", w/60))
	}
	require.Equal(t, workers, x.Stats().Profiles)
	requireLeast(t, x, 0, "all")
	requireLeast(t, x, 48*60+17, "a=17", "b=48")
	for w := range Worker(workers) {
		if w != 1234 {
			x.Remove(w)
		}
	}
	requireLeast(t, x, 1234, "all")
	require.Equal(t, Stats{Workers: 1, Tags: 3, Profiles: 1, Requirements: 2}, x.Stats())
	require.Len(t, x.layout.order, 1)
}

func TestThousandsOfDistinctRequirements(t *testing.T) {
	f := newFleet(1_000, 2_000, sharedTags)
	n := &naive{workers: map[Worker]*naiveWorker{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, w := range f.running {
		n.workers[w] = &naiveWorker{load: f.slots[w].load(), given: i + 1, eligible: true}
	}
	for w := range Worker(1_000) {
		n.workers[w].tags = sortedSet(sharedTags(rng))
	}
	for _, r := range f.requirements[:200] {
		want, _ := n.least(r.Tags())
		got, ok := f.x.Least(r)
		require.True(t, ok)
		require.Equal(t, want, got, "%q", r.Tags())
	}
	require.NoError(t, f.x.Check())
}

func TestRareTagAmongMany(t *testing.T) {
	f := newFleet(2_000, 50, sharedTags)
	put(t, f.x, 1_500, Load(63, 64), append(sharedTags(f.rng), "fpga")...)
	requireLeast(t, f.x, 1_500, "fpga")
	f.x.SetLoad(1_500, Full)
	requireNobody(t, f.x, "fpga")
}

func TestAllMatchingWorkersFull(t *testing.T) {
	f := newFleet(2_000, 50, ownTags)
	for _, w := range matched(f.x, ask(f.x, "zone=1")).ToArray() {
		f.x.SetLoad(Worker(w), Full)
	}
	requireNobody(t, f.x, "zone=1")
	w := Worker(matched(f.x, ask(f.x, "zone=1")).Maximum())
	f.x.SetLoad(w, Full-1)
	requireLeast(t, f.x, w, "zone=1")
}

func TestTagsThatChurnLeaveNothingBehind(t *testing.T) {
	x := New(Config{})
	r := ask(x, "build=0")
	for i := range 20_000 {
		w := Worker(i % 40)
		put(t, x, w, 0, "base", fmt.Sprintf("build=%d", i))
		require.Equal(t, i < 40, x.AnyMatch(r))
	}
	requireLeast(t, x, 0, "base")
	require.Equal(t, Stats{Workers: 40, Tags: 41, Profiles: 40, Requirements: 2}, x.Stats())
	require.LessOrEqual(t, len(x.tags.tags), 42)
	require.LessOrEqual(t, x.profiles.n, 41)
	require.Len(t, x.layout.groups, 1)
}

func TestFreedProfileSlotIsNotMatchedByItsOldTags(t *testing.T) {
	x := New(Config{})
	put(t, x, 1, 0, "old")
	old := ask(x, "old")
	require.True(t, x.AnyMatch(old))
	slot := x.profileOf(1).slot
	x.Remove(1)
	put(t, x, 2, 0, "new")
	require.Equal(t, slot, x.profileOf(2).slot, "the test needs a slot used again")
	require.False(t, x.AnyMatch(old))
	require.NoError(t, x.Check())
}

func TestRequirementThatMissedMoreChangesThanAreKeptIsBuiltAnew(t *testing.T) {
	x := New(Config{})
	for w := range Worker(3 * changesKept) {
		put(t, x, w, 9, "gpu", fmt.Sprintf("build=%d", w))
	}
	r := ask(x, "gpu")
	require.True(t, x.AnyMatch(r))
	put(t, x, 3*changesKept, 5, "gpu")
	for w := range Worker(changesKept / 2) {
		put(t, x, 1+3*changesKept+w, 9, "gpu", fmt.Sprintf("later=%d", w))
	}
	require.Greater(t, x.layout.changes.next-r.seen, uint64(changesKept))
	require.Less(t, x.layout.changes.next-r.seen, uint64(x.profileCount))
	requireLeast(t, x, 3*changesKept, "gpu")
}

func TestGiveStampsAreRenumberedInOrder(t *testing.T) {
	x := New(Config{})
	x.stamps.limit = 10
	for w := range Worker(6) {
		put(t, x, w, 0, fmt.Sprintf("own=%d", w%2))
	}
	for i := range 200 {
		want := Worker(i % 6)
		requireLeast(t, x, want)
		x.Give(want, 0)
		require.LessOrEqual(t, x.stamps.last, uint32(10))
	}
}

// TestGiveStampsAreRenumberedInSteps: a call of Give changes the stamps of a few
// workers alone, and the order of all stays right meanwhile.
func TestGiveStampsAreRenumberedInSteps(t *testing.T) {
	const workers, gives = 1000, 12_000
	x, rng := New(Config{}), random(t)
	x.stamps.limit = 8 * workers
	order, places := list.New(), make([]*list.Element, workers)
	for w := range Worker(workers) {
		put(t, x, w, 0, fmt.Sprintf("own=%d", w%7))
		places[w] = order.PushBack(w)
		x.Give(w, 0)
	}
	stamps := make([]uint32, workers)
	times := 0
	for range gives {
		w := Worker(rng.IntN(workers))
		before := x.stamps.renumbering
		x.Give(w, 0)
		order.MoveToBack(places[w])
		requireLeast(t, x, order.Front().Value.(Worker))
		changed := 0
		for w := range stamps {
			if now := x.Stamp(Worker(w)); now != stamps[w] {
				stamps[w], changed = now, changed+1
			}
		}
		if before {
			require.LessOrEqual(t, changed, stampPops+1)
		}
		if before && !x.stamps.renumbering {
			times++
			require.LessOrEqual(t, x.stamps.last, uint32(2*workers))
		}
	}
	require.Greater(t, times, 1)
	require.NoError(t, x.Check())
}

func TestCacheEvictsWhatWasNotUsedForLongest(t *testing.T) {
	x := New(Config{CacheSize: 2})
	put(t, x, 1, 0, "a", "b", "c")
	a, b := x.Intern([]byte("a"), []string{"a"}), x.Intern([]byte("b"), []string{"b"})
	require.Same(t, a, x.Lookup([]byte("a")))
	x.Intern([]byte("c"), []string{"c"})
	require.Same(t, a, x.Lookup([]byte("a")))
	require.Nil(t, x.Lookup([]byte("b")))
	require.NotSame(t, b, x.Intern([]byte("b"), []string{"b"}))
	requireLeast(t, x, 1, "b")
}

func TestAliasesShareOneRequirementAndAreBounded(t *testing.T) {
	x := New(Config{})
	tags := []string{"b", "a", "b"}
	first := x.Intern([]byte("key 0"), tags)
	require.Equal(t, []string{"a", "b"}, first.Tags())
	for i := range 3 * aliasesKept {
		key := fmt.Appendf(nil, "key %d", i)
		require.Same(t, first, x.Intern(key, tags))
		require.Same(t, first, x.Lookup(key))
		require.NoError(t, x.Check())
	}
	require.Nil(t, x.Lookup([]byte("key 0")))
	require.Len(t, x.cache.byKey, aliasesKept)
	other := x.Intern(fmt.Appendf(nil, "key %d", 3*aliasesKept-1), []string{"c"})
	require.NotSame(t, first, other)
	require.NoError(t, x.Check())
}

func TestKeyIsCopied(t *testing.T) {
	x := New(Config{})
	key := []byte("key")
	r := x.Intern(key, []string{"a"})
	key[0] = 'K'
	require.Nil(t, x.Lookup(key))
	require.Same(t, r, x.Lookup([]byte("key")))
}

func TestListsOfManyRequirementsStayWithinTheirBudget(t *testing.T) {
	f := newFleet(3_000, 40, ownTags)
	f.x.cache.matchesKept = 60
	for i := range 2_000 {
		if i%20 == 0 {
			require.NoError(t, f.x.Put(Worker(i), ownTags(f.rng)))
		}
		f.placeAndRelease(f.requirements[i*7%40])
		require.LessOrEqual(t, f.x.cache.matches, 60)
	}
	require.NoError(t, f.x.Check())

	everybody := ask(f.x)
	f.x.cache.matchesKept = 1
	put(t, f.x, 3_000, 0, "new")
	requireLeast(t, f.x, 3_000)
	require.Equal(t, len(everybody.groups), f.x.cache.matches, "the list in use stays, alone")
}

func TestIneligibleWorkersLeaveTheHeap(t *testing.T) {
	x := New(Config{})
	for w := range Worker(100) {
		put(t, x, w, uint32(w*37%100), "a")
	}
	p := x.profileOf(0)
	for left := 99; left >= 0; left-- {
		x.SetEligible(Worker(left*61%100), false)
		require.Equal(t, left, p.heap.n)
		require.NoError(t, x.Check())
	}
	requireNobody(t, x, "a")
	x.SetLoad(42, 7)
	x.SetEligible(42, true)
	requireLeast(t, x, 42, "a")
}

func TestMemoryOfAProfileShrinksWithIt(t *testing.T) {
	x := New(Config{})
	for w := range Worker(10_000) {
		put(t, x, w, uint32(w), "a")
	}
	for w := range Worker(9_990) {
		x.Remove(w)
	}
	p := x.profileOf(9_990)
	require.LessOrEqual(t, cap(p.heap.first), 4*shrinkFrom)
	requireLeast(t, x, 9_990, "a")
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	f := newFleet(2_000, 50, sharedTags)
	f.x.Least(f.requirements[0])
	i := 0
	calls := map[string]func(){
		"Lookup":      func() { f.x.Lookup(f.keys[i%50]) },
		"Least":       func() { f.x.Least(f.requirements[i%50]) },
		"AnyMatch":    func() { f.x.AnyMatch(f.requirements[i%50]) },
		"Give":        func() { f.x.Give(Worker(i%2_000), f.slots[i%2_000].load()) },
		"SetLoad":     func() { f.x.SetLoad(Worker(i%2_000), uint32(i)) },
		"SetEligible": func() { f.x.SetEligible(Worker(i%2_000), i%3 > 0) },
	}
	for name, call := range calls {
		require.Zero(t, testing.AllocsPerRun(500, func() { i++; call() }), name)
	}
}

func TestPutOfTheSameTagsDoesNotAllocate(t *testing.T) {
	f := newFleet(100, 5, sharedTags)
	tags := []string{"gpu", "zone=1", "gpu"}
	require.NoError(t, f.x.Put(5, tags))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = f.x.Put(5, tags) }))
}
