package index

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/dtask/dtask-scheduler/selector"
)

// fewSlots is the number of matching profiles up to which Least looks at all of them instead of
// walking groups and blocks: 32 and 256 were slower in a shared fleet of 5,000.
const fewSlots = 128

// noSlot stands for no slot of the layout.
const noSlot = math.MaxUint32

// Spec is what a requirement asks of a worker.
type Spec struct {
	Tags  []string       // all of them, as exact strings
	Where *selector.Expr // an expression over the tags; nil for none
	Dims  uint64         // the mask of dimensions that it must have
}

// A Requirement is a Spec that was asked for, with the profiles that have what it asks. It belongs to the Index that made it and is valid until the next Intern there.
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

	where *selector.Expr // nil for none
	cond  *condition     // of where
	dims  uint64
	found uint32 // the slot in which Find was successful last, noSlot when the matches changed since

	set        tagset // the tags by number, when all of them are alive
	feasible   bool   // all tags are alive
	resolvedAt uint64 // tagTable.changes when set and feasible were found out

	scanning   bool // build goes on at the slot scanned, or at that of candidates
	scanned    uint32
	candidates []uint32 // the slots to look at, ascending, if narrow
	narrow     bool
	since      uint64 // changes of the layout when it began

	counted      int          // groups, in cache.matches
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

// Where returns the expression, nil for none. The caller must not change it.
func (r *Requirement) Where() *selector.Expr { return r.where }

// Hash returns a number that depends on the set of tags alone, the same in every run and on every
// machine.
func (r *Requirement) Hash() uint64 { return r.hash }

// newRequirement returns the requirement for a spec, whose tags are sorted and distinct and whose
// canonical form is given.
func newRequirement(s Spec, canonical []byte) *Requirement {
	r := &Requirement{tags: make([]string, len(s.Tags)), where: s.Where, dims: s.Dims, canonical: string(canonical)}
	for i, name := range s.Tags {
		r.tags[i] = strings.Clone(name)
	}
	if r.where != nil {
		r.cond = newCondition(r.where)
	}
	r.hash = hash64(r.canonical)
	return r
}

// appendCanonical appends each tag with its length before it, so that no two lists look alike, and
// behind them the dimensions and the expression if there are any. No length begins with the two
// bytes that stand between.
func appendCanonical(dst []byte, s Spec) []byte {
	for _, name := range s.Tags {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
	}
	if s.Dims != 0 || s.Where != nil {
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80, 0), s.Dims)
		if s.Where != nil {
			dst = append(dst, s.Where.String()...)
		}
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

// satisfies reports whether a profile, nil for none, has all that is asked.
func (x *Index) satisfies(p *profile, r *Requirement) bool {
	x.work++
	return p != nil && r.feasible && p.dims&r.dims == r.dims && p.set.contains(r.set) &&
		(r.cond == nil || x.holds(r.cond, p.set))
}

// group returns the place of the group of a slot among those that r lists.
func (r *Requirement) group(slot uint32) (int, bool) {
	return slices.BinarySearch(r.groups, slot/groupSlots)
}

