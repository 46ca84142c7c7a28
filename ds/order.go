package ds

import (
	"slices"
	"sort"
)

// Order is a set of strings in sorted order: a list of short sorted runs, so
// that joining and leaving move little and a page can start anywhere.
type Order struct {
	runs [][]string // none is empty
}

// orderRun is the length at which a run is cut in two.
const orderRun = 512

// find returns the run that holds id, or in which it would stand.
func (o *Order) find(id string) int {
	i := sort.Search(len(o.runs), func(i int) bool { return o.runs[i][0] > id })
	return max(i-1, 0)
}

// Add inserts id, which must not be in the set.
func (o *Order) Add(id string) {
	if len(o.runs) == 0 {
		o.runs = [][]string{{id}}
		return
	}
	r := o.find(id)
	at, _ := slices.BinarySearch(o.runs[r], id)
	run := slices.Insert(o.runs[r], at, id)
	o.runs[r] = run
	if len(run) > orderRun {
		half := slices.Clone(run[orderRun/2:])
		clear(run[orderRun/2:])
		o.runs[r] = run[:orderRun/2]
		o.runs = slices.Insert(o.runs, r+1, half)
	}
}

// Remove takes id out.
func (o *Order) Remove(id string) {
	if len(o.runs) == 0 {
		return
	}
	r := o.find(id)
	at, found := slices.BinarySearch(o.runs[r], id)
	if !found {
		return
	}
	o.runs[r] = slices.Delete(o.runs[r], at, at+1)
	if len(o.runs[r]) == 0 {
		o.runs = slices.Delete(o.runs, r, r+1)
	}
}

// After yields the members greater than id in order until yield returns false.
func (o *Order) After(id string, yield func(string) bool) {
	if len(o.runs) == 0 {
		return
	}
	for r := o.find(id); r < len(o.runs); r++ {
		for _, s := range o.runs[r] {
			if (s > id || id == "") && !yield(s) {
				return
			}
		}
	}
}
