package wire

// GetStats asks for Stats.
type GetStats struct{}

func (*GetStats) Kind() Kind                                 { return KindGetStats }
func (m *GetStats) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Stats are totals of the moment and counters since the start.
type Stats struct {
	Grantor    Grantor           `wire:"inline"`
	Online     uint32            `wire:"online uint32"` // workers by status
	Suspicious uint32            `wire:"suspicious uint32"`
	Offline    uint32            `wire:"offline uint32"`
	Slots      uint64            `wire:"slots uint64"`   // of online workers
	Used       uint64            `wire:"used uint64"`    // of online workers, leases and external load
	Granted    uint32            `wire:"granted uint32"` // leases by state
	AskedBack  uint32            `wire:"asked_back uint32"`
	Begun      uint32            `wire:"begun uint32"`
	Assumed    uint32            `wire:"assumed uint32"`
	Counters   map[string]uint64 `wire:"counters counts"` // counts since the start, by name
}

func (*Stats) Kind() Kind                                 { return KindStats }
func (m *Stats) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// ListTags asks for a page of the fleet's tags in their order.
type ListTags struct {
	After string `wire:"after string"` // tags greater than this; "" from the start
	Limit uint32 `wire:"limit page"`   // rows, at most MaxPage; 0 means MaxPage
}

func (*ListTags) Kind() Kind                                 { return KindListTags }
func (m *ListTags) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Tags answers ListTags. Next is the After of the next page, "" at the end.
type Tags struct {
	Rows []TagInfo `wire:"rows rows"` // at most MaxPage
	Next string    `wire:"next string"`
}

func (*Tags) Kind() Kind                                 { return KindTags }
func (m *Tags) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// TagInfo describes one tag of the fleet.
type TagInfo struct {
	Tag     string `wire:"tag string"`     // as a worker has it, up to MaxTag bytes from native workers
	Workers uint32 `wire:"workers uint32"` // how many workers have it
}

// ListEvents asks for a page of what happened to workers, the oldest first.
type ListEvents struct {
	After uint64 `wire:"after uint64"` // only events of a larger number
	Limit uint32 `wire:"limit page"`   // rows, at most MaxPage; 0 means MaxPage
}

func (*ListEvents) Kind() Kind                                 { return KindListEvents }
func (m *ListEvents) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Events answers ListEvents.
type Events struct {
	Rows   []Event `wire:"rows rows"`     // at most MaxPage, the oldest first
	Next   uint64  `wire:"next uint64"`   // number of the last event there is
	Missed uint64  `wire:"missed uint64"` // events after After that are not kept any more
}

func (*Events) Kind() Kind                                 { return KindEvents }
func (m *Events) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Event is one thing that happened to a worker.
type Event struct {
	Number uint64  `wire:"number uint64"` // grows by one with each event
	AgeMS  uint64  `wire:"age_ms uint64"` // milliseconds since it happened
	What   string  `wire:"what text"`     // joined, back, suspicious, offline, removed, deregistered, superseded, cordoned, draining, drained, uncordoned, revoked, preempted, quarantined, probing, recovered, device_in_use, worker_in_use, mass_loss, mass_loss_offline, mass_loss_over
	Worker string  `wire:"worker string"` // the worker's id, empty if it concerns none
	Lease  LeaseID `wire:"lease lease"`   // zero if it concerns none
	Reason string  `wire:"reason string"` // why, where it is known
	By     string  `wire:"by string"`     // its originator, where it is known
}
