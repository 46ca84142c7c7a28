package index

import (
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Check examines the whole index (invariant I6) and returns the first contradiction: seats, keys and
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

// checkWorkers compares records with seats and keys.
func (x *Index) checkWorkers() error {
	known := roaring.New()
	stamps := make(map[uint32]Worker)
	for i, m := range x.workers {
		w := Worker(i)
		if m.profile == 0 {
			continue
		}
		known.Add(uint32(w))
		if int(m.profile) > len(x.profiles) || x.profiles[m.profile-1] == nil {
			return fmt.Errorf("worker %d: no profile %d", w, m.profile-1)
		}
		p := x.profiles[m.profile-1]
		if int(m.seat) >= len(p.workers) || p.workers[m.seat] != w {
			return fmt.Errorf("worker %d does not sit in seat %d of profile %d", w, m.seat, p.number)
		}
		if key := p.keys[m.seat]; key != keyAbsent && key != makeKey(m.load, m.stamp, w) {
			return fmt.Errorf("worker %d: key %x for load %d, stamp %d", w, key, m.load, m.stamp)
		}
		if m.load > Full || m.stamp > x.stamp {
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

// checkProfiles examines each tournament and the places where profiles stand.
func (x *Index) checkProfiles() error {
	count, seats := 0, 0
	for i, p := range x.profiles {
		if p == nil {
			continue
		}
		count, seats = count+1, seats+len(p.workers)
		if p.number != uint32(i) || x.bySet[p.set] != p || x.layout.profiles[p.slot] != p {
			return fmt.Errorf("profile %d is not where it is looked for", i)
		}
		if len(p.workers) == 0 {
			return fmt.Errorf("profile %d has no workers", i)
		}
		if err := p.tournament.check(); err != nil {
			return fmt.Errorf("profile %d: %w", i, err)
		}
	}
	if count != x.profileCount || count != len(x.bySet) || count+len(x.freeNums) != len(x.profiles) {
		return fmt.Errorf("%d profiles, counted as %d, %d by set, %d free of %d",
			count, x.profileCount, len(x.bySet), len(x.freeNums), len(x.profiles))
	}
	if seats != x.Len() {
		return fmt.Errorf("%d seats for %d workers", seats, x.Len())
	}
	return nil
}

// check compares the levels with the keys.
func (t *tournament) check() error {
	if len(t.keys) != len(t.workers) {
		return fmt.Errorf("%d keys for %d workers", len(t.keys), len(t.workers))
	}
	level := t.keys
	for l, above := range t.levels {
		if len(level) <= fan || len(above) != (len(level)+fan-1)/fan {
			return fmt.Errorf("level %d has %d minima over %d keys", l, len(above), len(level))
		}
		for i, least := range above {
			if want := slices.Min(level[i*fan : min(len(level), i*fan+fan)]); least != want {
				return fmt.Errorf("level %d: minimum %d is %x, not %x", l, i, least, want)
			}
		}
		level = above
	}
	if len(level) > fan {
		return fmt.Errorf("a level over %d keys is missing", len(level))
	}
	if t.top != slices.Min(level) {
		return fmt.Errorf("top is %x, not %x", t.top, slices.Min(level))
	}
	return nil
}

// checkTags rebuilds the bitmaps from the profiles.
func (x *Index) checkTags() error {
	workers, profiles := map[uint32]*roaring.Bitmap{}, map[uint32]*roaring.Bitmap{}
	for _, p := range x.bySet {
		p.set.eachNotIn("", func(n uint32) {
			if workers[n] == nil {
				workers[n], profiles[n] = roaring.New(), roaring.New()
			}
			profiles[n].Add(p.number)
			for _, w := range p.workers {
				workers[n].Add(uint32(w))
			}
		})
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
