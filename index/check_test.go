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
		{"load without its key", func(x *Index, p *profile, r *Requirement) { x.workers[p.heap[3].worker].load++ }, "for load"},
		{"place", func(x *Index, p *profile, r *Requirement) { x.workers[p.heap[3].worker].place++ }, "place"},
		{"stamp given twice", func(x *Index, p *profile, r *Requirement) {
			a, b := p.heap[1].worker, p.heap[2].worker
			x.workers[a].stamp, x.workers[a].load = x.workers[b].stamp, x.workers[b].load
			p.heap[1].key = p.heap[2].key
		}, "share stamp"},
		{"unknown worker in the bitmap", func(x *Index, p *profile, r *Requirement) { x.known.Add(99_999) }, "known workers"},
		{"entry below its parent", func(x *Index, p *profile, r *Requirement) {
			a, b := &p.heap[1], &p.heap[5]
			*a, *b = *b, *a
			x.workers[a.worker].place, x.workers[b.worker].place = 1, 5
		}, "below its parent"},
		{"entry without a worker", func(x *Index, p *profile, r *Requirement) { p.heap = append(p.heap, p.heap[3]) }, "in its heap"},
		{"two entries of one worker", func(x *Index, p *profile, r *Requirement) { p.heap[3] = p.heap[4] }, "does not stand"},
		{"miscounted workers", func(x *Index, p *profile, r *Requirement) { p.members++ }, "counts"},
		{"profile without its set", func(x *Index, p *profile, r *Requirement) { delete(x.bySet, p.id) }, "looked for"},
		{"profile count", func(x *Index, p *profile, r *Requirement) { x.profileCount++ }, "counted as"},
		{"tag without a worker", func(x *Index, p *profile, r *Requirement) {
			x.tags.tags[p.set.at(0)].workers.Remove(uint32(p.heap[0].worker))
		}, "bitmaps"},
		{"tag by another name", func(x *Index, p *profile, r *Requirement) { x.tags.tags[p.set.at(0)].name = "?" }, "found as"},
		{"top of a slot", func(x *Index, p *profile, r *Requirement) { x.layout.tops[p.slot]-- }, "slot"},
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
			largest := f.x.profiles[0]
			for _, p := range f.x.profiles {
				if len(p.heap) > len(largest.heap) {
					largest = p
				}
			}
			c.damage(f.x, largest, f.requirements[0])
			require.ErrorContains(t, f.x.Check(), c.want)
		})
	}
}
