package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// number writes the set of the tags to x.setBytes; false when one of them is unknown.
func (x *Index) number(tags []string) bool {
	numbers := x.numbers[:0]
	for _, name := range tags {
		n, ok := x.tags.number(name)
		if !ok {
			return false
		}
		numbers = append(numbers, n)
	}
	x.numbers, x.setBytes = numbers, appendSet(x.setBytes[:0], numbers)
	return true
}

// canonical returns the tags sorted and distinct, in scratch memory.
func (x *Index) canonical(tags []string) []string {
	x.names = append(x.names[:0], tags...)
	slices.Sort(x.names)
	return slices.Compact(x.names)
}

// createTags creates the unknown ones of the tags, for a worker that leaves the profile old.
func (x *Index) createTags(tags []string, old *profile) error {
	unknown := x.canonical(tags)
	unknown = slices.DeleteFunc(unknown, func(name string) bool {
		_, ok := x.tags.number(name)
		return ok
	})
	if room := x.maxTags - len(x.tags.byName); len(unknown) > room {
		room += x.freedBy(old, tags)
		if len(unknown) > room {
			return &TagLimitError{Limit: x.maxTags, Tag: unknown[max(room, 0)]}
		}
	}
	for _, name := range unknown {
		x.tags.create(name)
	}
	return nil
}

// freedBy counts the tags that die when one worker changes from the profile old to the given tags.
func (x *Index) freedBy(old *profile, tags []string) int {
	if old == nil || old.members > 1 {
		return 0
	}
	freed := 0
	old.set.eachNotIn("", func(n uint32) {
		t := &x.tags.tags[n]
		if t.workers.GetCardinality() == 1 && !slices.Contains(tags, t.name) {
			freed++
		}
	})
	return freed
}

// newProfile makes a profile without workers. One of them must join before anything else happens.
// id begins with the set, size bytes of it.
func (x *Index) newProfile(id tagset, size int, dims uint64) *profile {
	p := &profile{id: id, set: id[:size], dims: dims, number: uint32(x.profiles.n)}
	p.rooms.stride = strideOf(dims)
	p.rooms.own.width, p.rooms.best.width = p.rooms.stride, p.rooms.stride
	if x.freeNums.n > 0 {
		p.number = x.freeNums.pop()
		*x.profiles.at(int(p.number)) = p
	} else {
		x.profiles.push(p)
	}
	x.profileCount++
	x.bySet[id] = p
	x.alive.Add(p.number)
	p.set.eachNotIn("", func(n uint32) { x.tags.tags[n].profiles.Add(p.number) })
	x.layout.insert(p)
	return p
}

// dropProfile frees a profile without workers, and the tags that no other has.
func (x *Index) dropProfile(p *profile) {
	x.layout.remove(p)
	delete(x.bySet, p.id)
	x.alive.Remove(p.number)
	*x.profiles.at(int(p.number)) = nil
	x.freeNums.push(p.number)
	x.profileCount--
	p.set.eachNotIn("", func(n uint32) {
		x.tags.tags[n].profiles.Remove(p.number)
		x.tags.dropIfUnused(n)
	})
}

// admit makes a record for a new worker.
func (x *Index) admit(w Worker) {
	for int(w) >= x.workers.n {
		x.workers.push(record{})
	}
	*x.workers.at(int(w)) = record{place: absent, load: Full, stamp: neverGiven}
	x.known.Add(uint32(w))
}

// join moves a worker from a profile, nil for none, to another.
func (x *Index) join(w Worker, p, old *profile) {
	m := x.workers.at(int(w))
	eligible := m.place != absent
	var left tagset
	if old != nil {
		left = old.set
	}
	p.set.eachNotIn(left, func(n uint32) { x.tags.tags[n].workers.Add(uint32(w)) })
	left.eachNotIn(p.set, func(n uint32) { x.tags.tags[n].workers.Remove(uint32(w)) })
	if old != nil {
		x.leave(w, old)
	}
	m.profile = p.number + 1
	p.members++
	x.SetEligible(w, eligible)
}

// leave takes a worker out of its profile, and frees the profile if it was the last one there.
func (x *Index) leave(w Worker, p *profile) {
	x.SetEligible(w, false)
	p.members--
	if p.members == 0 {
		x.dropProfile(p)
	}
}

// intersect returns what all the bitmaps have in common, beginning with the one that has least. The
// result is the caller's.
func intersect(bitmaps []*roaring.Bitmap) *roaring.Bitmap {
	slices.SortFunc(bitmaps, func(a, b *roaring.Bitmap) int {
		return int(a.GetCardinality()) - int(b.GetCardinality())
	})
	if len(bitmaps) == 1 {
		return bitmaps[0].Clone()
	}
	common := roaring.And(bitmaps[0], bitmaps[1])
	for _, b := range bitmaps[2:] {
		if common.IsEmpty() {
			break
		}
		common.And(b)
	}
	return common
}
