package wire

// ListLeases asks for a page of live leases. An empty Worker, Owner, Group or
// Client stands for all.
type ListLeases struct {
	After  uint64 `wire:"after uint64"` // Next of the page before, 0 from the start
	Limit  uint32 `wire:"limit page"`   // rows, at most MaxPage; 0 means MaxPage
	Worker string `wire:"worker string"`
	Owner  string `wire:"owner string"`
	Group  string `wire:"group string"`
	Client string `wire:"client string"`
	State  State  `wire:"state live"`  // only leases in this state, StateAssumed at most; StateNone for all
	Count  bool   `wire:"count bool?"` // only count: the answer has no rows
}

func (*ListLeases) Kind() Kind                                 { return KindListLeases }
func (m *ListLeases) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Leases answers ListLeases. Next is the After of the next page, 0 at the end.
type Leases struct {
	Rows    []LeaseInfo `wire:"rows rows"` // at most MaxPage
	Next    uint64      `wire:"next uint64"`
	Matched uint64      `wire:"matched uint64?"` // if only counted: leases that pass the filters, as far as this frame looked
}

func (*Leases) Kind() Kind                                 { return KindLeases }
func (m *Leases) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// LeaseInfo describes one live lease.
type LeaseInfo struct {
	Lease    LeaseID `wire:"lease lease"`
	Task     string  `wire:"task string"`
	Client   string  `wire:"client string"`
	Owner    string  `wire:"owner string"`
	Group    string  `wire:"group string"`
	Priority int32   `wire:"priority priority"` // in [-MaxPriority, MaxPriority]
	State    State   `wire:"state uint8"`       // StateGranted to StateAssumed
	AgeMS    uint64  `wire:"age_ms uint64"`     // milliseconds since the grant or adoption
	Worker   string  `wire:"worker string"`     // the id of its worker

	Resources map[string]int64 `wire:"resources resources?"` // amounts that it takes, by name
	Devices   uint64           `wire:"devices uint64?"`      // as in Placed
	Exclusive bool             `wire:"exclusive bool?"`      // it takes the whole worker
	Preempted bool             `wire:"preempted bool?"`      // it was preempted, or is about to be
}

// ListEnded asks for a page of leases that ended, the newest first. An empty
// Task or Worker stands for all.
type ListEnded struct {
	Before uint64 `wire:"before uint64"` // only ends of a smaller number; 0 from the newest
	Limit  uint32 `wire:"limit page"`    // rows, at most MaxPage; 0 means MaxPage
	Task   string `wire:"task string"`
	Worker string `wire:"worker string"`
}

func (*ListEnded) Kind() Kind                                 { return KindListEnded }
func (m *ListEnded) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// EndedLeases answers ListEnded. Next is the Before of the next page, 0 at the
// end.
type EndedLeases struct {
	Rows []EndedLease `wire:"rows rows"` // at most MaxPage
	Next uint64       `wire:"next uint64"`
}

func (*EndedLeases) Kind() Kind                                 { return KindEndedLeases }
func (m *EndedLeases) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// EndedLease describes one lease that ended.
type EndedLease struct {
	Number uint64  `wire:"number uint64"` // grows by one with each end
	Lease  LeaseID `wire:"lease lease"`
	Task   string  `wire:"task string"`
	Client string  `wire:"client string"`
	Owner  string  `wire:"owner string"`
	Worker string  `wire:"worker string"`  // the id of its worker
	Reason Reason  `wire:"reason uint8"`   // how it ended
	By     string  `wire:"by string"`      // what ended it: worker, client or scheduler
	AgeMS  uint64  `wire:"age_ms uint64"`  // milliseconds since the end
	HeldMS uint64  `wire:"held_ms uint64"` // milliseconds from the grant to the end
}