// mark notes whether the profile in a slot matches.
func (r *Requirement) mark(slot uint32, matched bool) {
	g, b, bit := slot/groupSlots, slot/blockSlots%groupBlocks, uint16(1)<<(slot%blockSlots)
	i, found := r.group(slot)
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

// fewCandidates is up to how many profiles with the rarest tag of a requirement
// are looked at, instead of all profiles.
const fewCandidates = 4096

// Ready reports whether a requirement is up to date: using it costs no more than
// a search.
func (x *Index) Ready(r *Requirement) bool { return r.built && r.seen == x.layout.changes.next }

// Bring goes on with bringing a requirement up to date, for about as many units
// of work as left has, and takes from it what it did. It reports whether the
// requirement is up to date. A unit is a look at one profile, or a comparison of
// one term with one tag.
func (x *Index) Bring(r *Requirement, left *int) bool {
	if x.Ready(r) {
		return true
	}
	others := x.TakeWork()
	done := x.bring(r, *left)
	*left -= x.TakeWork() + 1
	x.work = others
	return done
}

// TakeWork returns how many units all but Bring took since the last call: searches,
// comparisons, and bringing up to date what they needed.
func (x *Index) TakeWork() (units int) {
	units, x.work = x.work, 0
	return units
}

// bring makes a requirement's matches those of the present state, until the work
// is more than most. When few slots changed since its last use it looks at these
// alone.
func (x *Index) bring(r *Requirement, most int) bool {
	if r.resolvedAt != x.tags.changes || !r.built {
		x.resolve(r)
	}
	next := x.layout.changes.next
	if missed := next - r.seen; r.built && (missed > changesKept || missed > uint64(x.profileCount)) {
		r.drop()
	}
	if !r.built && !x.build(r, most) {
		return false
	}
	for ; r.seen < next; r.seen++ {
		if x.work > most {
			x.cache.resized(r)
			return false
		}
		slot := x.layout.changes.at(r.seen)
		r.mark(slot, x.satisfies(*x.layout.profiles.at(int(slot)), r))
	}
	r.listFew()
	x.cache.resized(r)
	return true
}

// listFew notes the slots of the matches if they are few.
func (r *Requirement) listFew() {
	r.winner, r.found, r.few = noSlot, noSlot, r.few[:0]
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

// build finds the matches, by looking at few candidates or else at all profiles,
// slot by slot. It reports false if there is more to look at. What comes, goes or
// moves meanwhile stands in the log of changes.
func (x *Index) build(r *Requirement, most int) bool {
	if !r.scanning || x.layout.changes.next-r.since > changesKept {
		r.drop()
		r.scanning, r.since = true, x.layout.changes.next
		r.candidates, r.narrow = x.candidates(r, most)
	}
	for slots := &x.layout.profiles; ; r.scanned++ {
		slot := r.scanned
		switch {
		case r.narrow && int(slot) < len(r.candidates):
			slot = r.candidates[slot]
		case r.narrow, int(slot) >= slots.n:
			r.scanning, r.built, r.seen, r.candidates = false, true, r.since, nil
			return true
		}
		if x.work > most {
			x.cache.resized(r)
			return false
		}
		if p := *slots.at(int(slot)); p != nil && x.satisfies(p, r) {
			r.append(slot)
		}
	}
}

// append adds the profile in a slot behind all that match so far.
func (r *Requirement) append(slot uint32) {
	if n := len(r.groups); n == 0 || r.groups[n-1] != slot/groupSlots {
		r.groups, r.matches = append(r.groups, slot/groupSlots), append(r.matches, match{})
	}
	b, m := slot/blockSlots%groupBlocks, &r.matches[len(r.matches)-1]
	m.slots[b] |= 1 << (slot % blockSlots)
	m.blocks |= 1 << b
	r.count++
}

// candidates returns the slots of the profiles with the rarest tag, or with a tag for which the
// rarest term holds, ascending, if these are few; none if a tag is not alive. It does no more than
// about most work for that.
func (x *Index) candidates(r *Requirement, most int) (few []uint32, ok bool) {
	if !r.feasible {
		return nil, true
	}
	rarest, least := []*roaring.Bitmap(nil), uint64(fewCandidates+1)
	for i := range r.set.len() {
		if b := x.tags.tags[r.set.at(i)].profiles; b.GetCardinality() < least {
			rarest, least = []*roaring.Bitmap{b}, b.GetCardinality()
		}
	}
	if r.cond != nil {
		rarest, least = x.rarestTerm(r.cond, rarest, least, most)
	}
	if least > fewCandidates {
		return nil, false
	}
	few = make([]uint32, 0, least)
	for _, b := range rarest {
		for it := b.Iterator(); it.HasNext(); {
			few = append(few, (*x.profiles.at(int(it.Next()))).slot)
		}
	}
	x.work += len(few)
	slices.Sort(few)
	return slices.Compact(few), true
}

// drop forgets the matches.
func (r *Requirement) drop() {
	r.groups, r.matches, r.few, r.candidates = nil, nil, nil, nil
	r.count, r.built, r.scanning, r.scanned = 0, false, false, 0
}
