package index

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCheckFindsEachKindOfDamage breaks one thing at a time in a healthy index.
func TestCheckFindsEachKindOfDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(x *Index, p *profile, r *Requirement)
		want   string
	}{
		{"load without its key", func(x *Index, p *profile, r *Requirement) { x.workers.at(int(p.heap.at(3).worker)).load++ }, "for load"},
		{"place", func(x *Index, p *profile, r *Requirement) { x.workers.at(int(p.heap.at(3).worker)).place++ }, "place"},
		{"stamp given twice", func(x *Index, p *profile, r *Requirement) {
			a, b := int(p.heap.at(1).worker), int(p.heap.at(2).worker)
			x.workers.at(a).stamp, x.workers.at(a).load = x.workers.at(b).stamp, x.workers.at(b).load
			p.heap.at(1).key = p.heap.key(2)
		}, "share stamp"},
		{"unknown worker in the bitmap", func(x *Index, p *profile, r *Requirement) { x.known.Add(99_999) }, "known workers"},
		{"entry below its parent", func(x *Index, p *profile, r *Requirement) {
			a, b := p.heap.at(1), p.heap.at(5)
			*a, *b = *b, *a
			x.workers.at(int(a.worker)).place, x.workers.at(int(b.worker)).place = 1, 5
		}, "below its parent"},
		{"entry without a worker", func(x *Index, p *profile, r *Requirement) { p.heap.push(*p.heap.at(3)) }, "in its heap"},
		{"two entries of one worker", func(x *Index, p *profile, r *Requirement) { *p.heap.at(3) = *p.heap.at(4) }, "does not stand"},
		{"miscounted workers", func(x *Index, p *profile, r *Requirement) { p.members++ }, "counts"},
		{"profile without its set", func(x *Index, p *profile, r *Requirement) { delete(x.bySet, p.id) }, "looked for"},
		{"profile count", func(x *Index, p *profile, r *Requirement) { x.profileCount++ }, "counted as"},
		{"tag without a worker", func(x *Index, p *profile, r *Requirement) {
			x.tags.tags[p.set.at(0)].workers.Remove(uint32(p.heap.at(0).worker))
		}, "bitmaps"},
		{"tag by another name", func(x *Index, p *profile, r *Requirement) { x.tags.tags[p.set.at(0)].name = "?" }, "found as"},
		{"top of a slot", func(x *Index, p *profile, r *Requirement) { *x.layout.tops.at(int(p.slot))-- }, "slot"},
		{"minimum of a block", func(x *Index, p *profile, r *Requirement) { x.layout.blockLeast[p.slot/blockSlots]-- }, "block"},
		{"minimum of a group", func(x *Index, p *profile, r *Requirement) { x.layout.groupLeast[p.slot/groupSlots]-- }, "group"},
		{"slot in use that is free", func(x *Index, p *profile, r *Requirement) {
			x.layout.blocks[p.slot/blockSlots].used ^= 1 << (p.slot % blockSlots)
		}, "used"},
		{"blocks out of order", func(x *Index, p *profile, r *Requirement) {
			o := x.layout.groups[x.layout.order[0]].order
			o[0], o[1] = o[1], o[0]
		}, "below"},
		{"lost group", func(x *Index, p *profile, r *Requirement) { x.layout.order = x.layout.order[1:] }, "groups in order"},
		{"stale match", func(x *Index, p *profile, r *Requirement) { r.matches[0].slots[3] ^= 1 }, "lists"},
		{"miscounted matches", func(x *Index, p *profile, r *Requirement) { r.count++ }, "lists"},
		{"stale list of few matches", func(x *Index, p *profile, r *Requirement) { r.few = append(r.few, 3) }, "lists few"},
		{"winner without the tags", func(x *Index, p *profile, r *Requirement) { r.winner = math.MaxUint32 - 1 }, "winner"},
		{"miscounted lists", func(x *Index, p *profile, r *Requirement) { x.cache.matches++ }, "counted as"},
		{"lost alias", func(x *Index, p *profile, r *Requirement) { clear(x.cache.byKey) }, "alias"},
		{"requirement not in the list", func(x *Index, p *profile, r *Requirement) { x.cache.unlink(r) }, "listed"},
		{"too many requirements", func(x *Index, p *profile, r *Requirement) { x.cache.size = 1 }, "limit 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(4_000, 10, sharedTags)
			require.NoError(t, f.x.Check())
			largest := *f.x.profiles.at(0)
			for _, at := range f.x.profiles.all() {
				p := *at
				if p.heap.n > largest.heap.n {
					largest = p
				}
			}
			c.damage(f.x, largest, f.requirements[0])
			require.ErrorContains(t, f.x.Check(), c.want)
		})
	}
}
