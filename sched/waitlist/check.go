package waitlist

import (
	"fmt"
	"slices"
)

// Check walks the list and returns the first contradiction. It visits everything.
func (l *List) Check() error {
	for _, test := range []func() error{l.checkTurns, l.checkOwners, l.checkQueues} {
		if err := test(); err != nil {
			return err
		}
	}
	return nil
}

// checkTurns walks the bands in their order, and the turns in each.
func (l *List) checkTurns() error {
	unsought, servable := 0, map[*Class]int{}
	for i, b := range l.bands {
		if i > 0 && l.bands[i-1].Priority <= b.Priority || b.First() == nil {
			return fmt.Errorf("I16: the priority %d stands in a wrong place, or has no turns", b.Priority)
		}
		seeking := 0
		for q := b.First(); q != nil; q = q.Next() {
			if !q.inTurn || q.Band != b || q.Prev() != nil && q.Prev().Turn >= q.Turn {
				return fmt.Errorf("I16: the turn of %q stands in a wrong place", q.Owner.Name)
			}
			if seeking += q.Seeking; q.unsought {
				unsought++
			}
			for k := q.First(); k != nil; k = k.Next() {
				servable[k.Class]++
			}
		}
		if seeking != b.Seeking {
			return fmt.Errorf("I18: %d waiters of the priority %d seek, counted %d", seeking, b.Priority, b.Seeking)
		}
	}
	if unsought != l.unsought {
		return fmt.Errorf("%d owner queues have come back, counted %d", unsought, l.unsought)
	}
	for _, c := range l.classes.all {
		if c.servable != servable[c] {
			return fmt.Errorf("%d buckets of a class can be served, counted %d", servable[c], c.servable)
		}
	}
	return nil
}

// checkOwners counts the waiting tasks of each owner and its buckets of gangs.
func (l *List) checkOwners() error {
	t, full := &l.owners, 0
	for name, o := range t.byName {
		waiting, gangs := 0, 0
		for _, q := range o.queues {
			for _, b := range q.byClass {
				for w := b.Head(); w != nil; w = w.Next() {
					waiting += b.Class.Size
				}
				if b.Class.Gang && t.most > 0 {
					gangs++
				}
			}
		}
		if o.Name != name || o.waiting != waiting || len(o.gangs) != gangs {
			return fmt.Errorf("I14: %d tasks of %q wait in %d buckets of gangs, counted %d and %d", waiting, name, gangs, o.waiting, len(o.gangs))
		}
		if t.most > 0 && o.applied != t.left(o) {
			return fmt.Errorf("the owner %q has %d leases left, its queues are up to date with %d", name, t.left(o), o.applied)
		}
		if t.isFull(o) {
			full++
		}
	}
	if full != t.full {
		return fmt.Errorf("I14: %d owners are at their limit, counted %d", full, t.full)
	}
	return nil
}

// checkQueues walks the buckets of every owner in their order.
func (l *List) checkQueues() error {
	waiters, tasks, seeking, byClass := 0, 0, 0, map[*Class]int{}
	for _, o := range l.owners.byName {
		for i, q := range o.queues {
			if i > 0 && o.queues[i-1].Band.Priority <= q.Band.Priority || q.Owner != o || q.inTurn != (q.First() != nil && !l.owners.isFull(o)) {
				return fmt.Errorf("a queue of %q stands in a wrong place, in turn: %v", o.Name, q.inTurn)
			}
			head := uint64(0)
			for b := q.First(); b != nil; b = b.Next() {
				if b.Head().Number <= head {
					return fmt.Errorf("I16: a bucket with the head %d comes behind %d", b.Head().Number, head)
				}
				head = b.Head().Number
			}
			for c, b := range q.byClass {
				n, seeks, err := l.checkBucket(b)
				if err != nil {
					return err
				}
				waiters, tasks, seeking = waiters+n, tasks+n*c.Size, seeking+seeks
				byClass[c] += n
			}
		}
	}
	t := &l.classes
	if waiters != l.waiters || tasks != l.tasks || seeking != l.seeking || len(byClass) != len(t.byKey) || len(t.all) != len(t.byKey) {
		return fmt.Errorf("I14: %d waiters of %d classes with %d tasks, %d of them seek; counted %d, %d, %d, %d",
			waiters, len(byClass), tasks, seeking, l.waiters, len(t.all), l.tasks, l.seeking)
	}
	for c, n := range byClass {
		if c.waiters != n || t.all[c.place] != c || t.byKey[c.key] != c {
			return fmt.Errorf("a class has %d waiters, counted %d", n, c.waiters)
		}
	}
	return nil
}

// checkBucket walks the waiters of a bucket and counts them, and those that seek.
func (l *List) checkBucket(b *Bucket) (n, seeks int, err error) {
	last, left := uint64(0), l.owners.left(b.Queue.Owner)
	for w := b.Head(); w != nil; w = w.Next() {
		if w.Bucket != b || w.Number <= last {
			return 0, 0, fmt.Errorf("I16: the waiter %d stands in a wrong place behind %d", w.Number, last)
		}
		last = w.Number
		if n++; w.seeks {
			seeks++
		}
	}
	if n == 0 || b.Aside != (l.owners.most > 0 && b.Class.Gang && b.Class.Size > left) || seeks != b.Seeking {
		return 0, 0, fmt.Errorf("a bucket of %q with %d waiters of %d tasks is aside: %v", b.Queue.Owner.Name, n, b.Class.Size, b.Aside)
	}
	return n, seeks, nil
}

// CheckLeases compares the leases that are counted for each owner with those that it
// has.
func (l *List) CheckLeases(leases map[string]int) error {
	for name, n := range leases {
		if o := l.owners.byName[name]; l.owners.most > 0 && (o == nil || o.leases != n) {
			return fmt.Errorf("I14: the owner %q has %d leases, counted %+v", name, n, o)
		}
	}
	for name, o := range l.owners.byName {
		if o.leases > 0 && leases[name] != o.leases {
			return fmt.Errorf("I14: the owner %q has %d leases, counted %d", name, leases[name], o.leases)
		}
	}
	return nil
}

// CheckOffer compares what an offer remembers for a version with a look at all
// classes. It returns how many it remembers.
func (l *List) CheckOffer(o *Offer, version uint64, serves func(*Class) bool) (int, error) {
	if o.version != version+1 {
		return len(o.classes), nil
	}
	var want []*Class
	for _, c := range l.classes.log {
		if !c.gone && c.number <= o.upTo && serves(c) {
			want = append(want, c)
		}
	}
	is := slices.DeleteFunc(slices.Clone(o.classes), func(c *Class) bool { return c.gone })
	if !slices.Equal(is, want) {
		return 0, fmt.Errorf("I19: an offer remembers %d classes, it could serve %d others", len(is), len(want))
	}
	return len(o.classes), nil
}

// CheckRemembered compares what all offers remember with what is counted.
func (l *List) CheckRemembered(classes int) error {
	if classes > l.classes.remembered {
		return fmt.Errorf("offers remember %d classes, counted %d", classes, l.classes.remembered)
	}
	return nil
}
