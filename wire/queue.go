package wire

// Cancel takes tasks that wait out of the queue: the one with this id, or all
// that pass the filters. One frame looks at a bounded number; the answer says
// where to go on. A task whose client is not named is one of the connection's
// own client.
type Cancel struct {
	Task   string `wire:"task string"`   // empty for all
	Client string `wire:"client string"` // these three are filters, empty for any
	Owner  string `wire:"owner string"`
	Group  string `wire:"group string"`
	After  uint64 `wire:"after uint64"` // Next of the answer before
}

func (*Cancel) Kind() Kind                                 { return KindCancel }
func (m *Cancel) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Cancelled answers Cancel. What was cancelled is never placed after it.
type Cancelled struct {
	Count uint32 `wire:"count uint32"` // tasks and gangs that were cancelled
	Next  uint64 `wire:"next uint64"`  // 0: all were looked at
}

func (*Cancelled) Kind() Kind                                 { return KindCancelled }
func (m *Cancelled) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// ListQueue asks for a page of the tasks that wait.
type ListQueue struct {
	After  uint64 `wire:"after uint64"` // Next of the page before
	Limit  uint32 `wire:"limit page"`   // rows, at most MaxPage; 0 means MaxPage
	Task   string `wire:"task string"`  // these four are filters, empty for any
	Client string `wire:"client string"`
	Owner  string `wire:"owner string"`
	Group  string `wire:"group string"`
	Count  bool   `wire:"count bool?"` // only count: the answer has no rows
}

func (*ListQueue) Kind() Kind                                 { return KindListQueue }
func (m *ListQueue) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Queue answers ListQueue.
type Queue struct {
	Rows    []WaiterInfo `wire:"rows rows"`       // at most MaxPage
	Next    uint64       `wire:"next uint64"`     // 0: that was all
	Waiting uint64       `wire:"waiting uint64"`  // tasks that wait, those of gangs included
	Groups  uint64       `wire:"groups uint64"`   // distinct requirements among them
	Matched uint64       `wire:"matched uint64?"` // if only counted: tasks that pass the filters, those of gangs included, as far as this frame looked
}

func (*Queue) Kind() Kind                                 { return KindQueue }
func (m *Queue) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// WaiterInfo describes a task or gang that waits.
type WaiterInfo struct {
	Task     string   `wire:"task string"` // of a gang the first
	Client   string   `wire:"client string"`
	Owner    string   `wire:"owner string"`
	Group    string   `wire:"group string"`
	Priority int32    `wire:"priority priority"` // in [-MaxPriority, MaxPriority]
	Tasks    uint32   `wire:"tasks index"`       // 1, or how many the gang has
	AgeMS    uint64   `wire:"age_ms uint64"`     // since it came
	LeftMS   uint64   `wire:"left_ms uint64"`    // until its wait is over
	Position uint64   `wire:"position uint64"`   // among those of its owner and priority that need the same: 1 is the next. Cancelled ones before it may still be counted
	Placed   uint64   `wire:"placed uint64"`     // how many that need the same were placed in the last minute
	Bypassed uint32   `wire:"bypassed uint32"`   // how often another task was placed on a worker that it could use, while it was the first of all
	Holds    []string `wire:"holds strings"`     // workers that are held for it
	AtLimit  bool     `wire:"at_limit bool?"`    // its owner has as many leases as one may have: it waits for one of these to end
	NoWorker bool     `wire:"no_worker bool?"`   // no known worker could take it
	Turn     uint64   `wire:"turn uint64?"`      // of the owners with tasks of one priority the one with the smallest goes first
	Number   uint64   `wire:"number uint64?"`    // grows in order of arrival
}
