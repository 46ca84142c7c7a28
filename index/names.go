package index

import "slices"

// nameBlock is how many names a block of names holds at most.
const nameBlock = 512

// names is a sorted list of distinct names in blocks, so that one that comes or goes
// moves few others.
type names struct {
	blocks [][]string // none is empty
}

// find returns the block that a name stands in or belongs into, 0 if there is none.
func (l *names) find(name string) int {
	i, found := slices.BinarySearchFunc(l.blocks, name, func(b []string, name string) int {
		if b[0] < name {
			return -1
		}
		if b[0] == name {
			return 0
		}
		return 1
	})
	if !found {
		i = max(i-1, 0)
	}
	return i
}

// add puts in a name that is not there.
func (l *names) add(name string) {
	if len(l.blocks) == 0 {
		l.blocks = append(l.blocks, []string{name})
		return
	}
	i := l.find(name)
	b := l.blocks[i]
	at, _ := slices.BinarySearch(b, name)
	b = slices.Insert(b, at, name)
	if l.blocks[i] = b; len(b) <= nameBlock {
		return
	}
	half := slices.Clone(b[nameBlock/2:])
	clear(b[nameBlock/2:])
	l.blocks[i] = b[:nameBlock/2]
	l.blocks = slices.Insert(l.blocks, i+1, half)
}

// remove takes out a name that is there.
func (l *names) remove(name string) {
	i := l.find(name)
	at, _ := slices.BinarySearch(l.blocks[i], name)
	if l.blocks[i] = slices.Delete(l.blocks[i], at, at+1); len(l.blocks[i]) == 0 {
		l.blocks = slices.Delete(l.blocks, i, i+1)
	}
}

// from calls yield for the names that are not less than a name, in order, until it
// returns false.
func (l *names) from(name string, yield func(string) bool) {
	if len(l.blocks) == 0 {
		return
	}
	i := l.find(name)
	at, _ := slices.BinarySearch(l.blocks[i], name)
	for ; i < len(l.blocks); i, at = i+1, 0 {
		for _, n := range l.blocks[i][at:] {
			if !yield(n) {
				return
			}
		}
	}
}
