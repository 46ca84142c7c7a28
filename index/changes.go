package index

// changesKept is how many changes of slots are remembered. A requirement that has missed more is
// built anew.
const changesKept = 4096

// changes is the log by which cached requirements catch up: the numbers of the slots whose profile
// came, went or moved, oldest overwritten first. A reader asks for the present occupant of each, so
// the order of the entries and how often a slot occurs do not matter.
type changes struct {
	slots [changesKept]uint32
	next  uint64 // number of changes ever made
}

// add notes that the occupant of a slot changed.
func (c *changes) add(slot uint32) {
	c.slots[c.next%changesKept] = slot
	c.next++
}

// at returns the n-th change ever made, one of the last changesKept.
func (c *changes) at(n uint64) uint32 { return c.slots[n%changesKept] }
