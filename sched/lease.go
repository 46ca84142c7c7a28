package sched

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/ds"
	"github.com/dtask/dtask-scheduler/wire"
)

// Slots of the lease table are reused; the counter of a lease id carries the
// slot in its low bits and above them how often the slot was used. So a lease
// of this instance is found without a map, no id is ever given twice, and an
// id whose use has passed is known to have ended.
const (
	leaseSlotBits = 24
	leaseSlotMask = 1<<leaseSlotBits - 1

	// leaseMemory is how many ended leases keep their reason before their slots
	// are used again.
	leaseMemory = 4096
)

// lease is one placement. See wire.State for its life.
type lease struct {
	id         wire.LeaseID // of a free slot: its last id, ended
	body       []byte       // task, owner, group, key, devices, one behind the other
	content    uint64       // hash of what the request asked for, to tell a repeat from a conflict
	granted    Time         // or adopted
	worker     int32
	client     int32
	prev, next int32 // leases of the same worker, oldest first; slot + 1
	ttl        uint32
	priority   int32
	keyHash    uint32
	demand     uint32
	flags      uint16
	taskLen    uint8
	ownerLen   uint8
	groupLen   uint8
	keyLen     uint8 // 0: the task id is the key
	state      wire.State
	reason     wire.Reason
}

const (
	leaseKeyed   = 1 << 0 // stands in the table of keys
	leaseOrphan  = 1 << 1 // of this instance, ended here before its worker proved that it runs: its end is not counted again
	leaseListed  = 1 << 2 // named by the registration that is being applied
	leaseAdopted = 1 << 3 // granted elsewhere or before: its id does not name its slot

	leaseExclusive = 1 << 4 // takes the whole worker
	leaseDevices   = 1 << 5 // takes devices: their mask stands at the end of body

	leasePreempted = 1 << 6 // must make room
	leaseWarned    = 1 << 7 // its worker was told so
	leaseKilled    = 1 << 8 // and to kill it

	leasePreemptible = 1 << 9  // a task of a higher priority may take its room
	leaseRequeue     = 1 << 10 // its task waits again if it must make room

	leaseParity = 1 << 11 // see worker.isCounted
)

func (l *lease) live() bool { return l.state != wire.StateNone && l.state != wire.StateEnded }

func (l *lease) task() []byte { return l.body[:l.taskLen] }

func (l *lease) owner() []byte { return l.body[l.taskLen:][:l.ownerLen] }

func (l *lease) group() []byte { return l.body[int(l.taskLen)+int(l.ownerLen):][:l.groupLen] }

// key returns what the lease is idempotent by.
func (l *lease) key() []byte {
	if l.keyLen == 0 {
		return l.task()
	}
	return l.body[int(l.taskLen)+int(l.ownerLen)+int(l.groupLen):][:l.keyLen]
}

// devices returns the devices that the lease takes, as in wire.Placed.
func (l *lease) devices() uint64 {
	if l.flags&leaseDevices == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(l.body[len(l.body)-8:])
}

// write stores the texts and devices of a lease in its own memory, which is
// used again. Its flags must be set before.
func (l *lease) write(task, owner, group, key []byte, devices uint64) {
	task = clip(task)
	b := append(l.body[:0], task...)
	if len(owner)+len(group)+len(key) > 0 {
		owner, group = clip(owner), clip(group)
		b = append(append(append(b, owner...), group...), key...)
	}
	if devices != 0 {
		l.flags |= leaseDevices
		b = binary.LittleEndian.AppendUint64(b, devices)
	}
	l.body = b
	l.taskLen, l.ownerLen, l.groupLen, l.keyLen = uint8(len(task)), uint8(len(owner)), uint8(len(group)), uint8(len(key))
}

// clip cuts a text that only HTTP lets be longer than an id, between two
// characters. It is shown, and never compared.
func clip(b []byte) []byte {
	if len(b) <= wire.MaxID {
		return b
	}
	return cutText(b)
}

