package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Bounds of what a Client remembers.
const (
	// MaxHeld is how many leases one Client keeps at once.
	MaxHeld = 1 << 20
	// maxShunned is how many leases that were given up while their workers may
	// still decide are remembered, so that none of them is handed over again.
	maxShunned = 1 << 16
	// maxTargets is how many workers' names are kept to be shared by leases.
	maxTargets = 1 << 16
)

var (
	errStartWithin = errors.New("its task did not begin within StartWithin")
	errTTL         = errors.New("its ttl is over")
	errForgotten   = errors.New("the scheduler does not know it")
	errAskedBack   = errors.New("it was asked back: its renewals came too late")
)

// book is what a client knows of its leases: those that it renews, in the order
// in which renewals are due, those with a ttl, and those on their way back.
type book struct {
	client string // client id
	log    *slog.Logger

	mu      sync.Mutex // Guards what follows and the changing part of every lease.
	period  time.Duration
	leases  map[wire.LeaseID]*Lease
	renewed ring // the leases that are renewed
	follows ring // those that are followed beyond that; see follow.go
	shunned []wire.LeaseID
	oldest  int // of shunned, once it is full
	targets map[string]target
	closed  bool
	losses  []loss // to be logged when mu is let go
}

// ring is leases in the order in which something is due for them.
type ring struct{ root Lease }

func (r *ring) clear() { r.root.prev, r.root.next = &r.root, &r.root }

// first returns the lease that is due first, nil for none.
func (r *ring) first() *Lease {
	if r.root.next == &r.root {
		return nil
	}
	return r.root.next
}

// push puts a lease at the end. All of a ring wait equally long, so it stays in
// order.
func (r *ring) push(l *Lease, due time.Time) {
	l.due = due
	last := r.root.prev
	l.prev, l.next = last, &r.root
	last.next, r.root.prev = l, l
}

// hurry makes everything due.
func (r *ring) hurry(now time.Time) {
	for l := r.root.next; l != &r.root; l = l.next {
		l.due = now
	}
}

// loss is a lease that its holder can no longer use.
type loss struct {
	lease *Lease
	cause error
}

// target is a worker as placements name it.
type target struct{ worker, address string }

func newBook(client string, log *slog.Logger) *book {
	b := &book{client: client, log: log, leases: map[wire.LeaseID]*Lease{}, targets: map[string]target{}}
	b.renewed.clear()
	b.follows.clear()
	return b
}

// full reports whether no further lease may be asked for.
func (b *book) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.leases) >= MaxHeld
}

// grant writes down a placement. A lease that the book knows is returned as it
// stands, with fresh false: it may be on its way back, or given up.
func (b *book) grant(t *Task, m *wire.Placed, now time.Time) (l *Lease, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.leases[m.Lease]; l != nil {
		if l.cause != errForgotten {
			return l, false
		}
		b.endFollowLocked(l, l.errLocked()) // its worker came back with it, and this is the lease from here on
	}
	at := b.targetLocked(m.Target)
	l = &Lease{
		book: b, id: m.Lease, task: *t, worker: at.worker, address: at.address,
		incarnation: m.Incarnation, flags: Flags(m.Flags), devices: m.Devices,
	}
	if t.OnPreempt == OnPreemptRequeue && !l.flags.BestEffort() {
		l.follow = newFollow()
	}
	switch {
	case b.closed:
		l.standing, l.cause = lost, ErrClosed
		b.goOnLocked(l)
		return l, true
	case l.flags.Begun():
		l.standing = begun
		b.goOnLocked(l)
		return l, true
	case t.TTL > 0:
		l.ttl = time.Duration(m.TTLMS) * time.Millisecond
		l.beginBy = now.Add(l.ttl)
		b.expireAfter(l, l.ttl)
	default:
		l.beginBy = now.Add(t.startWithin())
		b.renewed.push(l, now.Add(b.period))
	}
	b.leases[l.id] = l
	return l, true
}

// targetLocked reads a target, sharing the strings of one seen before.
func (b *book) targetLocked(raw []byte) target {
	at, known := b.targets[string(raw)]
	if !known {
		at.worker, at.address = wire.ReadTarget(raw)
		if len(b.targets) >= maxTargets {
			clear(b.targets)
		}
		b.targets[string(raw)] = at
	}
	return at
}

// unqueue takes a lease out of its ring, if it is in one.
func (l *Lease) unqueue() {
	if l.next != nil {
		l.prev.next, l.next.prev = l.next, l.prev
		l.prev, l.next = nil, nil
	}
}

