package index

import (
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/dtask/dtask-scheduler/selector"
)

// Lookup returns the requirement cached under a caller's key, nil if there is none. It does not
// allocate.
func (x *Index) Lookup(key []byte) *Requirement {
	r := x.cache.byKey[string(key)]
	if r != nil {
		x.cache.touch(r)
	}
	return r
}

// Intern returns the requirement for the tags and caches it under a copy of the key, which may be
// any bytes that stand for these tags, for example their encoding. Equal sets of tags share one
// requirement, whatever the key, the order and the duplicates. It may end the validity of
// requirements returned before. A requirement whose key is longer than MaxKey is not cached.
func (x *Index) Intern(key []byte, tags []string) *Requirement {
	return x.InternSpec(key, Spec{Tags: tags})
}

// InternSpec is Intern for requirements that ask for more than tags. Equal specs share one
// requirement, and a spec with tags alone shares it with Intern.
func (x *Index) InternSpec(key []byte, s Spec) *Requirement {
	s.Tags = x.canonical(s.Tags)
	if s.Where != nil && s.Where.Op == selector.True {
		s.Where = nil
	}
	x.setBytes = appendCanonical(x.setBytes[:0], s)
	if len(key) > MaxKey {
		return newRequirement(s, x.setBytes)
	}
	r := x.cache.byTags[string(x.setBytes)]
	if r == nil {
		r = newRequirement(s, x.setBytes)
		x.cache.add(r)
	}
	x.cache.touch(r)
	if x.cache.byKey[string(key)] != r {
		x.cache.alias(string(key), r)
	}
	return r
}

// Least returns the eligible worker with all the tags, a load below Full and the least load; among
// equals the one given least recently, then the one with the lowest slot number. It does not
// allocate unless the requirement has to catch up with new tag sets.
func (x *Index) Least(r *Requirement) (Worker, bool) {
	x.refresh(r)
	l := &x.layout
	if len(r.few) > 0 {
		r.winner = l.leastAmong(r.few)
	} else {
		l.search(r)
	}
	if r.winner == noSlot || *l.tops.at(int(r.winner)) >= keyFull {
		return 0, false
	}
	return (*l.profiles.at(int(r.winner))).heap.first[0].worker, true
}

// refresh brings a requirement up to date if anything changed since its last use.
func (x *Index) refresh(r *Requirement) {
	if !x.Ready(r) {
		x.bring(r, math.MaxInt)
	}
}

// AnyMatch reports whether any known worker, eligible or not, has all the tags.
func (x *Index) AnyMatch(r *Requirement) bool {
	x.refresh(r)
	return len(r.groups) > 0
}

// fewChanges is up to how many changes Matches brings a requirement up to date, because the next
// question is cheap then.
const fewChanges = 16

// Matches reports whether a known worker, eligible or not, has what the requirement asks.
func (x *Index) Matches(r *Requirement, w Worker) bool {
	x.work++
	if r.built && x.layout.changes.next-r.seen <= fewChanges {
		x.refresh(r)
		p := x.profileOf(w)
		return p != nil && r.lists(p.slot)
	}
	if r.resolvedAt != x.tags.changes || !r.built {
		x.resolve(r)
	}
	return x.satisfies(x.profileOf(w), r)
}

// TagWorkers returns the known workers that have a tag, nil if none has. The caller must not change
// the bitmap, and must not use it after the next Put or Remove.
func (x *Index) TagWorkers(tag string) *roaring.Bitmap {
	n, ok := x.tags.number(tag)
	if !ok {
		return nil
	}
	return x.tags.tags[n].workers
}

// HasTags reports whether a worker has all of the tags, however many others it has.
func (x *Index) HasTags(w Worker, tags []string) bool {
	for _, tag := range tags {
		if b := x.TagWorkers(tag); b == nil || !b.Contains(uint32(w)) {
			return false
		}
	}
	return true
}

// Tags calls yield for each tag in order, with the number of known workers that have it, until
// yield returns false.
func (x *Index) Tags(yield func(tag string, workers int) bool) {
	x.TagsFrom("", yield)
}

// TagsFrom is Tags for those that are not less than from.
func (x *Index) TagsFrom(from string, yield func(tag string, workers int) bool) {
	x.tags.names.from(from, func(name string) bool {
		x.work++
		return yield(name, int(x.TagWorkers(name).GetCardinality()))
	})
}

// Stats are the sizes of an index.
type Stats struct {
	Workers      int // known
	Tags         int // distinct
	Profiles     int // distinct sets of tags
	Requirements int // cached
}

// Stats returns the present sizes.
func (x *Index) Stats() Stats {
	return Stats{Workers: x.Len(), Tags: len(x.tags.byName), Profiles: x.profileCount, Requirements: len(x.cache.byTags)}
}
