package index

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// fewSlots is the number of matching profiles up to which Least looks at all of them instead of
// walking groups and blocks: 32 and 256 were slower in a shared fleet of 5,000.
const fewSlots = 128

// noSlot stands for no slot of the layout.
const noSlot = math.MaxUint32

// A Requirement is a set of tags that was asked for, with the profiles that have all of them. It
// belongs to the Index that made it and is valid until the next Intern there.
type Requirement struct {
	// What Least reads, one cache line.
	seen   uint64   // changes of the layout that matches includes
	few    []uint32 // the slots of all matches; empty when there are more than fewSlots
	winner uint32   // the slot that Least found last, noSlot when the matches changed since
	built  bool     // matches is right for the state after the first seen changes of the layout
	groups []uint32 // the groups of the layout that hold matching profiles, ascending

	matches []match // the profiles, group by group as in groups
	count   int     // of the profiles

	tags      []string // sorted, distinct
	canonical string   // the same as one string, the key in the cache
	hash      uint64

	set        tagset // the tags by number, when all of them are alive
	feasible   bool   // all tags are alive
	resolvedAt uint64 // tagTable.changes when set and feasible were found out

	aliases      []string     // the callers' keys in the cache, oldest first
	newer, older *Requirement // the list of the cache by last use
	cached       bool
}

// A match says which profiles of one group have all the tags of a requirement. The number of the
// group stands apart from it, because most groups are passed over without a look at their profiles.
type match struct {
	blocks uint16              // the blocks that have such profiles
	slots  [groupBlocks]uint16 // by block: the slots that hold them
}

// Tags returns the tags, sorted and distinct. The caller must not change them.
func (r *Requirement) Tags() []string { return r.tags }

// Hash returns a number that depends on the set of tags alone, the same in every run and on every
// machine.
func (r *Requirement) Hash() uint64 { return r.hash }

// newRequirement returns the requirement for tags that are sorted and distinct.
func newRequirement(tags []string) *Requirement {
	r := &Requirement{tags: make([]string, len(tags))}
	for i, name := range tags {
		r.tags[i] = strings.Clone(name)
	}
	r.canonical = string(appendCanonical(nil, tags))
	r.hash = hash64(r.canonical)
	return r
}

// appendCanonical appends each tag with its length before it, so that no two lists look alike.
func appendCanonical(dst []byte, tags []string) []byte {
	for _, name := range tags {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
	}
	return dst
}

// hash64 is FNV-1a with a final mix, which spreads short strings over all 64 bits.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// matchesProfile reports whether a profile, nil for none, has all the tags.
func (r *Requirement) matchesProfile(p *profile) bool {
	return p != nil && r.feasible && p.set.contains(r.set)
}

// mark notes whether the profile in a slot matches.
func (r *Requirement) mark(slot uint32, matched bool) {
	g, b, bit := slot/groupSlots, slot/blockSlots%groupBlocks, uint16(1)<<(slot%blockSlots)
	i, found := slices.BinarySearch(r.groups, g)
	switch {
	case !matched && !found:
		return
	case !matched:
		m := &r.matches[i]
		if m.slots[b]&bit != 0 {
			r.count--
		}
		if m.slots[b] &^= bit; m.slots[b] == 0 {
			m.blocks &^= 1 << b
		}
		if m.blocks == 0 {
			r.groups, r.matches = slices.Delete(r.groups, i, i+1), slices.Delete(r.matches, i, i+1)
		}
		return
	case !found:
		r.groups, r.matches = slices.Insert(r.groups, i, g), slices.Insert(r.matches, i, match{})
	}
	m := &r.matches[i]
	if m.slots[b]&bit == 0 {
		r.count++
	}
	m.slots[b] |= bit
	m.blocks |= 1 << b
}

// bring makes a requirement's matches those of the present state. When few slots changed since its
// last use it looks at these alone.
func (x *Index) bring(r *Requirement) {
	if r.resolvedAt != x.tags.changes || !r.built {
		x.resolve(r)
	}
	next, before := x.layout.changes.next, len(r.groups)
	missed := next - r.seen
	if !r.built || missed > changesKept || missed > uint64(x.profileCount) {
		x.build(r)
	} else {
		for n := r.seen; n < next; n++ {
			slot := x.layout.changes.at(n)
			r.mark(slot, r.matchesProfile(x.layout.profiles[slot]))
		}
	}
	r.listFew()
	r.seen, r.built = next, true
	x.cache.resized(r, before)
}

// listFew notes the slots of the matches if they are few.
func (r *Requirement) listFew() {
	r.winner, r.few = noSlot, r.few[:0]
	if r.count > fewSlots {
		return
	}
	r.few = slices.Grow(r.few, r.count)
	for i, g := range r.groups {
		for b, slots := range r.matches[i].slots {
			for ; slots != 0; slots &= slots - 1 {
				r.few = append(r.few, g*groupSlots+uint32(b*blockSlots+bits.TrailingZeros16(slots)))
			}
		}
	}
}

// resolve finds the numbers of the tags. Numbers may have gone to other tags since the last time,
// but no profile that lived all the while changes sides by that: it kept its tags alive.
func (x *Index) resolve(r *Requirement) {
	r.resolvedAt = x.tags.changes
	numbers := x.numbers[:0]
	for _, name := range r.tags {
		n, ok := x.tags.number(name)
		if !ok {
			r.feasible, r.set = false, ""
			return
		}
		numbers = append(numbers, n)
	}
	x.numbers, x.setBytes = numbers, appendSet(x.setBytes[:0], numbers)
	r.feasible = true
	if string(r.set) != string(x.setBytes) {
		r.set = tagset(x.setBytes)
	}
}

// build finds the matches by intersecting the bitmaps of profiles.
func (x *Index) build(r *Requirement) {
	r.drop()
	if !r.feasible {
		return
	}
	slots := x.slots[:0]
	if r.set == "" {
		for slot, p := range x.layout.profiles {
			if p != nil {
				slots = append(slots, uint32(slot))
			}
		}
	} else {
		it := x.profilesWith(r.set).Iterator()
		for it.HasNext() {
			slots = append(slots, x.profiles[it.Next()].slot)
		}
		slices.Sort(slots)
	}
	x.slots = slots
	r.fill(slots)
}

// drop forgets the matches.
func (r *Requirement) drop() {
	r.groups, r.matches, r.few = nil, nil, nil
	r.count, r.built = 0, false
}

// fill sets the matches to the profiles in the given slots, which ascend.
func (r *Requirement) fill(slots []uint32) {
	groups := 0
	for i, slot := range slots {
		if i == 0 || slot/groupSlots != slots[i-1]/groupSlots {
			groups++
		}
	}
	r.groups, r.matches, r.count = make([]uint32, 0, groups), make([]match, 0, groups), len(slots)
	for i, slot := range slots {
		if i == 0 || slot/groupSlots != slots[i-1]/groupSlots {
			r.groups, r.matches = append(r.groups, slot/groupSlots), append(r.matches, match{})
		}
		b := slot / blockSlots % groupBlocks
		m := &r.matches[len(r.matches)-1]
		m.blocks |= 1 << b
		m.slots[b] |= 1 << (slot % blockSlots)
	}
}
