package index

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// A naive index: plain records, scanned for every answer.
type naive struct {
	workers map[Worker]*naiveWorker
	gives   int
	maxTags int
}

type naiveWorker struct {
	tags     []string // sorted, distinct
	load     uint32
	given    int // the number of the last give, 0 for none
	eligible bool
}

func sortedSet(tags []string) []string {
	tags = slices.Clone(tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}

func (n *naive) distinctTags() []string {
	var all []string
	for _, w := range n.workers {
		all = append(all, w.tags...)
	}
	return sortedSet(all)
}

// put reports whether the tags are within the limit.
func (n *naive) put(w Worker, tags []string) bool {
	old := n.workers[w]
	changed := naiveWorker{load: Full}
	if old != nil {
		changed = *old
	}
	changed.tags = sortedSet(tags)
	n.workers[w] = &changed
	if len(n.distinctTags()) > n.maxTags {
		delete(n.workers, w)
		if old != nil {
			n.workers[w] = old
		}
		return false
	}
	return true
}

func (n *naive) matched(tags []string) []Worker {
	var found []Worker
	for w, known := range n.workers {
		if !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(known.tags, tag) }) {
			found = append(found, w)
		}
	}
	slices.Sort(found)
	return found
}

func (n *naive) least(tags []string) (Worker, bool) {
	found := n.matched(tags)
	found = slices.DeleteFunc(found, func(w Worker) bool { return !n.workers[w].eligible || n.workers[w].load >= Full })
	if len(found) == 0 {
		return 0, false
	}
	return slices.MinFunc(found, func(a, b Worker) int {
		wa, wb := n.workers[a], n.workers[b]
		if wa.load != wb.load {
			return int(wa.load) - int(wb.load)
		}
		if wa.given != wb.given {
			return wa.given - wb.given
		}
		return int(a) - int(b)
	}), true
}

// A pair drives an index and its naive twin in lockstep. The choices come from a source of small
// numbers, so that a seed, a state machine and a fuzzer can all drive it.
type pair struct {
	t       require.TestingT
	x       *Index
	n       *naive
	choose  func(what string, n int) int // one of 0..n-1
	workers int                          // slots in use
	tags    int                          // names in use
	carry   int                          // tags of one worker at most
}

// newPair returns a pair with small limits, which every run reaches.
func newPair(t require.TestingT, choose func(string, int) int, workers, tags, carry int) *pair {
	x := New(Config{MaxTags: tags - 2, CacheSize: 8})
	x.stamps.limit = uint32(workers) + 50
	x.cache.matchesKept = 6
	return &pair{
		t: t, x: x, choose: choose, workers: workers, tags: tags, carry: carry,
		n: &naive{workers: map[Worker]*naiveWorker{}, maxTags: tags - 2},
	}
}

func (p *pair) worker() Worker { return Worker(p.choose("worker", p.workers)) }

func (p *pair) tagList(most int) []string {
	list := make([]string, p.choose("tags", most+1))
	for i := range list {
		list[i] = fmt.Sprintf("t%02d", p.choose("tag", p.tags))
	}
	return list
}

func (p *pair) load() uint32 {
	capacity := uint64(p.choose("capacity", 4))
	return Load(uint64(p.choose("taken", 5)), capacity)
}

func (p *pair) put() {
	w, tags := p.worker(), p.tagList(p.carry)
	err := p.x.Put(w, tags)
	if p.n.put(w, tags) {
		require.NoError(p.t, err)
		return
	}
	require.ErrorIs(p.t, err, ErrTagLimit)
	var limit *TagLimitError
	require.True(p.t, errors.As(err, &limit))
	require.Equal(p.t, p.n.maxTags, limit.Limit)
	require.Contains(p.t, tags, limit.Tag)
}

func (p *pair) remove() {
	w := p.worker()
	p.x.Remove(w)
	delete(p.n.workers, w)
}

func (p *pair) setLoad() {
	w, load := p.worker(), p.load()
	if known := p.n.workers[w]; known != nil {
		p.x.SetLoad(w, load)
		known.load = load
	}
}

func (p *pair) give() {
	w, load := p.worker(), p.load()
	if p.n.workers[w] != nil {
		p.giveTo(w, load)
	}
}

func (p *pair) giveTo(w Worker, load uint32) {
	p.x.Give(w, load)
	p.n.gives++
	p.n.workers[w].load, p.n.workers[w].given = load, p.n.gives
}

// undo gives workers something and takes it back, the last first.
func (p *pair) undo() {
	p.x.KeepStamps(3)
	for range 3 {
		w, load := p.worker(), p.load()
		if known := p.n.workers[w]; known != nil {
			was, stamp := known.load, p.x.Stamp(w)
			p.x.Give(w, load)
			defer p.x.Ungive(w, was, stamp)
		}
	}
	p.x.FreeStamps()
}

func (p *pair) setEligible() {
	w, ok := p.worker(), p.choose("eligible", 3) > 0
	if known := p.n.workers[w]; known != nil {
		p.x.SetEligible(w, ok)
		known.eligible = ok
		require.Equal(p.t, ok, p.x.Eligible(w))
	}
}

// ask compares all answers about one requirement. The order of the tags is part of the key, so a
// set of tags has several keys.
func (p *pair) ask() {
	tags := p.tagList(2)
	key := []byte(strings.Join(tags, ","))
	r := p.x.Lookup(key)
	if r == nil {
		r = p.x.Intern(key, tags)
		require.Same(p.t, r, p.x.Lookup(key))
	}
	require.Equal(p.t, sortedSet(tags), sortedSet(r.Tags()))
	if left := p.choose("work", 4); left == 0 {
		p.x.Bring(r, &left) // a part, which later calls go on with after other changes
		return
	}
	want, ok := p.n.least(tags)
	got, found := p.x.Least(r)
	require.Equal(p.t, ok, found, "least of %v", tags)
	require.Equal(p.t, want, got, "least of %v", tags)
	matching := p.n.matched(tags)
	require.Equal(p.t, len(matching) > 0, p.x.AnyMatch(r))
	require.Equal(p.t, numbersOf(matching), matched(p.x, r).ToArray())
	if found && p.choose("take", 2) == 1 {
		p.giveTo(got, p.load())
	}
}

// numbersOf returns the workers as a bitmap lists them.
func numbersOf(workers []Worker) []uint32 {
	list := make([]uint32, len(workers))
	for i, w := range workers {
		list[i] = uint32(w)
	}
	return list
}

// check runs the self-check and compares the lists of tags and workers.
func (p *pair) check() {
	require.NoError(p.t, p.x.Check())
	require.Equal(p.t, len(p.n.workers), p.x.Len())
	for w := range Worker(p.workers) {
		load, eligible := Full, false
		if known := p.n.workers[w]; known != nil {
			load, eligible = known.load, known.eligible
		}
		require.Equal(p.t, load, p.x.LoadOf(w))
		require.Equal(p.t, eligible, p.x.Eligible(w))
	}
	names := p.n.distinctTags()
	for name, count := range p.x.Tags {
		require.NotEmpty(p.t, names)
		require.Equal(p.t, names[0], name)
		require.Equal(p.t, len(p.n.matched(names[:1])), count)
		names = names[1:]
	}
	require.Empty(p.t, names)
}

// step makes one random call.
func (p *pair) step() {
	steps := []func(){p.put, p.put, p.remove, p.setLoad, p.give, p.undo, p.setEligible, p.ask, p.ask, p.ask, p.ask}
	steps[p.choose("step", len(steps))]()
}
