package wire

import "math"

// partDepth is how many arrays enclose the fields of a list's element: the
// frame, the list, the element.
const partDepth = 3

// elements reads the head of a list that fills a field of a frame, and makes
// failures name the element.
func (r *reader) elements(field string, least, most int) int {
	n := r.array(field, most)
	if n < least {
		r.fail(field, 0, "is empty")
	}
	r.list = field
	return n
}

// part reads the head of a part, an array of fields of its own, and returns
// how many fields it has.
func (r *reader) part(index int, fields []string, required int) int {
	r.index = index
	n := r.array("", unlimited)
	r.need(n, fields, required)
	return n
}

// need records a failure if only n of the required fields are there.
func (r *reader) need(n int, fields []string, required int) {
	if r.err == nil && n < required {
		r.fail(fields[n], 0, "is missing")
	}
}

// rest walks the fields of an element that are not known here.
func (r *reader) rest(n, known int) {
	if r.err == nil && n > known {
		r.skip(n-known, partDepth)
	}
}

// The fields of Batch, and how many of them must be there.
var batchFields = []string{"tasks", "all_or_none", "distinct"}

const batchRequired = 1

func readBatch(d *Decoder, fields int) Message {
	r := &d.r
	d.batch.AllOrNone, d.batch.Distinct = false, false
	n := r.elements("tasks", 1, MaxBatch)
	d.batch.Tasks = d.batch.Tasks[:0]
	for i := range n {
		fields := r.part(i, scheduleFields, scheduleRequired)
		if r.err != nil {
			return nil
		}
		d.batch.Tasks = append(d.batch.Tasks, Schedule{})
		r.schedule(&d.batch.Tasks[i], fields)
		r.rest(fields, len(scheduleFields))
	}
	r.list = ""
	if fields > 1 {
		d.batch.AllOrNone = r.bool("all_or_none")
	}
	if fields > 2 {
		d.batch.Distinct = r.bool("distinct")
	}
	return &d.batch
}

func (m *Batch) append(dst []byte, request uint64) []byte {
	fields := m.used()
	dst = appendArray(appendHead(dst, fields, KindBatch, request), len(m.Tasks))
	for i := range m.Tasks {
		n := m.Tasks[i].used()
		dst = m.Tasks[i].appendFields(appendArray(dst, n), n)
	}
	if fields > 1 {
		dst = appendBool(dst, m.AllOrNone)
	}
	if fields > 2 {
		dst = appendBool(dst, m.Distinct)
	}
	return dst
}

// used returns how many fields must be written.
func (m *Batch) used() int {
	switch {
	case m.Distinct:
		return 3
	case m.AllOrNone:
		return 2
	}
	return batchRequired
}

// A result is its code, followed by the fields of a placement if that is CodeOK,
// else perhaps by a sentence.
var (
	refusedFields = []string{"code", "message"}
	resultFields  = append(refusedFields[:refusedRequired:refusedRequired], placedFields...)
)

const refusedRequired = 1

func readPlacedAll(d *Decoder, fields int) Message {
	r := &d.r
	d.placedAll.RetryAfterMS = 0
	n := r.elements("results", 0, MaxBatch)
	d.placedAll.Results = d.placedAll.Results[:0]
	for i := range n {
		fields := r.part(i, refusedFields, refusedRequired)
		if r.err != nil {
			return nil
		}
		d.placedAll.Results = append(d.placedAll.Results, BatchResult{})
		r.result(&d.placedAll.Results[i], fields)
	}
	r.list = ""
	if fields > 1 {
		d.placedAll.RetryAfterMS = r.uint32("retry_after_ms")
	}
	return &d.placedAll
}

// result reads the n fields of one result.
func (r *reader) result(result *BatchResult, n int) {
	result.Code = Code(r.uint("code", math.MaxUint16))
	known := len(refusedFields)
	switch {
	case result.Code == CodeOK:
		known = len(resultFields)
		r.need(n, resultFields, refusedRequired+placedRequired)
		r.placed(&result.Placed, n-refusedRequired)
	case n > refusedRequired:
		result.Message = string(r.text("message", MaxText))
	}
	r.rest(n, known)
}

func (m *PlacedAll) append(dst []byte, request uint64) []byte {
	fields := 1
	if m.RetryAfterMS != 0 {
		fields = 2
	}
	dst = appendArray(appendHead(dst, fields, KindPlacedAll, request), len(m.Results))
	for i := range m.Results {
		dst = m.Results[i].append(dst)
	}
	if fields > 1 {
		dst = appendUint(dst, uint64(m.RetryAfterMS))
	}
	return dst
}

// append appends one result as an array of its own.
func (m *BatchResult) append(dst []byte) []byte {
	switch {
	case m.Code == CodeOK:
	case m.Message == "":
		return appendUint(appendArray(dst, refusedRequired), uint64(m.Code))
	default:
		return appendStr(appendUint(appendArray(dst, len(refusedFields)), uint64(m.Code)), m.Message)
	}
	dst = appendUint(appendArray(dst, refusedRequired+m.Placed.used()), uint64(CodeOK))
	return m.Placed.appendFields(dst)
}
