package index

import (
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
		{"load without its key", func(x *Index, p *profile, r *Requirement) { x.workers[p.workers[3]].load++ }, "for load"},
		{"seat", func(x *Index, p *profile, r *Requirement) { x.workers[p.workers[3]].seat++ }, "seat"},
		{"stamp given twice", func(x *Index, p *profile, r *Requirement) {
			a, b := p.workers[1], p.workers[2]
			x.workers[a].stamp, x.workers[a].load = x.workers[b].stamp, x.workers[b].load
			x.setKey(p, 1, p.keys[2])
		}, "share stamp"},
		{"unknown worker in the bitmap", func(x *Index, p *profile, r *Requirement) { x.known.Add(99_999) }, "known workers"},
		{"minimum in a tournament", func(x *Index, p *profile, r *Requirement) { p.levels[0][1]-- }, "minimum"},
		{"top of a tournament", func(x *Index, p *profile, r *Requirement) { p.top-- }, "top"},
		{"two workers in one seat", func(x *Index, p *profile, r *Requirement) { p.workers[3] = p.workers[4] }, "does not sit"},
		{"profile without its set", func(x *Index, p *profile, r *Requirement) { delete(x.bySet, p.set) }, "looked for"},
		{"profile count", func(x *Index, p *profile, r *Requirement) { x.profileCount++ }, "counted as"},
		{"tag without a worker", func(x *Index, p *profile, r *Requirement) {
			x.tags.tags[p.set.at(0)].workers.Remove(uint32(p.workers[0]))
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
				if len(p.workers) > len(largest.workers) {
					largest = p
				}
			}
			c.damage(f.x, largest, f.requirements[0])
			require.ErrorContains(t, f.x.Check(), c.want)
		})
	}
}
