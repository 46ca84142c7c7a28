package wire

import "math"

// Batch is N tasks in one frame, each judged for itself unless AllOrNone.
type Batch struct {
	Tasks     []Schedule `wire:"tasks tasks"`       // 1 to MaxBatch
	AllOrNone bool       `wire:"all_or_none bool?"` // a gang: all are placed in one decision, or none
	Distinct  bool       `wire:"distinct bool?"`    // of a gang: no two on one worker
}

func (*Batch) Kind() Kind { return KindBatch }

func readBatch(d *Decoder, fields int) Message {
	r := &d.r
	d.batch.AllOrNone, d.batch.Distinct = false, false
	n := r.elements("tasks", 1, MaxBatch)
	d.batch.Tasks = d.batch.Tasks[:0]
	for i := range n {
		fields := r.part(i, &scheduleFields)
		if r.err != nil {
			return nil
		}
		d.batch.Tasks = append(d.batch.Tasks, Schedule{})
		r.schedule(&d.batch.Tasks[i], fields)
		r.rest(fields, &scheduleFields)
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
	return 1
}

// BatchResult is the answer for one task of a batch: a placement, or a code.
type BatchResult struct {
	Code    Code   `wire:"code uint16"` // CodeOK if it is placed, CodeWaiting if it is in the queue, else why not
	Placed  Placed // set if Code is CodeOK
	Message string `wire:"message text?"` // else a sentence for people, where the code alone does not say all; see Sentence
}

// Refuse makes r the refusal e. Its message is sent along where it says more than
// its code.
func (r *BatchResult) Refuse(e *Error) {
	*r = BatchResult{Code: e.Code}
	if e.Message != e.Code.Sentence() {
		r.Message = e.Message
	}
}

// Sentence says for people why the task was refused; "" if it was not.
func (r *BatchResult) Sentence() string {
	if r.Message != "" {
		return r.Message
	}
	return r.Code.Sentence()
}

// A result is its code, followed by the fields of a placement if that is CodeOK,
// else perhaps by a sentence.
var (
	refusedFields = describe[BatchResult]()
	resultFields  = fields{append(refusedFields.list[:1:1], placedFields.list...), 1 + placedRequired}
)

// PlacedAll answers Batch, in order.
type PlacedAll struct {
	Results      []BatchResult `wire:"results results"`        // one for each task, in order
	RetryAfterMS uint32        `wire:"retry_after_ms uint32?"` // when a repeat of those that were refused makes sense, or 0
}

func (*PlacedAll) Kind() Kind { return KindPlacedAll }

func readPlacedAll(d *Decoder, fields int) Message {
	r := &d.r
	d.placedAll.RetryAfterMS = 0
	n := r.elements("results", 0, MaxBatch)
	d.placedAll.Results = d.placedAll.Results[:0]
	for i := range n {
		fields := r.part(i, &refusedFields)
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
	known := &refusedFields
	switch {
	case result.Code == CodeOK:
		known = &resultFields
		r.need(n, known)
		r.placed(&result.Placed, n-1)
	case n > 1:
		result.Message = string(r.text("message", maxText))
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
		return appendUint(appendArray(dst, 1), uint64(m.Code))
	default:
		return appendStr(appendUint(appendArray(dst, 2), uint64(m.Code)), m.Message)
	}
	dst = appendUint(appendArray(dst, 1+m.Placed.used()), uint64(CodeOK))
	return m.Placed.appendFields(dst)
}

// Settled answers one task of a batch that had CodeWaiting. It carries the
// request id of the batch.
type Settled struct {
	Index  uint32      `wire:"index index"` // of the task in the batch
	Result BatchResult `wire:"result result"`
}

func (*Settled) Kind() Kind { return KindSettled }

func readSettled(d *Decoder, _ int) Message {
	r := &d.r
	d.settled = Settled{Index: uint32(r.uint("index", MaxBatch))}
	if fields := r.array("result", unlimited); r.err == nil {
		r.need(fields, &refusedFields)
		r.result(&d.settled.Result, fields)
	}
	return &d.settled
}

func (m *Settled) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 2, KindSettled, request), uint64(m.Index))
	return m.Result.append(dst)
}