func cutText(b []byte) []byte {
	n := wire.MaxID
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// adopted is where a lease lives whose id does not name its slot, and the id
// that the slot gets back when it ends.
type adopted struct {
	slot  int32
	last  wire.LeaseID
	ahead bool // see leaseTable.isAhead
}

// claimsAhead bounds the claims of leases of this instance that it has not granted
// yet. No honest worker makes one, and a grant steps over each of them at most.
const claimsAhead = 64

// leaseTable holds every live lease and remembers the last ended ones.
type leaseTable struct {
	slots  ds.Chunks[lease]
	ended  [leaseMemory]int32 // ring of the slots of the latest ended leases
	oldest int                // place of the first in ended
	nended int
	free   int32 // the free slot to use next, + 1; each names the one behind it by next
	nfree  int   // free slots, those of ended included
	live   int

	states      [wire.StateEnded + 1]int // live leases
	preemptible int                      // whose room a task of a higher priority may take

	awaited int // that registrations which are under way may add
	ahead   int // claims of leases that were not granted yet, at most claimsAhead
	adopted map[wire.LeaseID]adopted
	// rivals are further claims of a lease that lives under another worker, by
	// worker. One of the two lies; each takes room on its own worker until that ends it.
	rivals map[wire.LeaseID]map[int32]adopted
}

// hasRoom reports whether n more leases may live.
func (t *leaseTable) hasRoom(cfg *Config, n int) bool { return t.live+t.awaited+n <= cfg.MaxLeases }

// find returns the slot of a live lease.
func (t *leaseTable) find(id wire.LeaseID) (int32, bool) {
	slot := id.Counter & leaseSlotMask
	if slot < uint64(t.slots.Len()) {
		if l := t.slots.At(int32(slot)); l.id == id && l.live() && l.flags&leaseAdopted == 0 {
			return int32(slot), true
		}
	}
	if len(t.adopted) != 0 {
		if a, ok := t.adopted[id]; ok {
			return a.slot, true
		}
	}
	return 0, false
}

// findOn returns the slot of a live lease as worker n claims it.
func (t *leaseTable) findOn(id wire.LeaseID, n int32) (int32, bool) {
	if slot, ok := t.find(id); ok && t.slots.At(slot).worker == n {
		return slot, true
	}
	a, ok := t.rivals[id][n]
	return a.slot, ok
}

// isAhead reports whether an id of this instance was not granted yet.
func (t *leaseTable) isAhead(id wire.LeaseID) bool {
	slot := id.Counter & leaseSlotMask
	return slot >= uint64(t.slots.Len()) || id.Counter > t.last(int32(slot)).Counter
}

// enter gives a slot to a lease of worker n whose id does not name it.
func (t *leaseTable) enter(slot int32, id wire.LeaseID, n int32, rival, ahead bool) {
	a := adopted{slot: slot, last: t.slots.At(slot).id, ahead: ahead}
	if ahead {
		t.ahead++
	}
	switch {
	case !rival:
		t.adopted[id] = a
	case t.rivals[id] == nil:
		t.rivals[id] = map[int32]adopted{n: a}
	default:
		t.rivals[id][n] = a
	}
	t.slots.At(slot).id = id
}

// leave gives the slot its own id back.
func (t *leaseTable) leave(slot int32) {
	l := t.slots.At(slot)
	id := l.id
	a, ok := t.adopted[id]
	if ok = ok && a.slot == slot; ok {
		delete(t.adopted, id)
	} else {
		a = t.rivals[id][l.worker]
		delete(t.rivals[id], l.worker)
	}
	if len(t.rivals[id]) == 0 {
		delete(t.rivals, id)
	}
	if l.id = a.last; a.ahead {
		t.ahead--
	}
}

// last returns the newest id of its own that a slot has carried.
func (t *leaseTable) last(slot int32) wire.LeaseID {
	l := t.slots.At(slot)
	if l.flags&leaseAdopted == 0 {
		return l.id
	}
	if a, ok := t.adopted[l.id]; ok && a.slot == slot {
		return a.last
	}
	return t.rivals[l.id][l.worker].last
}

// next returns the id of the next lease in a slot. It steps over ids that workers
// claim to hold although they were never granted, claimsAhead at most.
func (t *leaseTable) next(slot int32, l *lease, g wire.Grantor) wire.LeaseID {
	id := wire.LeaseID{Epoch: g.Epoch, Instance: g.Instance, Counter: l.id.Counter}
	for {
		id.Counter = (id.Counter>>leaseSlotBits+1)<<leaseSlotBits | uint64(slot)
		if t.ahead == 0 {
			return id
		}
		if _, claimed := t.adopted[id]; !claimed && t.rivals[id] == nil {
			return id
		}
	}
}

// past reports whether id, which names a grantor of this instance, was granted
// and has ended, and how if that is still remembered.
func (t *leaseTable) past(id wire.LeaseID) (wire.Reason, bool) {
	slot := id.Counter & leaseSlotMask
	if slot >= uint64(t.slots.Len()) {
		return 0, false
	}
	l := t.slots.At(int32(slot))
	switch {
	case id.Counter>>leaseSlotBits == 0 || id.Counter > t.last(int32(slot)).Counter:
		return 0, false
	case id == l.id:
		return l.reason, true
	}
	return wire.ReasonNone, true
}

// take returns a free slot whose id holds the last lease of the slot: the one
// that was freed last, which is likely to be in the processor's cache.
func (t *leaseTable) take() int32 {
	t.live++
	if t.nfree > leaseMemory { // so one of them is not remembered
		slot := t.free - 1
		t.free = t.slots.At(slot).next
		t.nfree--
		return slot
	}
	slot := int32(t.slots.Len())
	t.slots.Grow(t.slots.Len() + 1)
	t.slots.At(slot).id = wire.LeaseID{Counter: uint64(slot)}
	return slot
}

// putBack frees a slot that was taken for nothing: it is the next to be used.
func (t *leaseTable) putBack(slot int32) {
	t.live--
	t.nfree++
	t.slots.At(slot).next = t.free
	t.free = slot + 1
}

// give frees the slot of a lease that ended. The lease stays readable until
// leaseMemory others have ended.
func (t *leaseTable) give(slot int32) {
	t.live--
	t.nfree++
	if t.nended < leaseMemory {
		t.ended[t.nended] = slot
		t.nended++
		return
	}
	first := t.ended[t.oldest]
	t.ended[t.oldest] = slot
	t.oldest = (t.oldest + 1) % leaseMemory
	t.slots.At(first).next = t.free
	t.free = first + 1
}