// dropLocked ends the client's care for a lease.
func (b *book) dropLocked(l *Lease, to standing, cause error) {
	l.unqueue()
	if l.expiry != nil {
		l.expiry.Stop()
	}
	delete(b.leases, l.id)
	l.standing, l.cause = to, cause
	b.goOnLocked(l)
	if to == lost {
		l.signalLocked()
		// The caller of such a lease has gone, or its client has.
		if !errors.Is(cause, context.Canceled) && !errors.Is(cause, ErrClosed) {
			b.losses = append(b.losses, loss{l, cause})
		}
	}
}

// unlock lets go of mu and then logs what was lost.
func (b *book) unlock() {
	losses := b.losses
	b.losses = nil
	b.mu.Unlock()
	for _, n := range losses {
		b.log.Warn("dtask: a lease is lost", "lease", n.lease.id, "task", n.lease.task.ID, "worker", n.lease.worker, "cause", n.cause)
	}
}

// signalLocked tells the holder that the lease is lost.
func (l *Lease) signalLocked() {
	if l.signal != nil && !l.told {
		close(l.signal)
		l.told = true
	}
}

// hand marks a lease as handed over.
func (b *book) hand(l *Lease, now time.Time) error {
	b.mu.Lock()
	defer b.unlock()
	if l.standing == held && now.After(l.beginBy) && !l.handed && l.holds == 0 {
		b.loseLocked(l, l.tooLate())
	}
	if err := l.errLocked(); err != nil {
		return err
	}
	l.handed = true
	return nil
}

// tooLate is why a lease is lost whose time to begin has passed.
func (l *Lease) tooLate() error {
	if l.ttl > 0 {
		return errTTL
	}
	return errStartWithin
}

// beginBy is Lease.BeginBy.
func (b *book) beginBy(l *Lease) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.beginBy
}

// began stops the renewals of a lease that its worker has begun.
func (b *book) began(l *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.standing == held {
		b.dropLocked(l, begun, nil)
	}
}

// loseLocked gives a lease up that the scheduler may still believe in. It stays
// in the book as shunned, so that it is not handed over if it comes again.
func (b *book) loseLocked(l *Lease, cause error) {
	b.dropLocked(l, lost, cause)
	b.shunLocked(l)
}

// shunLocked remembers a lease that its worker may still decide about.
func (b *book) shunLocked(l *Lease) {
	if b.leases[l.id] == nil {
		b.leases[l.id] = l
	}
	if len(b.shunned) < maxShunned {
		b.shunned = append(b.shunned, l.id)
		return
	}
	if old := b.leases[b.shunned[b.oldest]]; old != nil && old.next == nil { // else it is followed
		delete(b.leases, old.id)
	}
	b.shunned[b.oldest] = l.id
	b.oldest = (b.oldest + 1) % maxShunned
}

// expireAfter sets the timer of a lease with a ttl. Such leases are few: they
// are for programs that exit.
func (b *book) expireAfter(l *Lease, ttl time.Duration) {
	l.expiry = time.AfterFunc(ttl, func() { b.expire(l) })
}

// expire ends a lease whose ttl is over.
func (b *book) expire(l *Lease) {
	b.mu.Lock()
	defer b.unlock()
	if l.standing != held || l.holds > 0 || time.Now().Before(l.beginBy) {
		return // it was renewed, or its owner in this client renews it
	}
	if l.handed { // it may have begun: no renewal asked
		b.dropLocked(l, begun, nil)
		return
	}
	b.loseLocked(l, errTTL)
}

// lostSignal returns the channel of Lease.Lost.
func (b *book) lostSignal(l *Lease) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.signal == nil {
		l.signal = make(chan struct{})
	}
	if errors.Is(l.errLocked(), ErrLost) {
		l.signalLocked()
	}
	return l.signal
}

func (b *book) errOf(l *Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.errLocked()
}

// errLocked returns why the lease may not be used.
func (l *Lease) errLocked() error {
	switch {
	case l.standing == lost, l.standing == releasing && l.abandoned:
		return fmt.Errorf("%w: %w", ErrLost, l.cause)
	case l.standing == releasing, l.standing == released:
		return ErrReleased
	}
	return nil
}

// close gives up what only renewals keep.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, l := range b.leases {
		switch {
		case l.standing == releasing:
			b.settleLocked(l, released, ErrClosed)
		case l.standing == held && l.task.TTL == 0:
			b.dropLocked(l, lost, ErrClosed)
		case l.expiry != nil:
			l.expiry.Stop()
		}
		b.endFollowLocked(l, ErrClosed)
	}
}
