package index

import (
	"slices"
	"sort"
)

// Sizes of the layout. A group of 256 slots is the unit that a requirement lists.
const (
	blockSlots  = 16
	groupBlocks = 16
	groupSlots  = blockSlots * groupBlocks
	allUsed     = 1<<blockSlots - 1
)

// A profile is a distinct set of tags and dimensions, and the workers that have it.
type profile struct {
	heap    heap
	rooms   rooms
	id      tagset // the set with the dimensions behind it; what orders the layout
	set     tagset
	dims    uint64
	members int    // workers, eligible or not
	number  uint32 // in the bitmaps of the tags and in Index.profiles
	slot    uint32 // in the layout
}

// A layout gives profiles slots, such that profiles which are close in the order of their tag sets
// share a block of 16 slots, and close blocks a group of 16 blocks. It is the two lowest storeys of
// a B+ tree: a full block is split in two within its group, a full group in two. Over the slots it
// keeps minima: the top of each profile, the least of each block and of each group. Within a block
// the slots are in no order.
type layout struct {
	profiles   vector[*profile] // by slot; nil is a free slot
	tops       vector[uint64]   // by slot: the least key of the profile
	blockLeast []uint64         // by block
	groupLeast []uint64         // by group
	blocks     []block
	groups     []group
	order      []uint32 // the living groups, in the order of their sets
	freeGroups []uint32
	changes    changes
}

// A block of slots. Every set in it is at least low, and less than the low of the next block.
type block struct {
	low  tagset
	used uint16 // the slots that hold a profile
}

// A group of blocks.
type group struct {
	order []uint8 // its living blocks, by their place in the group, in the order of their sets
	used  uint16  // the blocks in order, as a mask
}

// insert finds a slot for a new profile.
func (l *layout) insert(p *profile) {
	if len(l.order) == 0 {
		l.newBlock(l.newGroup(0), 0, p.id)
	}
	for {
		i, j := l.find(p.id)
		g := l.order[i]
		b := l.blockAt(g, j)
		switch {
		case l.blocks[b].used != allUsed:
			l.blocks[b].low = min(l.blocks[b].low, p.id)
			l.place(p, b)
			return
		case len(l.groups[g].order) < groupBlocks:
			l.splitBlock(g, j)
		default:
			l.splitGroup(i)
		}
	}
}

// remove frees the slot of a profile, and its block and group when nothing is left in them.
func (l *layout) remove(p *profile) {
	b := p.slot / blockSlots
	l.lift(p)
	if l.blocks[b].used == 0 {
		l.dropBlock(b)
	}
}

// find returns where a set belongs: a position in order, and one in the order of that group. A set
// below all others belongs to the first block.
func (l *layout) find(set tagset) (i, j int) {
	i = sort.Search(len(l.order), func(i int) bool { return l.blocks[l.blockAt(l.order[i], 0)].low > set })
	i = max(i-1, 0)
	g := l.order[i]
	j = sort.Search(len(l.groups[g].order), func(j int) bool { return l.blocks[l.blockAt(g, j)].low > set })
	return i, max(j-1, 0)
}

// blockAt returns the number of the j-th block in the order of a group.
func (l *layout) blockAt(g uint32, j int) uint32 {
	return g*groupBlocks + uint32(l.groups[g].order[j])
}

// newGroup makes an empty group and puts it at position i of the order.
func (l *layout) newGroup(i int) uint32 {
	g := uint32(len(l.groups))
	if last := len(l.freeGroups) - 1; last >= 0 {
		g, l.freeGroups = l.freeGroups[last], l.freeGroups[:last]
	} else {
		l.groups = append(l.groups, group{})
		l.groupLeast = append(l.groupLeast, keyAbsent)
		l.blocks = append(l.blocks, make([]block, groupBlocks)...)
		l.blockLeast = appendAbsent(l.blockLeast, groupBlocks)
		for range groupSlots {
			l.profiles.push(nil)
			l.tops.push(keyAbsent)
		}
	}
	l.order = slices.Insert(l.order, i, g)
	return g
}

// appendAbsent appends n times keyAbsent.
func appendAbsent(keys []uint64, n int) []uint64 {
	for range n {
		keys = append(keys, keyAbsent)
	}
	return keys
}

// newBlock makes an empty block at position j of the order of a group that is not full.
func (l *layout) newBlock(g uint32, j int, low tagset) uint32 {
	gr := &l.groups[g]
	i := lowestZero(gr.used)
	gr.used |= 1 << i
	gr.order = slices.Insert(gr.order, j, uint8(i))
	b := g*groupBlocks + uint32(i)
	l.blocks[b].low = low
	return b
}

// dropBlock frees an empty block, and its group if it was the last one there.
func (l *layout) dropBlock(b uint32) {
	g, i := b/groupBlocks, uint8(b%groupBlocks)
	gr := &l.groups[g]
	gr.used &^= 1 << i
	j := slices.Index(gr.order, i)
	gr.order = slices.Delete(gr.order, j, j+1)
	l.blocks[b] = block{}
	if gr.used == 0 {
		k := slices.Index(l.order, g)
		l.order = slices.Delete(l.order, k, k+1)
		l.freeGroups = append(l.freeGroups, g)
	}
}

// splitBlock moves the upper half of the j-th block of a group into a new one behind it.
func (l *layout) splitBlock(g uint32, j int) {
	b := l.blockAt(g, j)
	all := l.profilesOf(b)
	slices.SortFunc(all, func(p, q *profile) int {
		if p.id < q.id {
			return -1
		}
		return 1
	})
	upper := all[blockSlots/2:]
	l.move(upper, l.newBlock(g, j+1, upper[0].id))
}

// splitGroup moves the upper half of the blocks of the i-th group into a new one behind it.
func (l *layout) splitGroup(i int) {
	from, to := l.order[i], l.newGroup(i+1)
	for j := range groupBlocks / 2 {
		b := l.blockAt(from, groupBlocks/2)
		moved := slices.DeleteFunc(l.profilesOf(b), func(p *profile) bool { return p == nil })
		l.move(moved, l.newBlock(to, j, l.blocks[b].low))
		l.dropBlock(b)
	}
}

// profilesOf returns a copy of the profiles in the slots of a block, nil for free ones.
func (l *layout) profilesOf(b uint32) []*profile {
	all := make([]*profile, blockSlots)
	for i := range all {
		all[i] = *l.profiles.at(int(b)*blockSlots + i)
	}
	return all
}

// move takes profiles out of their slots and places them in a block.
func (l *layout) move(profiles []*profile, b uint32) {
	for _, p := range profiles {
		l.lift(p)
		l.place(p, b)
	}
}

// place puts a profile into a free slot of a block.
func (l *layout) place(p *profile, b uint32) {
	i := lowestZero(l.blocks[b].used)
	l.blocks[b].used |= 1 << i
	p.slot = b*blockSlots + uint32(i)
	*l.profiles.at(int(p.slot)) = p
	l.changes.add(p.slot)
	l.setTop(p.slot, p.heap.top())
}

// lift takes a profile out of its slot.
func (l *layout) lift(p *profile) {
	l.blocks[p.slot/blockSlots].used &^= 1 << (p.slot % blockSlots)
	*l.profiles.at(int(p.slot)) = nil
	l.changes.add(p.slot)
	l.setTop(p.slot, keyAbsent)
}
