package sched

import "github.com/dtask/dtask-scheduler/wire"

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
	body       []byte       // task, owner, group, key, resources, one behind the other
	content    uint64       // hash of what the request asked for, to tell a repeat from a conflict
	granted    Time         // or adopted
	worker     int32
	client     int32
	prev, next int32 // leases of the same worker, oldest first; slot + 1
	ttl        uint32
	priority   int32
	keyHash    uint32
	taskLen    uint8
	ownerLen   uint8
	groupLen   uint8
	keyLen     uint8 // 0: the task id is the key
	state      wire.State
	reason     wire.Reason
	flags      uint8
}

const (
	leaseKeyed   = 1 << 0 // stands in the table of keys
	leaseOrphan  = 1 << 1 // of this instance, ended here before its worker proved that it runs: its end is not counted again
	leaseListed  = 1 << 2 // named by the registration that is being applied
	leaseAdopted = 1 << 3 // granted elsewhere or before: its id does not name its slot
)

func (l *lease) live() bool { return l.state != wire.StateNone && l.state != wire.StateEnded }

func (l *lease) task() []byte { return l.body[:l.taskLen] }

func (l *lease) owner() []byte { return l.body[l.taskLen:][:l.ownerLen] }

func (l *lease) group() []byte { return l.body[int(l.taskLen)+int(l.ownerLen):][:l.groupLen] }

func (l *lease) resources() []byte {
	return l.body[int(l.taskLen)+int(l.ownerLen)+int(l.groupLen)+int(l.keyLen):]
}

// key returns what the lease is idempotent by.
func (l *lease) key() []byte {
	if l.keyLen == 0 {
		return l.task()
	}
	return l.body[int(l.taskLen)+int(l.ownerLen)+int(l.groupLen):][:l.keyLen]
}

// write stores the texts of a lease in its own memory, which is used again.
func (l *lease) write(task, owner, group, key, resources []byte) {
	task, owner, group = clip(task), clip(owner), clip(group)
	b := append(l.body[:0], task...)
	b = append(b, owner...)
	b = append(b, group...)
	b = append(b, key...)
	l.body = append(b, resources...)
	l.taskLen, l.ownerLen, l.groupLen, l.keyLen = uint8(len(task)), uint8(len(owner)), uint8(len(group)), uint8(len(key))
}

// clip cuts a text that only HTTP lets be longer than an id. It is shown, and
// never compared.
func clip(b []byte) []byte { return b[:min(len(b), wire.MaxID)] }

// adopted is where a lease lives whose id does not name its slot, and the id
// that the slot gets back when it ends.
type adopted struct {
	slot int32
	last wire.LeaseID
}

// claim is a lease as one worker reports it.
type claim struct {
	id     wire.LeaseID
	worker int32
}

// leaseTable holds every live lease and remembers the last ended ones.
type leaseTable struct {
	slots   chunks[lease]
	free    []int32 // ring of free slots, the longest free first
	head    int
	nfree   int
	live    int
	adopted map[wire.LeaseID]adopted
	// rivals are further claims of a lease that lives under another worker. One
	// of the two lies; each takes room on its own worker until that ends it.
	rivals map[claim]adopted
}

// find returns the slot of a live lease.
func (t *leaseTable) find(id wire.LeaseID) (int32, bool) {
	slot := id.Counter & leaseSlotMask
	if slot < uint64(t.slots.n) {
		if l := t.slots.at(int32(slot)); l.id == id && l.live() {
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
	if slot, ok := t.find(id); ok && t.slots.at(slot).worker == n {
		return slot, true
	}
	if len(t.rivals) != 0 {
		if a, ok := t.rivals[claim{id, n}]; ok {
			return a.slot, true
		}
	}
	return 0, false
}

// enter records a lease whose id does not name its slot.
func (t *leaseTable) enter(slot int32, c claim, rival bool) {
	a := adopted{slot: slot, last: t.slots.at(slot).id}
	if rival {
		t.rivals[c] = a
	} else {
		t.adopted[c.id] = a
	}
}

// leave forgets such a lease and returns the id that its slot gets back.
func (t *leaseTable) leave(slot int32) wire.LeaseID {
	l := t.slots.at(slot)
	if a := t.adopted[l.id]; a.slot == slot {
		delete(t.adopted, l.id)
		return a.last
	}
	c := claim{l.id, l.worker}
	last := t.rivals[c].last
	delete(t.rivals, c)
	return last
}

// last returns the newest id of its own that a slot has carried.
func (t *leaseTable) last(slot int32) wire.LeaseID {
	l := t.slots.at(slot)
	if l.flags&leaseAdopted == 0 {
		return l.id
	}
	if a := t.adopted[l.id]; a.slot == slot {
		return a.last
	}
	return t.rivals[claim{l.id, l.worker}].last
}

// past reports whether id was granted by this instance and has ended, and how
// if that is still remembered.
func (t *leaseTable) past(id wire.LeaseID, instance uint32) (wire.Reason, bool) {
	slot := id.Counter & leaseSlotMask
	if id.Instance != instance || slot >= uint64(t.slots.n) {
		return 0, false
	}
	l := t.slots.at(int32(slot))
	switch {
	case id.Counter>>leaseSlotBits == 0 || id.Counter > t.last(int32(slot)).Counter:
		return 0, false
	case id == l.id:
		return l.reason, true
	}
	return wire.ReasonNone, true
}

// take returns a free slot whose id holds the last lease of the slot.
func (t *leaseTable) take() int32 {
	t.live++
	if t.nfree > leaseMemory {
		slot := t.free[t.head]
		t.head = (t.head + 1) % len(t.free)
		t.nfree--
		return slot
	}
	slot := int32(t.slots.n)
	t.slots.grow(t.slots.n + 1)
	t.slots.at(slot).id = wire.LeaseID{Counter: uint64(slot)}
	return slot
}

// give frees a slot; its lease stays readable until the slot is used again.
func (t *leaseTable) give(slot int32) {
	t.live--
	if t.nfree == len(t.free) {
		ring := make([]int32, max(2*len(t.free), chunkSize))
		for i := range t.nfree {
			ring[i] = t.free[(t.head+i)%len(t.free)]
		}
		t.free, t.head = ring, 0
	}
	t.free[(t.head+t.nfree)%len(t.free)] = slot
	t.nfree++
}
