package index

// fanShift is the logarithm of the number of keys under one node of a tournament: eight keys of
// eight bytes are one cache line.
const (
	fanShift = 3
	fan      = 1 << fanShift
)

// shrinkFrom is the number of seats below which a tournament keeps its memory when workers leave.
const shrinkFrom = 64

// A tournament holds the workers of one profile, each in a seat, and above the seats levels of
// minima, each over eight keys of the level below, until a level has at most eight. A change of one
// key touches a path from its seat upward and stops where the minimum stays the same. Workers do
// not move when keys change.
type tournament struct {
	keys    []uint64   // by seat
	workers []Worker   // by seat
	levels  [][]uint64 // levels[0][i] is the least of keys[8i:8i+8], levels[1] stands over levels[0], ...
	top     uint64     // the least key, keyAbsent when there is none
}

// leastOf returns the least key of the i-th eight of a level, of which the last may be shorter.
func leastOf(level []uint64, i int) uint64 {
	start := i << fanShift
	if len(level)-start >= fan {
		k := (*[fan]uint64)(level[start:])
		return min(min(min(k[0], k[1]), min(k[2], k[3])), min(min(k[4], k[5]), min(k[6], k[7])))
	}
	least := uint64(keyAbsent)
	for _, k := range level[start:] {
		least = min(least, k)
	}
	return least
}

// set changes the key in a seat.
func (t *tournament) set(seat int, key uint64) {
	t.keys[seat] = key
	level, i := t.keys, seat
	for _, above := range t.levels {
		i >>= fanShift
		least := leastOf(level, i)
		if above[i] == least {
			return
		}
		above[i] = least
		level = above
	}
	t.top = leastOf(level, 0)
}

// winner returns the worker with the least key, which must be choosable.
func (t *tournament) winner() Worker {
	group := 0
	for l := len(t.levels) - 1; l >= 0; l-- {
		group = find(t.levels[l], group, t.top)
	}
	return t.workers[find(t.keys, group, t.top)]
}

// find returns the position of a key that stands in the given eight of a level.
func find(level []uint64, group int, key uint64) int {
	i := group << fanShift
	for level[i] != key {
		i++
	}
	return i
}

// add seats a worker and returns its seat.
func (t *tournament) add(w Worker, key uint64) (seat int) {
	seat = len(t.keys)
	t.keys = append(t.keys, key)
	t.workers = append(t.workers, w)
	for l, i := 0, seat>>fanShift; l < len(t.levels); l, i = l+1, i>>fanShift {
		if i == len(t.levels[l]) {
			t.levels[l] = append(t.levels[l], keyAbsent)
		}
		t.levels[l][i] = min(t.levels[l][i], key)
	}
	if highest := t.highest(); len(highest) > fan {
		t.levels = append(t.levels, []uint64{leastOf(highest, 0), leastOf(highest, 1)})
	}
	t.top = min(t.top, key)
	return seat
}

// highest returns the level that has nothing above it.
func (t *tournament) highest() []uint64 {
	if len(t.levels) == 0 {
		return t.keys
	}
	return t.levels[len(t.levels)-1]
}

// remove frees a seat. The worker of the last seat moves into it; moved is false when the freed
// seat was the last one itself.
func (t *tournament) remove(seat int) (w Worker, moved bool) {
	last := len(t.keys) - 1
	w, moved = t.workers[last], seat != last
	if moved {
		t.workers[seat] = w
		t.set(seat, t.keys[last])
	}
	t.set(last, keyAbsent)
	t.keys = shorten(t.keys, last)
	t.workers = shorten(t.workers, last)
	below := last
	for l := range t.levels {
		if below <= fan {
			clear(t.levels[l:])
			t.levels = t.levels[:l]
			break
		}
		below = (below + fan - 1) >> fanShift
		t.levels[l] = shorten(t.levels[l], below)
	}
	return w, moved
}

// shorten cuts a slice to n elements and gives memory back when three quarters of it are unused.
func shorten[T any](s []T, n int) []T {
	if n >= shrinkFrom && n <= cap(s)/4 {
		return append(make([]T, 0, 2*n), s[:n]...)
	}
	return s[:n]
}
