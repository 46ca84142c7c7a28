package wire

// ListWorkers asks for a page of workers in order of their ids.
type ListWorkers struct {
	After string   // ids greater than this; "" from the start
	Limit uint32   // rows, at most MaxPage; 0 means MaxPage
	Tags  []string // only workers that have all of these
	State string   // online, suspicious, offline or "" for all
}

// WorkerInfo describes one worker.
type WorkerInfo struct {
	ID          string
	Address     string
	Tags        []string
	State       string   // online, suspicious, offline
	Flags       []string // http, connecting, cordoned, draining, drained, quarantined, probing, overcommitted, tags_omitted
	Slots       uint32
	Taken       uint32 // slots taken by leases
	External    uint32 // tasks outside any lease
	Incarnation uint64
	SeenMS      uint64 // milliseconds since the last report
	Resources   map[string]int64

	// Why and by whom the worker was taken out of service, and for how many
	// milliseconds it has been; empty unless Flags has cordoned.
	CordonReason string
	CordonBy     string
	CordonMS     uint64

	Used    map[string]int64 // what leases take of Resources, and of gpu and gpu_mem over all devices
	Devices []DeviceInfo
	HeldBy  string // the task that waits for this worker to have room, and its client before a slash

	DeadlineMS uint64 // milliseconds until what runs on a worker that drains is preempted; 0: never, or it was

	Recent       uint32 // outcomes of its last tasks that are remembered
	RecentFailed uint32 // those of them that are failures
	ProbeMS      uint64 // milliseconds until one task is let onto a worker that is quarantined; 0: it is not, or one may come
}

// DeviceInfo describes one GPU of a worker.
type DeviceInfo struct {
	Model  string
	Memory int64 // MiB
	UUID   string
	Used   int64 // MiB that shares take; all of Memory if a lease takes the whole device
	Leases uint32
	Whole  bool   // one lease takes the whole device
	Failed uint32 // of the worker's RecentFailed, those that had the device

	Missing bool // as in Device
}

// Workers answers ListWorkers. Next is the After of the next page, "" at the
// end.
type Workers struct {
	Rows []WorkerInfo
	Next string
}

// GetWorker asks for one worker with its leases.
type GetWorker struct {
	ID string
}

// LeaseInfo describes one live lease.
type LeaseInfo struct {
	Lease    LeaseID
	Task     string
	Client   string
	Owner    string
	Group    string
	Priority int32
	State    State
	AgeMS    uint64 // milliseconds since the grant or adoption
	Worker   string // the id of its worker

	Resources map[string]int64
	Devices   uint64 // as in Placed
	Exclusive bool
	Preempted bool // it was told to make room, or will be
}

// Worker answers GetWorker; at most MaxPage leases are listed.
type Worker struct {
	Info   WorkerInfo
	Leases []LeaseInfo
}

// GetStats asks for Stats.
type GetStats struct{}

// Stats are totals of the moment and counters since the start.
type Stats struct {
	Grantor    Grantor
	Online     uint32
	Suspicious uint32
	Offline    uint32
	Slots      uint64 // of online workers
	Used       uint64 // of online workers, leases and external load
	Granted    uint32 // leases by state
	AskedBack  uint32
	Begun      uint32
	Assumed    uint32
	Counters   map[string]uint64
}

// Cordon takes a worker out of service for new placements, or puts it back.
// What runs there goes on.
type Cordon struct {
	Worker string
	On     bool   // false: back into service
	Reason string // text of at most MaxReason bytes
	By     string // who says so, text of at most MaxID bytes; empty for the client id
	Drain  bool   // with On: say when the worker itself reports that nothing runs there any more
	Own    bool   // the worker's agent says so, on the connection that it is registered by: the cordon ends with this incarnation, and changes no other one
	// DeadlineMS is how long what runs may go on before it is preempted, with
	// Drain, at most MaxDrain. 0 is not sent and means that there is no deadline:
	// who asks for one of 0 means 1.
	DeadlineMS uint32
}

