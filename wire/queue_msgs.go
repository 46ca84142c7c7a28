package wire

// Settled answers one task of a batch that was told CodeWaiting. It carries the
// request id of the batch.
type Settled struct {
	Index  uint32 // of the task in the batch
	Result BatchResult
}

// Cancel takes tasks that wait out of the queue: the one with this id, or all
// that pass the filters. One frame looks at a bounded number; the answer says
// where to go on. A task whose client is not named is one of the connection's
// own client.
type Cancel struct {
	Task   string // empty for all
	Client string // these three are filters, empty for any
	Owner  string
	Group  string
	After  uint64 // Next of the answer before
}

// Cancelled answers Cancel. What was cancelled is never placed after it.
type Cancelled struct {
	Count uint32 // tasks and gangs that were cancelled
	Next  uint64 // 0: all were looked at
}

// ListQueue asks for a page of the tasks that wait.
type ListQueue struct {
	After  uint64 // Next of the page before
	Limit  uint32 // rows, at most MaxPage; 0 means MaxPage
	Task   string // these four are filters, empty for any
	Client string
	Owner  string
	Group  string
	Count  bool // only count: the answer has no rows
}

// Queue answers ListQueue.
type Queue struct {
	Rows    []WaiterInfo
	Next    uint64 // 0: that was all
	Waiting uint64 // tasks that wait, those of gangs included
	Groups  uint64 // distinct requirements among them
	Matched uint64 // if only counted: tasks that pass the filters, those of gangs included, as far as this frame looked
}

// WaiterInfo describes a task or gang that waits.
type WaiterInfo struct {
	Task     string // of a gang the first
	Client   string
	Owner    string
	Group    string
	Priority int32
	Tasks    uint32   // 1, or how many the gang has
	AgeMS    uint64   // since it came
	LeftMS   uint64   // until its wait is over
	Position uint64   // among those of its owner and priority that need the same: 1 is the next. Cancelled ones before it may still be counted
	Placed   uint64   // how many that need the same were placed in the last minute
	Bypassed uint32   // how often another task got room on a worker that it could use, while it was the first of all
	Holds    []string // workers that are held for it
	AtLimit  bool     // its owner has as many leases as one may have: it waits for one of these to end
	NoWorker bool     // no known worker could take it
	Turn     uint64   // of the owners with tasks of one priority the one with the smallest goes first
	Number   uint64   // grows in order of arrival
}

func (*Settled) Kind() Kind   { return KindSettled }
func (*Cancel) Kind() Kind    { return KindCancel }
func (*Cancelled) Kind() Kind { return KindCancelled }
func (*ListQueue) Kind() Kind { return KindListQueue }
func (*Queue) Kind() Kind     { return KindQueue }

func readSettled(d *Decoder, _ int) Message {
	r := &d.r
	d.settled = Settled{Index: uint32(r.uint("index", MaxBatch))}
	if fields := r.array("result", unlimited); r.err == nil {
		r.need(fields, refusedFields, refusedRequired)
		r.result(&d.settled.Result, fields)
	}
	return &d.settled
}

func (m *Settled) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 2, KindSettled, request), uint64(m.Index))
	return m.Result.append(dst)
}

func (m *Cancel) fields() []field {
	return []field{
		foreign("task", &m.Task),
		foreign("client", &m.Client),
		foreign("owner", &m.Owner),
		foreign("group", &m.Group),
		number64("after", &m.After),
	}
}

func (m *Cancelled) fields() []field {
	return []field{
		number32("count", &m.Count),
		number64("next", &m.Next),
	}
}

func (m *ListQueue) fields() []field {
	return []field{
		number64("after", &m.After),
		limit(&m.Limit),
		foreign("task", &m.Task),
		foreign("client", &m.Client),
		foreign("owner", &m.Owner),
		foreign("group", &m.Group),
		optional(boolean("count", &m.Count), !m.Count),
	}
}

func (m *Queue) fields() []field {
	return []field{
		page(&m.Rows, (*WaiterInfo).fields),
		number64("next", &m.Next),
		number64("waiting", &m.Waiting),
		number64("groups", &m.Groups),
		optional(number64("matched", &m.Matched), m.Matched == 0),
	}
}

func (m *WaiterInfo) fields() []field {
	return []field{
		foreign("task", &m.Task),
		foreign("client", &m.Client),
		foreign("owner", &m.Owner),
		foreign("group", &m.Group),
		priority(&m.Priority),
		number("tasks", &m.Tasks, MaxBatch),
		number64("age_ms", &m.AgeMS),
		number64("left_ms", &m.LeftMS),
		number64("position", &m.Position),
		number64("placed", &m.Placed),
		number32("bypassed", &m.Bypassed),
		foreigns("holds", &m.Holds),
		optional(boolean("at_limit", &m.AtLimit), !m.AtLimit && !m.NoWorker && m.Turn == 0 && m.Number == 0),
		optional(boolean("no_worker", &m.NoWorker), !m.NoWorker && m.Turn == 0 && m.Number == 0),
		optional(number64("turn", &m.Turn), m.Turn == 0 && m.Number == 0),
		optional(number64("number", &m.Number), m.Number == 0),
	}
}

func (m *Cancel) append(dst []byte, request uint64) []byte    { return appendCold(dst, request, m) }
func (m *Cancelled) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *ListQueue) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
func (m *Queue) append(dst []byte, request uint64) []byte     { return appendCold(dst, request, m) }
