package wire

import "math"

// The fields of Schedule, and how many of them must be there.
var scheduleFields = []string{"task", "tags", "priority", "owner", "group", "resources", "ttl_ms"}

const scheduleRequired = 2

var placedFields = []string{"lease", "worker", "address", "incarnation", "ttl_ms", "flags"}

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
}

func (m *Schedule) append(dst []byte, request uint64) []byte {
	n := m.used()
	return m.appendFields(appendHead(dst, n, KindSchedule, request), n)
}

// used returns how many fields must be written: the last ones are left out
// while they are zero.
func (m *Schedule) used() int {
	switch {
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
	return dst
}

func readPlaced(d *Decoder, _ int) Message {
	d.r.placed(&d.placed)
	return &d.placed
}

// placed reads the fields of a placement.
func (r *reader) placed(p *Placed) {
	*p = Placed{
		Lease:       r.lease("lease"),
		Target:      r.target(),
		Incarnation: r.uint("incarnation", math.MaxUint64),
		TTLMS:       r.uint32("ttl_ms"),
		Flags:       uint8(r.uint("flags", math.MaxUint8)),
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
	return m.appendFields(appendHead(dst, len(placedFields), KindPlaced, request))
}

func (m *Placed) appendFields(dst []byte) []byte {
	dst = appendLease(dst, m.Lease)
	if len(m.Target) == 0 {
		dst = AppendTarget(dst, "", "")
	}
	dst = append(dst, m.Target...)
	dst = appendUint(dst, m.Incarnation)
	dst = appendUint(dst, uint64(m.TTLMS))
	return appendUint(dst, uint64(m.Flags))
}
