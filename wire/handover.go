package wire

// Handover is what a client gives to a worker's program so that a task may
// begin there: the lease, its worker, and what the worker's report
// must say of it. It travels as JSON, by whatever means the client and the
// worker share; the scheduler never sees it.
type Handover struct {
	Lease       LeaseID          `json:"lease_id"`
	Worker      string           `json:"worker_id"`
	Address     string           `json:"address"`
	Incarnation uint64           `json:"incarnation,string"` // of the worker the lease was granted to
	Task        string           `json:"task_id"`
	Client      string           `json:"client,omitempty"`
	Owner       string           `json:"owner,omitempty"`
	Group       string           `json:"group,omitempty"`
	Priority    int32            `json:"priority"`
	Resources   map[string]int64 `json:"resources,omitempty"`
	Devices     []int            `json:"devices,omitempty"` // the worker's GPU devices that the lease takes
	Exclusive   bool             `json:"exclusive,omitempty"`
	OnPreempt   OnPreempt        `json:"on_preempt,omitempty"` // when the task is to be preempted
}

// Record returns what the worker reports of the lease while it runs. It shares
// no memory with h, and has nothing of what Verify refuses.
func (h *Handover) Record() Record {
	return Record{
		Lease:     h.Lease,
		Task:      []byte(h.Task),
		Client:    optionalBytes(h.Client),
		Owner:     optionalBytes(h.Owner),
		Group:     optionalBytes(h.Group),
		Priority:  h.Priority,
		Resources: AppendResources(nil, h.Resources),
		Devices:   deviceMask(h.Devices),
		Exclusive: h.Exclusive,
		OnPreempt: h.OnPreempt,
	}
}

// deviceMask returns a mask with the bits of the given numbers. Numbers that
// no device can have are left out.
func deviceMask(numbers []int) (mask uint64) {
	for _, n := range numbers {
		if n >= 0 && n < MaxDevices {
			mask |= 1 << n
		}
	}
	return mask
}

// optionalBytes returns the bytes of s, nil for none.
func optionalBytes(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Verify returns an *Error that names the first field that breaks a limit of
// the protocol. A worker must begin nothing else: the record of such a lease
// would have the scheduler refuse its report and every later registration.
func (h *Handover) Verify() error {
	if h.Lease.IsZero() {
		return badField("lease", 0, "is missing")
	}
	if !ValidID(h.Worker) {
		return badField("worker", 0, "is not an id")
	}
	if h.Incarnation == 0 {
		return badField("incarnation", 0, "is 0")
	}
	for i, n := range h.Devices {
		if n < 0 || n >= MaxDevices {
			return badField("devices", MaxDevices, "names a device that no worker can have")
		}
		if i > 0 && n <= h.Devices[i-1] {
			return badField("devices", 0, "is not in ascending order")
		}
	}
	record := h.Record()
	r := reader{b: record.append(nil)}
	r.record(&record, r.array("record", unlimited))
	if r.err != nil {
		return r.err
	}
	return nil
}
