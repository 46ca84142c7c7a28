package wire

import "math"

// The fields of a record, and how many of them must be there.
var recordFields = []string{"lease", "task", "client", "owner", "group", "priority", "resources", "outcome", "devices", "exclusive", "on_preempt"}

const (
	recordRequired = 8
	leastRecord    = 1 + 2 + LeaseIDSize + 2 + 6 // bytes of the shortest record: heads, lease, task, six empty values
)

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
		fields := r.part(i, recordFields, recordRequired)
		if r.err != nil {
			return nil
		}
		list = append(list, Record{})
		r.record(&list[i], fields)
		r.rest(fields, len(recordFields))
	}
	r.list = ""
	return list
}
