package wire

import "math"

// Record is all that is needed to rebuild a lease: it travels in Register and
// Begun. The byte slices of a decoded Record belong to the decoder's input.
type Record struct {
	Lease     LeaseID   `wire:"lease lease"`
	Task      []byte    `wire:"task id"`                // id, 1..MaxID bytes
	Client    []byte    `wire:"client id0"`             // client id of the client it was granted to; may be empty
	Owner     []byte    `wire:"owner id0"`              // id or empty
	Group     []byte    `wire:"group id0"`              // id or empty
	Priority  int32     `wire:"priority priority"`      // in [-MaxPriority, MaxPriority]
	Resources []byte    `wire:"resources resources"`    // raw msgpack map from name to amount; empty for none
	Outcome   Reason    `wire:"outcome outcome0"`       // ReasonNone while it runs; an outcome if it ended and the end was not acknowledged yet
	Devices   uint64    `wire:"devices uint64?"`        // as in Placed; whole devices if Resources has gpu, else a share of gpu_mem on one
	Exclusive bool      `wire:"exclusive bool?"`        // it takes the whole worker
	OnPreempt OnPreempt `wire:"on_preempt on_preempt?"` // as in Schedule
}

// How many fields of a record must be there, and the size of the shortest.
const (
	recordRequired = 8
	leastRecord    = 1 + 2 + LeaseIDSize + 2 + 6 // bytes of the shortest record: heads, lease, task, six empty values
)

var recordFields = describe[Record]()

// record reads the n fields of a record.
func (r *reader) record(rec *Record, n int) {
	*rec = Record{
		Lease:     r.lease("lease"),
		Task:      r.id("task"),
		Client:    r.optionalID("client"),
		Owner:     r.optionalID("owner"),
		Group:     r.optionalID("group"),
		Priority:  int32(r.int("priority", MaxPriority)),
		Resources: r.resources("resources"),
		Outcome:   r.outcome("outcome", true),
	}
	if n > 8 {
		rec.Devices = r.uint("devices", math.MaxUint64)
	}
	if n > 9 {
		rec.Exclusive = r.bool("exclusive")
	}
	if n > 10 {
		rec.OnPreempt = r.onPreempt()
	}
}

// used returns how many fields must be written.
func (m *Record) used() int {
	switch {
	case m.OnPreempt != OnPreemptDefault:
		return 11
	case m.Exclusive:
		return 10
	case m.Devices != 0:
		return 9
	}
	return recordRequired
}

// append appends a record as an array of its fields.
func (m *Record) append(dst []byte) []byte {
	n := m.used()
	dst = appendLease(appendArray(dst, n), m.Lease)
	dst = appendStr(dst, m.Task)
	dst = appendStr(dst, m.Client)
	dst = appendStr(dst, m.Owner)
	dst = appendStr(dst, m.Group)
	dst = appendInt(dst, int64(m.Priority))
	dst = appendRaw(dst, m.Resources, codeFixMap)
	dst = appendUint(dst, uint64(m.Outcome))
	if n > 8 {
		dst = appendUint(dst, m.Devices)
	}
	if n > 9 {
		dst = appendBool(dst, m.Exclusive)
	}
	if n > 10 {
		dst = appendUint(dst, uint64(m.OnPreempt))
	}
	return dst
}

// records reads a list of at most MaxWorkerLeases records.
func (r *reader) records(field string) []Record {
	n := r.elements(field, 0, MaxWorkerLeases)
	if n == 0 {
		r.list = ""
		return nil
	}
	list := make([]Record, 0, min(n, 1+(len(r.b)-r.pos)/leastRecord))
	for i := range n {
		fields := r.part(i, &recordFields)
		if r.err != nil {
			return nil
		}
		list = append(list, Record{})
		r.record(&list[i], fields)
		r.rest(fields, &recordFields)
	}
	r.list = ""
	return list
}