// Cordoned answers Cordon.
type Cordoned struct {
	Changed bool // false: it was so already
}

// ListLeases asks for a page of live leases. An empty Worker, Owner, Group or
// Client stands for all.
type ListLeases struct {
	After  uint64 // Next of the page before, 0 from the start
	Limit  uint32 // rows, at most MaxPage; 0 means MaxPage
	Worker string
	Owner  string
	Group  string
	Client string
	State  State // only leases in this state, StateAssumed at most; StateNone for all
	Count  bool  // only count: the answer has no rows
}

// Leases answers ListLeases. Next is the After of the next page, 0 at the end.
type Leases struct {
	Rows    []LeaseInfo
	Next    uint64
	Matched uint64 // if only counted: leases that pass the filters, as far as this frame looked
}

// ListTags asks for a page of the fleet's tags in their order.
type ListTags struct {
	After string // tags greater than this; "" from the start
	Limit uint32 // rows, at most MaxPage; 0 means MaxPage
}

// TagInfo describes one tag of the fleet.
type TagInfo struct {
	Tag     string
	Workers uint32 // how many workers have it
}

// Tags answers ListTags. Next is the After of the next page, "" at the end.
type Tags struct {
	Rows []TagInfo
	Next string
}

// ListEvents asks for a page of what happened to workers, the oldest first.
type ListEvents struct {
	After uint64 // only events of a larger number
	Limit uint32 // rows, at most MaxPage; 0 means MaxPage
}

// Event is one thing that happened to a worker.
type Event struct {
	Number uint64 // grows by one with each event
	AgeMS  uint64 // milliseconds since it happened
	What   string // joined, back, suspicious, offline, removed, deregistered, superseded, cordoned, draining, drained, uncordoned, revoked, preempted, quarantined, probing, recovered, device_in_use, worker_in_use, mass_loss, mass_loss_offline, mass_loss_over
	Worker string
	Lease  LeaseID // zero if it concerns none
	Reason string
	By     string
}

// Events answers ListEvents.
type Events struct {
	Rows   []Event
	Next   uint64 // number of the last event there is
	Missed uint64 // events after After that are not kept any more
}

// ListEnded asks for a page of leases that ended, the newest first. An empty
// Task or Worker stands for all.
type ListEnded struct {
	Before uint64 // only ends of a smaller number; 0 from the newest
	Limit  uint32 // rows, at most MaxPage; 0 means MaxPage
	Task   string
	Worker string
}

// EndedLease describes one lease that ended.
type EndedLease struct {
	Number uint64 // grows by one with each end
	Lease  LeaseID
	Task   string
	Client string
	Owner  string
	Worker string
	Reason Reason
	By     string // who ended it: worker, client or scheduler
	AgeMS  uint64 // milliseconds since the end
	HeldMS uint64 // milliseconds from the grant to the end
}

// EndedLeases answers ListEnded. Next is the Before of the next page, 0 at the
// end.
type EndedLeases struct {
	Rows []EndedLease
	Next uint64
}

func (*ListWorkers) Kind() Kind { return KindListWorkers }
func (*Workers) Kind() Kind     { return KindWorkers }
func (*GetWorker) Kind() Kind   { return KindGetWorker }
func (*Worker) Kind() Kind      { return KindWorker }
func (*GetStats) Kind() Kind    { return KindGetStats }
func (*Stats) Kind() Kind       { return KindStats }
func (*Cordon) Kind() Kind      { return KindCordon }
func (*Cordoned) Kind() Kind    { return KindCordoned }
func (*ListLeases) Kind() Kind  { return KindListLeases }
func (*Leases) Kind() Kind      { return KindLeases }
func (*ListTags) Kind() Kind    { return KindListTags }
func (*Tags) Kind() Kind        { return KindTags }
func (*ListEvents) Kind() Kind  { return KindListEvents }
func (*Events) Kind() Kind      { return KindEvents }
func (*ListEnded) Kind() Kind   { return KindListEnded }
func (*EndedLeases) Kind() Kind { return KindEndedLeases }
