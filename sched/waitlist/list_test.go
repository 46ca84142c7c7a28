package waitlist

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is a waiter as its twin keeps it, in the order of arrival.
type naive struct {
	*Waiter
	priority int32
	owner    string
	class    int
	seeks    bool
}

// twin is the order of waiters in the plainest way: all of them in a slice, of which
// each question makes what it needs by a scan and a sort.
type twin struct {
	most    int
	waiters []naive
	leases  map[string]int
	turns   map[string]uint64 // of each owner and priority that waits: when it was served or came
	now     uint64
}

// sizes are the tasks of each class; above 1 it is one of gangs.
var sizes = []int{1, 1, 1, 2, 3}

func (t *twin) mayHave(w naive) bool {
	return t.most == 0 || sizes[w.class] <= t.most-t.leases[w.owner]
}

func turnKey(priority int32, owner string) string { return fmt.Sprint(priority, " ", owner) }

// order lists the heads of all buckets that may be served, in the order in which they
// are: by priority, turn of the owner, arrival.
func (t *twin) order() (heads []naive) {
	seen := map[string]bool{}
	for _, w := range t.waiters { // in order of arrival
		bucket := fmt.Sprint(turnKey(w.priority, w.owner), " ", w.class)
		if !seen[bucket] && t.mayHave(w) {
			heads = append(heads, w)
		}
		seen[bucket] = true
	}
	slices.SortStableFunc(heads, func(a, b naive) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority),
			cmp.Compare(t.turns[turnKey(a.priority, a.owner)], t.turns[turnKey(b.priority, b.owner)]))
	})
	return heads
}

// fix gives a turn to each owner queue that has come, and takes it from those that
// are gone.
func (t *twin) fix() {
	here := map[string]bool{}
	for _, w := range t.waiters {
		k := turnKey(w.priority, w.owner)
		if here[k] = true; t.turns[k] == 0 {
			t.now++
			t.turns[k] = t.now
		}
	}
	for k := range t.turns {
		if !here[k] {
			delete(t.turns, k)
		}
	}
}

// pair is a List beside its twin.
type pair struct {
	*rapid.T
	l    List
	twin *twin
	gone []naive // that may come back with their old number
}

func TestListAgainstATwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int{0, 1, 3, 5}).Draw(t, "most")
		p := &pair{T: t, l: New(most), twin: &twin{most: most, leases: map[string]int{}, turns: map[string]uint64{}}}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			p.step()
			p.twin.fix()
			p.compare()
		}
	})
}

func (p *pair) step() {
	what, owner := rapid.IntRange(0, 9).Draw(p.T, "what"), rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(p.T, "owner")
	switch n := len(p.twin.waiters); {
	case what <= 3 || n == 0:
		p.add(naive{Waiter: &Waiter{}, priority: rapid.Int32Range(-1, 1).Draw(p.T, "priority"), owner: owner, class: rapid.IntRange(0, len(sizes)-1).Draw(p.T, "class")})
	case what == 4 && len(p.gone) > 0:
		w := p.gone[len(p.gone)-1]
		p.gone = p.gone[:len(p.gone)-1]
		p.add(w)
	case what <= 5:
		p.remove(rapid.IntRange(0, n-1).Draw(p.T, "waiter"))
	case what == 6:
		by := 1
		if p.twin.leases[owner] > 0 && rapid.Bool().Draw(p.T, "ends") {
			by = -1
		}
		p.twin.leases[owner] += by
		p.l.CountLease([]byte(owner), by)
		p.l.ApplyLimit([]byte(owner))
	case what == 7:
		i := rapid.IntRange(0, n-1).Draw(p.T, "seeks")
		w := &p.twin.waiters[i]
		w.seeks = !w.seeks
		p.l.SetSeeks(w.Waiter, w.seeks)
	case len(p.twin.order()) > 0:
		w := p.twin.order()[0]
		q := w.Bucket.Queue
		p.remove(slices.IndexFunc(p.twin.waiters, func(o naive) bool { return o.Waiter == w.Waiter }))
		p.l.EndTurn(q)
		p.l.SetSought(q)
		p.twin.now++
		if k := turnKey(w.priority, w.owner); p.twin.turns[k] > 0 {
			p.twin.turns[k] = p.twin.now
		}
	}
}

