package wire

// ListWorkers asks for a page of workers in order of their ids.
type ListWorkers struct {
	After string   `wire:"after string"` // ids greater than this; "" from the start
	Limit uint32   `wire:"limit page"`   // rows, at most MaxPage; 0 means MaxPage
	Tags  []string `wire:"tags tags16"`  // only workers that have all of these
	State string   `wire:"state state"`  // online, suspicious, offline or "" for all
}

func (*ListWorkers) Kind() Kind                                 { return KindListWorkers }
func (m *ListWorkers) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Workers answers ListWorkers. Next is the After of the next page, "" at the
// end.
type Workers struct {
	Rows []WorkerInfo `wire:"rows rows"` // at most MaxPage
	Next string       `wire:"next string"`
}

func (*Workers) Kind() Kind                                 { return KindWorkers }
func (m *Workers) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// WorkerInfo describes one worker.
type WorkerInfo struct {
	ID          string           `wire:"id string"` // any UTF-8 from HTTP workers
	Address     string           `wire:"address string"`
	Tags        []string         `wire:"tags strings"`
	State       string           `wire:"state text"`          // online, suspicious, offline
	Flags       []string         `wire:"flags tags64"`        // http, connecting, cordoned, draining, drained, quarantined, probing, overcommitted, tags_omitted
	Slots       uint32           `wire:"slots uint32"`        // number of tasks that it runs at once
	Taken       uint32           `wire:"taken uint32"`        // slots taken by leases
	External    uint32           `wire:"external uint32"`     // tasks outside any lease
	Incarnation uint64           `wire:"incarnation uint64"`  // 0 for HTTP workers
	SeenMS      uint64           `wire:"seen_ms uint64"`      // milliseconds since the last report
	Resources   map[string]int64 `wire:"resources resources"` // amounts that it offers, by name

	// Why the worker is out of service, which client took it out, and for how many
	// milliseconds; empty unless Flags has cordoned.
	CordonReason string `wire:"cordon_reason string"`
	CordonBy     string `wire:"cordon_by string"`
	CordonMS     uint64 `wire:"cordon_ms uint64"`

	Used    map[string]int64 `wire:"used used?"`       // what leases take of Resources, and of gpu and gpu_mem over all devices
	Devices []DeviceInfo     `wire:"devices devices?"` // at most MaxDevices
	HeldBy  string           `wire:"held_by string?"`  // the waiting task that this worker is reserved for, and its client before a slash

	DeadlineMS uint64 `wire:"deadline_ms uint64?"` // milliseconds until what runs on a worker that drains is preempted; 0: never, or it was

	Recent       uint32 `wire:"recent uint32?"`        // outcomes of its last tasks that are remembered
	RecentFailed uint32 `wire:"recent_failed uint32?"` // those of them that are failures
	ProbeMS      uint64 `wire:"probe_ms uint64?"`      // milliseconds until one task is let onto a worker that is quarantined; 0: it is not, or one may come
}

// DeviceInfo describes one GPU of a worker.
type DeviceInfo struct {
	Model  string `wire:"model model"`
	Memory int64  `wire:"memory amount"` // MiB
	UUID   string `wire:"uuid id0"`
	Used   int64  `wire:"used int63"`     // MiB that shares take; all of Memory if a lease takes the whole device
	Leases uint32 `wire:"leases uint32"`  // leases on it
	Whole  bool   `wire:"whole bool"`     // one lease takes the whole device
	Failed uint32 `wire:"failed uint32?"` // of the worker's RecentFailed, those that had the device

	Missing bool `wire:"missing bool?"` // as in Device
}

// GetWorker asks for one worker with its leases.
type GetWorker struct {
	ID string `wire:"id string"`
}

func (*GetWorker) Kind() Kind                                 { return KindGetWorker }
func (m *GetWorker) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Worker answers GetWorker; at most MaxPage leases are listed.
type Worker struct {
	Info   WorkerInfo  `wire:"info row"`
	Leases []LeaseInfo `wire:"leases rows"`
}

func (*Worker) Kind() Kind                                 { return KindWorker }
func (m *Worker) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Cordon takes a worker out of service for new placements, or puts it back.
// What runs there goes on.
type Cordon struct {
	Worker string `wire:"worker string"` // the worker's id
	On     bool   `wire:"on bool"`       // false: back into service
	Reason string `wire:"reason reason"` // text of at most MaxReason bytes
	By     string `wire:"by by"`         // the operator, text of at most MaxID bytes; empty for the client id
	Drain  bool   `wire:"drain bool?"`   // with On: say when the worker itself reports that nothing runs there any more
	Own    bool   `wire:"own bool?"`     // the worker's agent says so, on the connection that it is registered by: the cordon ends with this incarnation, and changes no other one
	// DeadlineMS is how long what runs may go on before it is preempted, with
	// Drain, at most MaxDrain. 0 is not sent and means that there is no deadline:
	// 1 is at once.
	DeadlineMS uint32 `wire:"deadline_ms deadline?"`
}

func (*Cordon) Kind() Kind                                 { return KindCordon }
func (m *Cordon) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Cordoned answers Cordon.
type Cordoned struct {
	Changed bool `wire:"changed bool"` // false: it was so already
}

func (*Cordoned) Kind() Kind                                 { return KindCordoned }
func (m *Cordoned) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
