package index

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// Defaults of Config and the range of Worker.
const (
	DefaultMaxTags   = 65536
	DefaultCacheSize = 4096
	MaxWorkers       = 1 << 24 // slot numbers are below it
)

// Worker is the slot number of a worker, below MaxWorkers: small and dense, because the index keeps
// a record for every number up to the largest ever used. The caller chooses it and may use it again
// after Remove.
type Worker uint32

// Config holds the limits of an Index. A zero or negative field means its default.
type Config struct {
	MaxTags   int // distinct tags of all workers; DefaultMaxTags. Raise it when Put returns ErrTagLimit.
	CacheSize int // requirements kept; DefaultCacheSize. Raise it when more distinct ones are in use.
}

// An Index knows the tags and loads of workers. It has no lock: calls must not overlap.
type Index struct {
	workers  vector[record]   // by Worker
	profiles vector[*profile] // by number; nil when the number is free
	freeNums vector[uint32]
	bySet    map[tagset]*profile
	tags     tagTable
	known    *roaring.Bitmap // all workers
	alive    *roaring.Bitmap // the numbers of all profiles
	layout   layout
	cache    cache

	profileCount int
	maxTags      int
	stamps       stamps

	work int // units, for TakeWork

	names    []string // scratch, as all below
	numbers  []uint32
	setBytes []byte
	memo     memo
	finder   finder
}

// A record is what the index knows of a worker: 16 bytes. The place in a forgotten one is not absent,
// so that every change of an unknown worker looks for a profile, and panics.
type record struct {
	profile uint32 // its number plus one; 0 when the worker is unknown
	place   uint32 // in the heap of the profile; absent when the worker is ineligible
	load    uint32
	stamp   uint32 // neverGiven, or the larger the later
}

// New returns an empty index.
func New(c Config) *Index {
	if c.MaxTags <= 0 {
		c.MaxTags = DefaultMaxTags
	}
	if c.CacheSize <= 0 {
		c.CacheSize = DefaultCacheSize
	}
	return &Index{
		bySet:   make(map[tagset]*profile),
		tags:    tagTable{byName: make(map[string]uint32)},
		known:   roaring.New(),
		alive:   roaring.New(),
		maxTags: c.MaxTags,
		stamps:  stamps{limit: lastStamp},
		cache: cache{
			byKey:       make(map[string]*Requirement),
			byTags:      make(map[string]*Requirement),
			size:        c.CacheSize,
			matchesKept: matchesKept,
		},
	}
}

// Put adds a worker, ineligible and with load Full, or changes the tags of a known one, which keeps
// its load, its give stamp and whether it is eligible. Duplicate tags count once. dims is the mask of
// the dimensions in which the worker has room, none if it is left out; a change of tags or dimensions
// makes the room 0 in each. The error is a *TagLimitError when there would be more than MaxTags
// distinct tags; then nothing changes. Put panics if w is not below MaxWorkers.
func (x *Index) Put(w Worker, tags []string, dims ...uint64) error {
	if w >= MaxWorkers {
		panic(fmt.Sprintf("index: worker %d is not below %d", w, MaxWorkers))
	}
	old := x.profileOf(w)
	if !x.number(tags) {
		if err := x.createTags(tags, old); err != nil {
			return err
		}
		x.number(tags)
	}
	size, mask := len(x.setBytes), uint64(0)
	for _, d := range dims {
		mask |= d
	}
	x.setBytes = appendDims(x.setBytes, mask)
	p := x.bySet[tagset(x.setBytes)]
	switch {
	case p == nil:
		p = x.newProfile(tagset(x.setBytes), size, mask)
	case p == old:
		return nil
	}
	if old == nil {
		x.admit(w)
	}
	x.join(w, p, old)
	return nil
}

// Remove forgets a worker. Removing an unknown one does nothing.
func (x *Index) Remove(w Worker) {
	p := x.profileOf(w)
	if p == nil {
		return
	}
	x.known.Remove(uint32(w))
	p.set.eachNotIn("", func(n uint32) { x.tags.tags[n].workers.Remove(uint32(w)) })
	x.leave(w, p)
	*x.workers.at(int(w)) = record{}
}

// SetLoad changes the load of a worker and keeps its give stamp. A load above Full counts as Full.
// room is what is free in each of its dimensions, in the order of their numbers; what is left out is
// 0. It panics if the worker is unknown.
func (x *Index) SetLoad(w Worker, load uint32, room ...int64) {
	m := x.workers.at(int(w))
	load = min(load, Full)
	if m.load == load && m.profile != 0 && len(room) == 0 {
		return
	}
	m.load = load
	x.rekey(w, m, room)
}

// SetEligible says whether the worker may be chosen. room is as in SetLoad; the index forgets it
// while the worker is ineligible. It panics if the worker is unknown.
func (x *Index) SetEligible(w Worker, ok bool, room ...int64) {
	m := x.workers.at(int(w))
	p := *x.profiles.at(int(m.profile - 1))
	switch {
	case ok == (m.place != absent):
		return
	case ok:
		p.add(entry{makeKey(m.load, m.stamp, w), w}, &x.workers, room)
	default:
		p.remove(int(m.place), &x.workers)
	}
	x.layout.setTop(p.slot, p.heap.top())
}

// Known reports whether the worker was added and not removed.
func (x *Index) Known(w Worker) bool {
	return int(w) < x.workers.n && x.workers.at(int(w)).profile != 0
}

// Eligible reports whether the worker is known and eligible.
func (x *Index) Eligible(w Worker) bool {
	return x.Known(w) && x.workers.at(int(w)).place != absent
}

// LoadOf returns the load of a worker, Full if it is unknown.
func (x *Index) LoadOf(w Worker) uint32 {
	if !x.Known(w) {
		return Full
	}
	return x.workers.at(int(w)).load
}

// Len returns the number of known workers.
func (x *Index) Len() int { return int(x.known.GetCardinality()) }

// profileOf returns the profile of a worker, nil if the worker is unknown.
func (x *Index) profileOf(w Worker) *profile {
	if !x.Known(w) {
		return nil
	}
	return *x.profiles.at(int(x.workers.at(int(w)).profile - 1))
}

// rekey brings the key of an eligible worker up to date with its record, and the minima above the
// heap if the worker was or becomes the first of it.
func (x *Index) rekey(w Worker, m *record, room []int64) {
	place := m.place
	if place == absent {
		return
	}
	p := *x.profiles.at(int(m.profile - 1))
	if e := (entry{makeKey(m.load, m.stamp, w), w}); p.plain() {
		p.heap.settle(int(place), e, &x.workers)
	} else {
		p.shift(int(place), e, &x.workers, room)
	}
	if place == 0 || m.place == 0 {
		x.layout.setTop(p.slot, p.heap.top())
	}
}