func (p *pair) add(w naive) {
	key := []byte{byte(w.class)}
	c := p.l.Class(key)
	if c == nil {
		require.True(p, p.l.CanAdd(key))
		c = p.l.NewClass(key, int32(w.class), sizes[w.class] > 1, sizes[w.class])
	}
	p.l.Add(w.Waiter, w.priority, []byte(w.owner), c)
	i, _ := slices.BinarySearchFunc(p.twin.waiters, w.Number, func(o naive, n uint64) int { return cmp.Compare(o.Number, n) })
	p.twin.waiters = slices.Insert(p.twin.waiters, i, w)
}

func (p *pair) remove(i int) {
	w := p.twin.waiters[i]
	left := 0
	for _, o := range p.twin.waiters {
		if o.class == w.class {
			left++
		}
	}
	p.twin.waiters = slices.Delete(p.twin.waiters, i, i+1)
	p.twin.fix()
	require.Equal(p, left == 1, p.l.Remove(w.Waiter))
	w.seeks = false
	p.gone = append(p.gone, w)
}

// compare walks both.
func (p *pair) compare() {
	require.NoError(p, p.l.Check())
	require.NoError(p, p.l.CheckLeases(p.counted()))
	var got, want []uint64
	for b := p.l.FirstBand(); b != nil; b = p.l.After(b.Priority) {
		for q := b.First(); q != nil; q = q.Next() {
			for k := q.First(); k != nil; k = k.Next() {
				require.True(p, k.CanBeServed())
				got = append(got, k.Head().Number)
			}
		}
	}
	for _, w := range p.twin.order() {
		want = append(want, w.Number)
	}
	require.Equal(p, want, got)
	tasks, seeking := 0, 0
	for _, w := range p.twin.waiters {
		require.Equal(p, w.priority, w.Priority())
		if tasks += sizes[w.class]; w.seeks {
			seeking++
		}
	}
	require.Equal(p, []int{len(p.twin.waiters), tasks, seeking}, []int{p.l.Len(), p.l.Tasks(), p.l.Seeking()})
	for owner, n := range p.twin.leases {
		require.Equal(p, p.twin.most > 0 && n >= p.twin.most, p.l.AtLimit([]byte(owner)))
	}
}

func (p *pair) counted() map[string]int {
	leases := map[string]int{}
	for owner, n := range p.twin.leases {
		if n > 0 {
			leases[owner] = n
		}
	}
	return leases
}

// TestOffersAgainstALook: what an offer remembers is what a look at all classes finds,
// however often it is interrupted, and whatever comes and goes between.
func TestOffersAgainstALook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, waiters, offers := New(0), map[int32]*Waiter{}, make([]Offer, 3)
		for step := range rapid.IntRange(1, 80).Draw(t, "steps") {
			slot := rapid.Int32Range(0, 9).Draw(t, "class")
			if w := waiters[slot]; w != nil {
				require.True(t, l.Remove(w))
				delete(waiters, slot)
			} else {
				waiters[slot] = &Waiter{}
				l.Add(waiters[slot], 0, nil, l.NewClass(fmt.Append(nil, step), slot, false, 1))
			}
			i := rapid.IntRange(0, len(offers)-1).Draw(t, "offer")
			serves := func(c *Class) bool { return int(c.Slot)%3 != i }
			left := rapid.IntRange(0, 9).Draw(t, "allowance")
			classes, done := l.ClassesFor(&offers[i], 1, serves, func() bool { left--; return left < 0 })
			want := 0
			for s := range waiters {
				if int(s)%3 != i {
					want++
				}
			}
			require.LessOrEqual(t, len(classes), want)
			if done {
				require.Len(t, classes, want)
			}
			remembered, err := l.CheckOffer(&offers[i], 1, serves)
			require.NoError(t, err)
			require.Len(t, classes, remembered)
			for _, c := range classes {
				require.True(t, l.Serves(&offers[i], 1, c, serves))
			}
		}
	})
}
