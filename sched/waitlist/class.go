package waitlist

import "slices"

// MaxClasses bounds the distinct classes of waiters: an event may have to look at all
// of them. MaxKeyBytes bounds the bytes of their keys: that of a gang may have a
// megabyte.
const (
	MaxClasses  = 16_384
	MaxKeyBytes = 64 << 20
)

// offersKept bounds the classes that all offers together remember. Beyond it those
// offers forget theirs that have had them longest.
const offersKept = 1 << 21

// Class is a request class: waiters that need the same of a worker.
type Class struct {
	Slot int32 // the caller's number of it
	Gang bool
	Size int // tasks of each waiter

	key      string
	waiters  int
	servable int    // buckets in owner queues that are in turn
	place    int    // in classes.all
	number   uint64 // in classes.log
	gone     bool   // no waiter has it any more
}

// Waiters returns the number of waiters of the class.
func (c *Class) Waiters() int { return c.waiters }

// Servable reports whether some owner may have leases for waiters of the class.
func (c *Class) Servable() bool { return c.servable > 0 }

// classes are those of all waiters.
type classes struct {
	byKey map[string]*Class
	all   []*Class
	bytes int      // of their keys
	log   []*Class // in order of their numbers, with gone ones as long as these are no more than the others
	gone  int      // of log
	last  uint64   // number that was given
	left  uint64   // classes that have gone, ever

	remembered int      // classes, by all offers
	offers     []*Offer // that remember some, the one that began first in front
}

// Class returns the class of a key, nil if no waiter has it.
func (l *List) Class(key []byte) *Class { return l.classes.byKey[string(key)] }

// Classes returns the classes of all waiters. The caller must not change the slice,
// which changes with the list.
func (l *List) Classes() []*Class { return l.classes.all }

// KeyBytes returns the bytes of the keys of all classes.
func (l *List) KeyBytes() int { return l.classes.bytes }

// CanAdd reports whether a class with a key would be within the limits.
func (l *List) CanAdd(key []byte) bool {
	return len(l.classes.all) < MaxClasses && l.classes.bytes+len(key) <= MaxKeyBytes
}

// NewClass returns a new class under a key, for waiters of size tasks each. slot is
// the caller's number of it. CanAdd must allow it, and a waiter of the class must be
// added next.
func (l *List) NewClass(key []byte, slot int32, gang bool, size int) *Class {
	t := &l.classes
	t.last++
	t.bytes += len(key)
	c := &Class{Slot: slot, Gang: gang, Size: size, key: string(key), place: len(t.all), number: t.last}
	t.byKey[c.key] = c
	t.all = append(t.all, c)
	t.log = append(t.log, c)
	return c
}

func (t *classes) remove(c *Class) {
	delete(t.byKey, c.key)
	t.bytes -= len(c.key)
	last := t.all[len(t.all)-1]
	t.all[c.place], last.place = last, c.place
	t.all[len(t.all)-1] = nil
	t.all = t.all[:len(t.all)-1]
	c.gone = true
	t.left++
	if t.gone++; t.gone > len(t.log)/2 {
		t.log, t.gone = slices.DeleteFunc(t.log, func(c *Class) bool { return c.gone }), 0
	}
}

// after returns the logged classes behind a number.
func (t *classes) after(number uint64) []*Class {
	i, _ := slices.BinarySearchFunc(t.log, number+1, func(c *Class, n uint64) int {
		if c.number < n {
			return -1
		}
		return 1
	})
	return t.log[i:]
}

// Offer remembers the classes that workers with the same offer could serve, were they
// idle. Each pair of an offer and a class is looked at once, for each version of what
// the classes require.
type Offer struct {
	classes []*Class
	upTo    uint64 // the number of the last class that was looked at
	left    uint64 // classes.left when those that are gone were taken out
	version uint64
	kept    bool // in classes.offers

	asked       uint64 // the number of a class that Serves looked at
	servesAsked bool
}

// ClassesFor returns the classes that an offer could serve, as serves says of those
// that it was not asked for before. It reports false if exhausted stops it before all
// are known. version is the caller's count of changes of what classes require.
func (l *List) ClassesFor(o *Offer, version uint64, serves func(*Class) bool, exhausted func() bool) ([]*Class, bool) {
	t := &l.classes
	l.update(o, version)
	if o.upTo == t.last && o.left == t.left {
		return o.classes, true
	}
	was := len(o.classes)
	if o.left != t.left {
		o.classes = slices.DeleteFunc(o.classes, func(c *Class) bool { return c.gone })
		o.left = t.left
	}
	done := true
	for _, c := range t.after(o.upTo) {
		if done = !exhausted(); !done {
			break
		}
		if o.upTo = c.number; !c.gone && serves(c) {
			o.classes = append(o.classes, c)
		}
	}
	if done {
		o.upTo = t.last
	}
	l.keep(o, was)
	return o.classes, done
}

// Serves reports whether an offer could serve a class, as ClassesFor does, for one
// class that is asked for again and again.
func (l *List) Serves(o *Offer, version uint64, c *Class, serves func(*Class) bool) bool {
	if l.update(o, version); o.asked != c.number {
		o.asked, o.servesAsked = c.number, serves(c)
	}
	return o.servesAsked
}

// update forgets what an offer remembers for another version.
func (l *List) update(o *Offer, version uint64) {
	if o.version != version+1 {
		l.Forget(o)
		o.version = version + 1
	}
}

// keep counts what an offer remembers, which was as many classes before, and has
// others forget theirs if it is too much.
func (l *List) keep(o *Offer, was int) {
	t := &l.classes
	t.remembered += len(o.classes) - was
	if !o.kept {
		o.kept = true
		t.offers = append(t.offers, o)
	}
	for t.remembered > offersKept && t.offers[0] != o {
		old := t.offers[0]
		t.offers[0] = nil
		t.offers = t.offers[1:]
		old.kept = false
		l.Forget(old)
	}
}

// Forget has an offer forget the classes that it could serve.
func (l *List) Forget(o *Offer) {
	l.classes.remembered -= len(o.classes)
	*o = Offer{kept: o.kept}
}
