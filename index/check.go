package index

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// Check examines the whole index (invariant I6) and returns the first contradiction: heaps, keys and
// minima against the records, bitmaps against the sets of tags, the layout and its order, the cache
// and its bounds, and every cached list of matches that claims to be up to date against a scan. It
// takes time in proportion to workers times tags, and cached requirements times profiles.
func (x *Index) Check() error {
	for _, part := range []func() error{
		x.checkWorkers, x.checkProfiles, x.checkTags, x.checkLayout, x.checkCache, x.checkMatches,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// checkWorkers compares records with the entries of heaps.
func (x *Index) checkWorkers() error {
	known := roaring.New()
	stamps := make(map[uint32]Worker)
	for i, m := range x.workers.all() {
		w := Worker(i)
		if m.profile == 0 {
			continue
		}
		known.Add(uint32(w))
		if int(m.profile) > x.profiles.n || *x.profiles.at(int(m.profile - 1)) == nil {
			return fmt.Errorf("worker %d: no profile %d", w, m.profile-1)
		}
		h := &(*x.profiles.at(int(m.profile - 1))).heap
		if m.place != absent && (int(m.place) >= h.n || h.at(int(m.place)).worker != w) {
			return fmt.Errorf("worker %d does not stand in place %d of its heap", w, m.place)
		}
		if key := makeKey(m.load, m.stamp, w); m.place != absent && h.key(int(m.place)) != key {
			return fmt.Errorf("worker %d: key %x for load %d, stamp %d", w, h.key(int(m.place)), m.load, m.stamp)
		}
		if m.load > Full || m.stamp > x.stamps.last {
			return fmt.Errorf("worker %d: load %d or stamp %d is out of range", w, m.load, m.stamp)
		}
		if other, taken := stamps[m.stamp]; taken && m.stamp != neverGiven {
			return fmt.Errorf("workers %d and %d share stamp %d", w, other, m.stamp)
		}
		stamps[m.stamp] = w
	}
	if !known.Equals(x.known) {
		return fmt.Errorf("known workers: %v, by their records %v", x.known, known)
	}
	return nil
}

// checkProfiles examines each heap and the places where profiles stand.
func (x *Index) checkProfiles() error {
	members, eligible := make([]int, x.profiles.n), make([]int, x.profiles.n)
	for _, m := range x.workers.all() {
		if m.profile != 0 {
			members[m.profile-1]++
			if m.place != absent {
				eligible[m.profile-1]++
			}
		}
	}
	count := 0
	for i, at := range x.profiles.all() {
		p := *at
		if p == nil {
			continue
		}
		count++
		if p.number != uint32(i) || x.bySet[p.id] != p || *x.layout.profiles.at(int(p.slot)) != p {
			return fmt.Errorf("profile %d is not where it is looked for", i)
		}
		if p.members == 0 || p.members != members[i] || p.heap.n != eligible[i] {
			return fmt.Errorf("profile %d counts %d workers of %d, and in its heap %d of %d",
				i, p.members, members[i], p.heap.n, eligible[i])
		}
		if err := p.checkRooms(); err != nil {
			return err
		}
		for c := 1; c < p.heap.n; c++ {
			if p.heap.key(c) < p.heap.key((c-1)/2) {
				return fmt.Errorf("profile %d: entry %d of the heap is below its parent", i, c)
			}
		}
	}
	if count != x.profileCount || count != len(x.bySet) || count+x.freeNums.n != x.profiles.n {
		return fmt.Errorf("%d profiles, counted as %d, %d by set, %d free of %d",
			count, x.profileCount, len(x.bySet), x.freeNums.n, x.profiles.n)
	}
	return nil
}

// checkTags rebuilds the bitmaps from the profiles.
func (x *Index) checkTags() error {
	workers, profiles := map[uint32]*roaring.Bitmap{}, map[uint32]*roaring.Bitmap{}
	for i, m := range x.workers.all() {
		if m.profile == 0 {
			continue
		}
		p := *x.profiles.at(int(m.profile - 1))
		p.set.eachNotIn("", func(n uint32) {
			if workers[n] == nil {
				workers[n], profiles[n] = roaring.New(), roaring.New()
			}
			profiles[n].Add(p.number)
			workers[n].Add(uint32(i))
		})
	}
	if err := x.tags.checkNames(); err != nil {
		return err
	}
	for n, t := range x.tags.tags {
		number := uint32(n)
		if (t.workers == nil) != (workers[number] == nil) {
			return fmt.Errorf("tag %d %q is alive without a profile, or the reverse", n, t.name)
		}
		if t.workers == nil {
			continue
		}
		if at, ok := x.tags.byName[t.name]; !ok || at != number {
			return fmt.Errorf("tag %q has number %d, found as %d", t.name, n, at)
		}
		if !t.workers.Equals(workers[number]) || !t.profiles.Equals(profiles[number]) {
			return fmt.Errorf("tag %q: its bitmaps differ from the profiles", t.name)
		}
	}
	if n := len(x.tags.byName); n != len(workers) || n > x.maxTags || n+len(x.tags.free) != len(x.tags.tags) {
		return fmt.Errorf("%d tags by name, %d in use, %d free of %d, limit %d",
			n, len(workers), len(x.tags.free), len(x.tags.tags), x.maxTags)
	}
	return nil
}
