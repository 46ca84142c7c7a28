package index

import (
	"fmt"
	"maps"
	"slices"
)

// checkLayout examines minima, occupancy and order of the slots.
func (x *Index) checkLayout() error {
	l := &x.layout
	held := 0
	for slot, at := range l.profiles.all() {
		p := *at
		top := uint64(keyAbsent)
		if p != nil {
			held, top = held+1, p.heap.top()
		}
		if *l.tops.at(slot) != top {
			return fmt.Errorf("slot %d: top is %x, not %x", slot, *l.tops.at(slot), top)
		}
		if used := l.blocks[slot/blockSlots].used>>(slot%blockSlots)&1 == 1; used != (p != nil) {
			return fmt.Errorf("slot %d: used is %v", slot, used)
		}
	}
	if held != x.profileCount {
		return fmt.Errorf("%d profiles in slots, of %d", held, x.profileCount)
	}
	for b, least := range l.blockLeast {
		if want := slices.Min(l.topsOf(uint32(b))[:]); least != want {
			return fmt.Errorf("block %d: least is %x, not %x", b, least, want)
		}
	}
	for g, least := range l.groupLeast {
		if want := slices.Min(l.blockLeast[g*groupBlocks : (g+1)*groupBlocks]); least != want {
			return fmt.Errorf("group %d: least is %x, not %x", g, least, want)
		}
	}
	return l.checkOrder()
}

// checkOrder walks the blocks in order: living blocks hold profiles, and the sets ascend from block
// to block.
func (l *layout) checkOrder() error {
	if len(l.order)+len(l.freeGroups) != len(l.groups) {
		return fmt.Errorf("%d groups in order, %d free, of %d", len(l.order), len(l.freeGroups), len(l.groups))
	}
	var bound, highest tagset
	first := true
	for _, g := range l.order {
		gr := &l.groups[g]
		if len(gr.order) == 0 {
			return fmt.Errorf("group %d is in the order without a block", g)
		}
		used := uint16(0)
		for j, i := range gr.order {
			used |= 1 << i
			b := l.blockAt(g, j)
			if l.blocks[b].used == 0 {
				return fmt.Errorf("block %d is in the order without a profile", b)
			}
			low := l.blocks[b].low
			if !first && (low <= bound || highest >= low) {
				return fmt.Errorf("block %d begins below the one before it", b)
			}
			bound, first = low, false
			for _, p := range l.profilesOf(b) {
				if p != nil {
					if p.id < low {
						return fmt.Errorf("block %d holds a set below its low", b)
					}
					highest = max(highest, p.id)
				}
			}
		}
		if used != gr.used {
			return fmt.Errorf("group %d: blocks %b in order, %b in use", g, used, gr.used)
		}
	}
	return nil
}

// checkCache examines the list of last use, the two maps and the bounds.
func (x *Index) checkCache() error {
	c := &x.cache
	listed, aliases, matches, lists := 0, 0, 0, 0
	var newer *Requirement
	for r := c.newest; r != nil; newer, r = r, r.older {
		listed, aliases, matches = listed+1, aliases+len(r.aliases), matches+len(r.groups)
		if len(r.groups) > 0 {
			lists++
		}
		if r.newer != newer || !r.cached || c.byTags[r.canonical] != r {
			return fmt.Errorf("requirement %q is not where it is looked for", r.tags)
		}
		if len(r.aliases) > aliasesKept {
			return fmt.Errorf("requirement %q has %d aliases", r.tags, len(r.aliases))
		}
		for _, key := range r.aliases {
			if c.byKey[key] != r {
				return fmt.Errorf("requirement %q: alias %q is another's", r.tags, key)
			}
		}
	}
	if c.oldest != newer || listed != len(c.byTags) || listed > c.size || aliases != len(c.byKey) {
		return fmt.Errorf("%d requirements listed, %d by tags, limit %d; %d aliases, %d by key",
			listed, len(c.byTags), c.size, aliases, len(c.byKey))
	}
	if matches != c.matches || matches > c.matchesKept && lists > 1 {
		return fmt.Errorf("%d groups in %d lists, counted as %d, limit %d", matches, lists, c.matches, c.matchesKept)
	}
	return nil
}

// checkMatches compares each list of matches that claims to be up to date with a scan by names.
func (x *Index) checkMatches() error {
	sets := make([]map[string]bool, x.layout.profiles.n)
	for slot, at := range x.layout.profiles.all() {
		if p := *at; p != nil {
			sets[slot] = make(map[string]bool)
			p.set.eachNotIn("", func(n uint32) { sets[slot][x.tags.tags[n].name] = true })
		}
	}
	for r := x.cache.newest; r != nil; r = r.older {
		if !r.built || r.seen != x.layout.changes.next {
			continue
		}
		var slots []uint32
		for slot, set := range sets {
			lacks := func(name string) bool { return !set[name] }
			if set != nil && !slices.ContainsFunc(r.tags, lacks) && (*x.layout.profiles.at(slot)).dims&r.dims == r.dims &&
				(r.where == nil || r.where.Match(slices.Collect(maps.Keys(set)))) {
				slots = append(slots, uint32(slot))
			}
		}
		var want Requirement
		for _, slot := range slots {
			want.append(slot)
		}
		if !slices.Equal(r.groups, want.groups) || !slices.Equal(r.matches, want.matches) || r.count != len(slots) {
			return fmt.Errorf("requirement %q lists %d, %v in %v, not slots %v", r.tags, r.count, r.matches, r.groups, slots)
		}
		if want.listFew(); !slices.Equal(r.few, want.few) {
			return fmt.Errorf("requirement %q lists few slots %v, not %v", r.tags, r.few, want.few)
		}
		for _, slot := range [...]uint32{r.winner, r.found} {
			if slot != noSlot && !slices.Contains(slots, slot) {
				return fmt.Errorf("requirement %q: the winner in slot %d does not match", r.tags, slot)
			}
		}
	}
	return nil
}

// checkNames compares the sorted names with the living tags.
func (t *tagTable) checkNames() error {
	last, n := "", 0
	for i, b := range t.names.blocks {
		if len(b) == 0 || len(b) > nameBlock {
			return fmt.Errorf("block %d of the names has %d", i, len(b))
		}
		for _, name := range b {
			if _, alive := t.byName[name]; !alive || n > 0 && name <= last {
				return fmt.Errorf("the name %q stands behind %q, alive: %v", name, last, alive)
			}
			last, n = name, n+1
		}
	}
	if n != len(t.byName) {
		return fmt.Errorf("%d names for %d tags", n, len(t.byName))
	}
	return nil
}
