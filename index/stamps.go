package index

// Steps of a renumbering in each call of Give. A million workers are renumbered within about 350,000
// gives, of the two billion that are left then.
const (
	stampScan = 64 // records that are looked at
	stampPops = 4  // workers that get their new stamps
)

// stamps hands out give stamps. There are 4 billion of them. Once half are used up, the workers are
// renumbered 1, 2, ... in the order of their stamps, a few in each call of Give. The new stamp of a
// worker is never above the old one, and below all stamps that are not renumbered yet. So the order
// is right at every moment.
type stamps struct {
	last  uint32 // the last one that was given
	limit uint32 // lastStamp, smaller in tests

	renumbering bool
	kept        int            // calls of KeepStamps: a renumbering rests
	scanned     int            // records, for stamps up to upTo
	upTo        uint32         // the last stamp when the renumbering began
	heap        vector[uint64] // a binary min-heap: a stamp and its worker; stale unless the worker still has the stamp
	next        uint32         // the last new stamp
}

// Give changes the load and room of a worker, as SetLoad does, and makes it the most recently given
// of all. It panics if the worker is unknown.
func (x *Index) Give(w Worker, load uint32, room ...int64) {
	t := &x.stamps
	if t.renumbering || t.last >= t.limit/2 {
		x.renumberSome()
	}
	t.last++
	m := x.workers.at(int(w))
	m.load, m.stamp = min(load, Full), t.last
	if t.renumbering {
		t.push(t.last, w)
	}
	x.rekey(w, m, room)
}

// Stamp returns the give stamp of a known worker, for Ungive.
func (x *Index) Stamp(w Worker) uint32 { return x.workers.at(int(w)).stamp }

// KeepStamps makes the stamps that are read from now on stay good for the next n calls of Give,
// until FreeStamps.
func (x *Index) KeepStamps(n uint32) {
	if x.stamps.limit-x.stamps.last < n {
		x.renumberAll()
	}
	x.stamps.kept++
}

// FreeStamps ends KeepStamps.
func (x *Index) FreeStamps() { x.stamps.kept-- }

// Ungive undoes a Give: it changes the load and room of a worker and puts it back to the stamp that
// it had before. It panics if the worker is unknown.
func (x *Index) Ungive(w Worker, load, stamp uint32, room ...int64) {
	m := x.workers.at(int(w))
	m.load, m.stamp = min(load, Full), stamp
	x.rekey(w, m, room)
}

// renumberSome does a few steps of a renumbering.
func (x *Index) renumberSome() {
	switch t := &x.stamps; {
	case t.kept > 0:
	case t.last == t.limit:
		x.renumberAll()
	default:
		x.renumber(stampScan, stampPops)
	}
}

// renumberAll renumbers all workers at once. That happens only if stamps are used up faster than
// renumberSome goes on, which takes a limit smaller than lastStamp.
func (x *Index) renumberAll() {
	for done := false; !done; {
		done = x.renumber(stampScan, stampPops)
	}
}

// renumber looks at some records, or gives some workers their new stamps. It reports whether the
// renumbering is over.
func (x *Index) renumber(scan, pops int) (done bool) {
	t := &x.stamps
	if !t.renumbering {
		t.renumbering, t.scanned, t.next, t.upTo = true, 0, 0, t.last
	}
	for ; scan > 0 && t.scanned < x.workers.n; scan-- {
		if m := x.workers.at(t.scanned); m.stamp != neverGiven && m.stamp <= t.upTo {
			t.push(m.stamp, Worker(t.scanned))
		}
		t.scanned++
	}
	if t.scanned < x.workers.n {
		return false
	}
	for ; pops > 0 && t.heap.n > 0; pops-- {
		stamp, w := t.pop()
		m := x.workers.at(int(w))
		if m.stamp != stamp {
			continue // it was given something since, or is gone
		}
		t.next++
		m.stamp = t.next
		x.rekey(w, m, x.Room(w))
	}
	if t.heap.n > 0 {
		return false
	}
	t.renumbering, t.last = false, t.next
	return true
}

// push adds a stamp of a worker to the heap.
func (t *stamps) push(stamp uint32, w Worker) {
	e := uint64(stamp)<<32 | uint64(w)
	t.heap.push(e)
	i := t.heap.n - 1
	for i > 0 && *t.heap.at((i - 1) / 2) > e {
		*t.heap.at(i) = *t.heap.at((i - 1) / 2)
		i = (i - 1) / 2
	}
	*t.heap.at(i) = e
}

// pop takes the smallest stamp out of the heap, which is not empty.
func (t *stamps) pop() (stamp uint32, w Worker) {
	least, e := *t.heap.at(0), t.heap.pop()
	i := 0
	for child := 1; child < t.heap.n; child = 2*i + 1 {
		if child+1 < t.heap.n && *t.heap.at(child + 1) < *t.heap.at(child) {
			child++
		}
		if *t.heap.at(child) >= e {
			break
		}
		*t.heap.at(i) = *t.heap.at(child)
		i = child
	}
	if t.heap.n > 0 {
		*t.heap.at(i) = e
	}
	return uint32(least >> 32), Worker(least & (1<<32 - 1))
}
