package wire

import "bytes"

// Schedule asks for a lease. Its byte slices belong to the decoder's input.
type Schedule struct {
	Task      []byte `wire:"task id"`              // id, 1..MaxID bytes; idempotent by (client, task) while the lease lives
	Tags      []byte `wire:"tags tags16"`          // raw msgpack array of strings, checked by the decoder; empty means none
	Priority  int32  `wire:"priority priority?"`   // [-MaxPriority, MaxPriority]
	Owner     []byte `wire:"owner id0?"`           // id or empty
	Group     []byte `wire:"group id0?"`           // id or empty
	Resources []byte `wire:"resources resources?"` // raw msgpack map from name to amount, checked by the decoder; empty for none
	TTLMS     uint32 `wire:"ttl_ms ttl?"`          // 0: the scheduler's start TTL; else at most MaxTTL

	Selector   []byte `wire:"selector selector?"`       // expression over the worker's tags beside Tags, at most MaxSelector bytes; see package selector
	Prefer     []byte `wire:"prefer selector?"`         // expression: workers for which it holds are chosen first, if any fits
	NotWorkers []byte `wire:"not_workers not_workers?"` // raw msgpack array of at most MaxNotWorkers worker ids that must not be chosen, checked by the decoder; see EachWorker
	Exclusive  bool   `wire:"exclusive bool?"`          // take a whole idle worker
	Policy     []byte `wire:"policy id0?"`              // id of a placement policy; empty for least-loaded
	SpreadBy   []byte `wire:"spread_by spread_by?"`     // tag key over whose values the policy spread spreads, at most MaxTag bytes
	WaitMS     uint32 `wire:"wait_ms wait?"`            // milliseconds to wait in the queue, at most MaxWait; 0: none. Of a gang the first task's counts

	Preempt        bool      `wire:"preempt bool?"`          // if it does not fit, it preempts tasks of a lower priority; WaitMS must be at least the scheduler's grace
	OnPreempt      OnPreempt `wire:"on_preempt on_preempt?"` // when the task is to be preempted itself
	WaitForWorkers bool      `wire:"wait_for_workers bool?"` // with WaitMS: wait also while no known worker could take it

	// Key replaces the task id as the key of idempotency. It is not on the
	// wire: the HTTP gateway sets it from the header Idempotency-Key.
	Key []byte
}

func (*Schedule) Kind() Kind { return KindSchedule }

// OnlyTags reports whether the task needs nothing of its worker but tags.
func (m *Schedule) OnlyTags() bool {
	return len(m.Resources)|len(m.Selector)|len(m.Prefer)|len(m.NotWorkers)|len(m.Policy)|len(m.SpreadBy) == 0 && !m.Exclusive
}

// Needs returns the fields that decide which workers can run the task. It shares
// no memory with m.
func (m *Schedule) Needs() Schedule {
	return Schedule{
		Tags: bytes.Clone(m.Tags), Resources: bytes.Clone(m.Resources), Selector: bytes.Clone(m.Selector), Prefer: bytes.Clone(m.Prefer),
		NotWorkers: bytes.Clone(m.NotWorkers), Exclusive: m.Exclusive, Policy: bytes.Clone(m.Policy), SpreadBy: bytes.Clone(m.SpreadBy),
	}
}

// AppendNeeds appends Needs as an array of fields, so that no two lists of needs
// have the same bytes.
func (m *Schedule) AppendNeeds(dst []byte) []byte {
	needs := *m
	needs.Task, needs.Priority, needs.Owner, needs.Group, needs.TTLMS = nil, 0, nil, nil, 0
	needs.WaitMS, needs.Preempt, needs.OnPreempt, needs.WaitForWorkers = 0, false, OnPreemptDefault, false
	n := needs.used()
	return needs.appendFields(appendArray(dst, n), n)
}

// How many fields of a task must be there; and how many there were before those
// that say more of the choice.
const (
	scheduleRequired = 2
	schedulePlain    = 7
)

var scheduleFields = describe[Schedule]()

func readSchedule(d *Decoder, n int) Message {
	d.r.schedule(&d.schedule, n)
	return &d.schedule
}

// schedule reads the n fields of a task.
func (r *reader) schedule(s *Schedule, n int) {
	s.Task = r.id("task")
	s.Tags = r.tags("tags", MaxTaskTags)
	if n < len(scheduleFields.list) {
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
