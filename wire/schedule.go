package wire

import "math"

// The fields of Schedule; how many of them must be there; and how many there
// were before those that say more of the choice.
var scheduleFields = []string{
	"task", "tags", "priority", "owner", "group", "resources", "ttl_ms",
	"selector", "prefer", "not_workers", "exclusive", "policy", "spread_by", "wait_ms", "preempt", "on_preempt", "wait_for_workers",
}

const (
	scheduleRequired = 2
	schedulePlain    = 7
)

// The fields of Placed, and how many of them must be there.
var placedFields = []string{"lease", "worker", "address", "incarnation", "ttl_ms", "flags", "devices"}

const placedRequired = 6

func readSchedule(d *Decoder, n int) Message {
	d.r.schedule(&d.schedule, n)
	return &d.schedule
}

// schedule reads the n fields of a task.
func (r *reader) schedule(s *Schedule, n int) {
	s.Task = r.id("task")
	s.Tags = r.tags("tags", MaxTaskTags)
	if n < len(scheduleFields) {
		s.Priority, s.Owner, s.Group, s.Resources, s.TTLMS = 0, nil, nil, nil, 0
		s.Selector, s.Prefer, s.NotWorkers, s.Exclusive, s.Policy, s.SpreadBy = nil, nil, nil, false, nil, nil
		s.WaitMS, s.Preempt, s.OnPreempt, s.WaitForWorkers = 0, false, OnPreemptDefault, false
	}
	if n > 2 {
		s.Priority = int32(r.int("priority", MaxPriority))
	}
	if n > 3 {
		s.Owner = r.optionalID("owner")
	}
	if n > 4 {
		s.Group = r.optionalID("group")
	}
	if n > 5 {
		s.Resources = r.resources("resources")
	}
	if n > 6 {
		s.TTLMS = uint32(r.uint("ttl_ms", MaxTTL))
	}
	if n > schedulePlain {
		r.choice(s, n)
	}
}

// choice reads those of the n fields of a task that say more of the choice.
func (r *reader) choice(s *Schedule, n int) {
	s.Selector = r.text("selector", MaxSelector)
	if n > 8 {
		s.Prefer = r.text("prefer", MaxSelector)
	}
	if n > 9 {
		s.NotWorkers = r.workers("not_workers", MaxNotWorkers)
	}
	if n > 10 {
		s.Exclusive = r.bool("exclusive")
	}
	if n > 11 {
		s.Policy = r.optionalID("policy")
	}
	if n > 12 {
		s.SpreadBy = r.text("spread_by", MaxTag)
	}
	if n > 13 {
		s.WaitMS = uint32(r.uint("wait_ms", MaxWait))
	}
	if n > 14 {
		s.Preempt = r.bool("preempt")
	}
	if n > 15 {
		s.OnPreempt = r.onPreempt()
	}
	if n > 16 {
		s.WaitForWorkers = r.bool("wait_for_workers")
	}
}

func (m *Schedule) append(dst []byte, request uint64) []byte {
	n := m.used()
	return m.appendFields(appendHead(dst, n, KindSchedule, request), n)
}

// used returns how many fields must be written: the last ones are left out
// while they are zero.
func (m *Schedule) used() int {
	switch {
	case m.WaitForWorkers:
		return 17
	case m.OnPreempt != OnPreemptDefault:
		return 16
	case m.Preempt:
		return 15
	case m.WaitMS != 0:
		return 14
	case len(m.SpreadBy) != 0:
		return 13
	case len(m.Policy) != 0:
		return 12
	case m.Exclusive:
		return 11
	case len(m.NotWorkers) != 0:
		return 10
	case len(m.Prefer) != 0:
		return 9
	case len(m.Selector) != 0:
		return 8
	case m.TTLMS != 0:
		return 7
	case len(m.Resources) != 0:
		return 6
	case len(m.Group) != 0:
		return 5
	case len(m.Owner) != 0:
		return 4
	case m.Priority != 0:
		return 3
	}
	return scheduleRequired
}

// appendFields appends the first n fields of a task.
func (m *Schedule) appendFields(dst []byte, n int) []byte {
	dst = appendStr(dst, m.Task)
	dst = appendRaw(dst, m.Tags, codeFixArray)
	if n > 2 {
		dst = appendInt(dst, int64(m.Priority))
	}
	if n > 3 {
		dst = appendStr(dst, m.Owner)
	}
	if n > 4 {
		dst = appendStr(dst, m.Group)
	}
	if n > 5 {
		dst = appendRaw(dst, m.Resources, codeFixMap)
	}
	if n > 6 {
		dst = appendUint(dst, uint64(m.TTLMS))
	}
	if n > schedulePlain {
		dst = m.appendChoice(dst, n)
	}
	return dst
}

// appendChoice appends those of the first n fields of a task that say more of
// the choice.
func (m *Schedule) appendChoice(dst []byte, n int) []byte {
	dst = appendStr(dst, m.Selector)
	if n > 8 {
		dst = appendStr(dst, m.Prefer)
	}
	if n > 9 {
		dst = appendRaw(dst, m.NotWorkers, codeFixArray)
	}
	if n > 10 {
		dst = appendBool(dst, m.Exclusive)
	}
	if n > 11 {
		dst = appendStr(dst, m.Policy)
	}
	if n > 12 {
		dst = appendStr(dst, m.SpreadBy)
	}
	if n > 13 {
		dst = appendUint(dst, uint64(m.WaitMS))
	}
	if n > 14 {
		dst = appendBool(dst, m.Preempt)
	}
	if n > 15 {
		dst = appendUint(dst, uint64(m.OnPreempt))
	}
	if n > 16 {
		dst = appendBool(dst, m.WaitForWorkers)
	}
	return dst
}

func readPlaced(d *Decoder, n int) Message {
	d.r.placed(&d.placed, n)
	return &d.placed
}

// placed reads the n fields of a placement.
func (r *reader) placed(p *Placed, n int) {
	*p = Placed{
		Lease:       r.lease("lease"),
		Target:      r.target(),
		Incarnation: r.uint("incarnation", math.MaxUint64),
		TTLMS:       r.uint32("ttl_ms"),
		Flags:       uint8(r.uint("flags", math.MaxUint8)),
	}
	if n > placedRequired {
		p.Devices = r.uint("devices", math.MaxUint64)
	}
}

// target reads a worker's id and address, and returns the bytes of both. A
// worker that came over HTTP may have an id that no native worker can have.
func (r *reader) target() []byte {
	from := r.pos
	r.foreign("worker")
	r.foreign("address")
	if r.err != nil {
		return nil
	}
	return r.b[from:r.pos:r.pos]
}

func (m *Placed) append(dst []byte, request uint64) []byte {
	return m.appendFields(appendHead(dst, m.used(), KindPlaced, request))
}

// used returns how many fields must be written.
func (m *Placed) used() int {
	if m.Devices != 0 {
		return len(placedFields)
	}
	return placedRequired
}

// appendFields appends the fields that used counts.
func (m *Placed) appendFields(dst []byte) []byte {
	dst = appendLease(dst, m.Lease)
	if len(m.Target) == 0 {
		dst = AppendTarget(dst, "", "")
	}
	dst = append(dst, m.Target...)
	dst = appendUint(dst, m.Incarnation)
	dst = appendUint(dst, uint64(m.TTLMS))
	dst = appendUint(dst, uint64(m.Flags))
	if m.Devices != 0 {
		dst = appendUint(dst, m.Devices)
	}
	return dst
}
