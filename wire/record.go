package wire

var recordFields = []string{"lease", "task", "client", "owner", "group", "priority", "resources", "outcome"}

// record reads the fields of a record.
func (r *reader) record(rec *Record) {
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
}

// append appends a record as an array of its fields.
func (m *Record) append(dst []byte) []byte {
	dst = appendLease(appendArray(dst, len(recordFields)), m.Lease)
	dst = appendStr(dst, m.Task)
	dst = appendStr(dst, m.Client)
	dst = appendStr(dst, m.Owner)
	dst = appendStr(dst, m.Group)
	dst = appendInt(dst, int64(m.Priority))
	dst = appendRaw(dst, m.Resources, codeFixMap)
	return appendUint(dst, uint64(m.Outcome))
}

// records reads a list of at most MaxWorkerLeases records.
func (r *reader) records(field string) []Record {
	n := r.elements(field, 0, MaxWorkerLeases)
	var list []Record
	for i := range n {
		fields := r.part(i, recordFields, len(recordFields))
		if r.err != nil {
			return nil
		}
		list = append(list, Record{})
		r.record(&list[i])
		r.rest(fields, len(recordFields))
	}
	r.list = ""
	return list
}
