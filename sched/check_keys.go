package sched

import "fmt"

// check walks the directory: every segment fills just the part that its depth
// says, its entries belong there, and the counts are right.
func (t *keyTable) check() error {
	n, segments := 0, [keyMaxDepth + 1]int32{}
	for first := 0; first < len(t.directory); {
		g := t.directory[first]
		if g.depth > t.depth {
			return fmt.Errorf("keys: a segment of depth %d in a directory of depth %d", g.depth, t.depth)
		}
		segments[g.depth]++
		span, held := 1<<(t.depth-g.depth), 0
		for i := first; i < first+span; i++ {
			if t.directory[i] != g {
				return fmt.Errorf("keys: place %d does not lead to the segment of %d", i, first)
			}
		}
		for _, e := range g.entries {
			if e.slot == 0 {
				continue
			}
			if held++; t.segment(e.hash) != g {
				return fmt.Errorf("keys: the hash %x stands in the segment of %d", e.hash, first)
			}
		}
		if held != int(g.n) {
			return fmt.Errorf("keys: the segment of %d holds %d entries, %d counted", first, held, g.n)
		}
		n, first = n+held, first+span
	}
	if n != t.n || segments != t.segments {
		return fmt.Errorf("keys: %d entries, %d counted; segments by depth %v, counted %v", n, t.n, segments, t.segments)
	}
	return nil
}
