package wire

// Role says what a connection is for.
type Role uint8

// The roles.
const (
	RoleClient Role = 1
	RoleAgent  Role = 2
)

// Hello is the first frame of a connection. Fields: min_version, max_version,
// role, client, token, features.
type Hello struct {
	MinVersion uint16
	MaxVersion uint16
	Role       Role
	Client     string // client id, scope of the idempotency of task ids; the agent's worker id for RoleAgent
	Token      string // empty without authentication
	Features   []string
}

// HelloOK answers Hello.
type HelloOK struct {
	Version     uint16
	Server      string // the scheduler's version, for display
	Grantor     Grantor
	HeartbeatMS uint32 // how often an agent should report
	StartTTLMS  uint32 // how long a lease that has not begun lives after its last renewal
	Limits      map[string]uint64
}

// Error refuses a request, or says why a connection closes.
type Error struct {
	Code         Code
	Message      string // a sentence for people
	Field        string // the field at fault, or ""
	Limit        uint64 // the limit that was broken, or 0
	RetryAfterMS uint32 // when a repeat makes sense, or 0
}

// Ping asks for a Pong.
type Ping struct{}

// Pong answers Ping.
type Pong struct{}

// Schedule asks for a lease. Its byte slices belong to the decoder's input.
// Fields: task, tags, priority, owner, group, resources, ttl_ms, selector,
// prefer, not_workers, exclusive, policy, spread_by, wait_ms, preempt,
// on_preempt. All after tags may be missing.
type Schedule struct {
	Task      []byte // id, 1..MaxID bytes; idempotent by (client, task) while the lease lives
	Tags      []byte // raw msgpack array of strings, checked by the decoder; empty means none
	Priority  int32  // [-MaxPriority, MaxPriority]
	Owner     []byte
	Group     []byte
	Resources []byte // raw msgpack map from name to amount, checked by the decoder; empty for none
	TTLMS     uint32 // 0: the scheduler's start TTL; else at most MaxTTL

	Selector   []byte // expression over the worker's tags beside Tags, at most MaxSelector bytes; see package selector
	Prefer     []byte // expression: workers for which it holds are chosen first, if any fits
	NotWorkers []byte // raw msgpack array of at most MaxNotWorkers worker ids that must not be chosen, checked by the decoder; see EachWorker
	Exclusive  bool   // take a whole idle worker
	Policy     []byte // id of a placement policy; empty for least-loaded
	SpreadBy   []byte // tag key over whose values the policy spread spreads, at most MaxTag bytes
	WaitMS     uint32 // how long to wait for room, at most MaxWait; 0: not at all. Of a gang the first task's counts

	Preempt        bool      // if it finds no room, tasks of a lower priority make it; WaitMS must be the scheduler's grace at least
	OnPreempt      OnPreempt // what becomes of the task when it must make room itself
	WaitForWorkers bool      // with WaitMS: wait also while no known worker could take it

	// Key replaces the task id as the key of idempotency. It is not on the
	// wire: the HTTP gateway sets it from the header Idempotency-Key.
	Key []byte
}

// Flags of Placed.
const (
	PlacedRepeat     = 1 << 0 // the task held this lease already
	PlacedBegun      = 1 << 1 // and it has begun
	PlacedAskedBack  = 1 << 2 // and it was asked back: the agent decides
	PlacedBestEffort = 1 << 3 // the worker speaks HTTP: the room is a heuristic
)

// Placed answers Schedule with a lease.
type Placed struct {
	Lease       LeaseID
	Target      []byte // raw msgpack of two strings, the worker's id and address; see AppendTarget and ReadTarget
	Incarnation uint64 // of the worker the lease was granted to; Begin names it
	TTLMS       uint32 // how long the lease lives without a renewal
	Flags       uint8
	Devices     uint64 // the GPU devices that the lease takes: bit i stands for the worker's device i
}

// Batch is N tasks in one frame, each judged for itself unless AllOrNone.
type Batch struct {
	Tasks     []Schedule
	AllOrNone bool // a gang: all are placed in one decision, or none
	Distinct  bool // of a gang: no two on one worker
}

// BatchResult is the answer for one task of a batch: a placement, or a code.
type BatchResult struct {
	Code    Code
	Placed  Placed // set if Code is CodeOK
	Message string // else a sentence for people, where the code alone does not say all; see Sentence
}

// PlacedAll answers Batch, in order.
type PlacedAll struct {
	Results      []BatchResult
	RetryAfterMS uint32 // when a repeat of those that were refused makes sense, or 0
}

// Renew keeps leases that have not begun.
type Renew struct {
	Leases []LeaseID
}

// LeaseStatus is the answer for one renewed lease.
type LeaseStatus struct {
	State  State
	Reason Reason // set if State is StateEnded
}

// Renewed answers Renew, in order.
type Renewed struct {
	Leases []LeaseStatus
}

// Release gives a lease back before it began.
type Release struct {
	Lease  LeaseID
	Handed bool // a begin was sent at least once: the lease is asked back instead of ended
}

// Released answers Release. Code is CodeOK, CodeAskedBack, CodeBegun,
// CodeAlreadyEnded or CodeNotFound.
type Released struct {
	Code   Code
	Reason Reason // set if Code is CodeAlreadyEnded
}

// Register announces a worker and everything it holds. Fields: worker,
// address, incarnation, seq, tags, slots, external, resources, epoch,
// instance, leases, devices, beats, machine. The last three may be missing.
type Register struct {
	Worker      string
	Address     string
	Incarnation uint64 // random, never 0
	Seq         uint32 // the report counter of this incarnation, grows with each report
	Tags        []string
	Slots       uint32 // max_tasks
	External    uint32 // tasks that run outside any lease
	Resources   map[string]int64
	Promised    Grantor
	Leases      []Record
	Devices     []Device // its GPUs, at most MaxDevices; leases name them by their place here
	Beats       uint32   // number of the last Beat that the incarnation sent, 0 for none; see BeatSkip
	Machine     uint64   // tells machines with the same worker id apart; 0: not known
}

// Device is one GPU of a worker. Fields: model, memory, uuid, missing. Missing
// may be missing.
type Device struct {
	Model   string // text of at most MaxModel bytes, may be empty
	Memory  int64  // MiB, at most MaxAmount; 0 if it is not known: then no share of it can be taken
	UUID    string // id of at most MaxID bytes, may be empty
	Missing bool   // it is gone, or its number is not sure: leases keep it, and nothing new gets it
}

// Registered answers Register. The agent promises the grantor and says so
// with Promised on the same connection.
type Registered struct {
	Handle      uint32 // names the worker in later messages of this connection
	Grantor     Grantor
	HeartbeatMS uint32
}

// Promised makes a worker eligible.
type Promised struct {
	Handle  uint32
	Grantor Grantor
}

// Heartbeat reports that a worker lives, and its external load. It is not
// answered.
type Heartbeat struct {
	Handle   uint32
	Seq      uint32
	External uint32
}

// Begun reports that the task of a lease runs. It also answers Revoke when the
// task runs already.
type Begun struct {
	Handle uint32
	Seq    uint32
	Record Record
}

// End reports that the task of a lease is over, or was refused. Repeated until
// Ended answers it.
type End struct {
	Handle  uint32
	Seq     uint32
	Lease   LeaseID
	Outcome Reason
}

// Ended acknowledges End.
type Ended struct{}

// Revoke asks a lease back.
type Revoke struct {
	Handle uint32
	Lease  LeaseID
}

// Preempt tells a worker that a task which runs must make room. It has no
// answer but the end of the task.
type Preempt struct {
	Handle  uint32
	Lease   LeaseID
	GraceMS uint32 // how long it may go on, at most MaxGrace; 0: it is to be killed now
	Reason  string // why, for people; at most MaxReason bytes
}

// Revoked answers Revoke: the lease has not begun and never will.
type Revoked struct {
	Handle uint32
	Seq    uint32
	Lease  LeaseID
}

// Superseded tells an agent that its incarnation is void. A living agent draws
// a new one and registers again.
type Superseded struct {
	Worker      string
	Incarnation uint64
}

// Deregister removes a worker. Its leases end as lost.
type Deregister struct {
	Handle uint32
	Seq    uint32
}

// Gone acknowledges Deregister.
type Gone struct{}

func (*Hello) Kind() Kind      { return KindHello }
func (*HelloOK) Kind() Kind    { return KindHelloOK }
func (*Error) Kind() Kind      { return KindError }
func (*Ping) Kind() Kind       { return KindPing }
func (*Pong) Kind() Kind       { return KindPong }
func (*Schedule) Kind() Kind   { return KindSchedule }
func (*Placed) Kind() Kind     { return KindPlaced }
func (*Batch) Kind() Kind      { return KindBatch }
func (*PlacedAll) Kind() Kind  { return KindPlacedAll }
func (*Renew) Kind() Kind      { return KindRenew }
func (*Renewed) Kind() Kind    { return KindRenewed }
func (*Release) Kind() Kind    { return KindRelease }
func (*Released) Kind() Kind   { return KindReleased }
func (*Register) Kind() Kind   { return KindRegister }
func (*Registered) Kind() Kind { return KindRegistered }
func (*Promised) Kind() Kind   { return KindPromised }
func (*Heartbeat) Kind() Kind  { return KindHeartbeat }
func (*Begun) Kind() Kind      { return KindBegun }
func (*End) Kind() Kind        { return KindEnd }
func (*Ended) Kind() Kind      { return KindEnded }
func (*Revoke) Kind() Kind     { return KindRevoke }
func (*Revoked) Kind() Kind    { return KindRevoked }
func (*Preempt) Kind() Kind    { return KindPreempt }
func (*Superseded) Kind() Kind { return KindSuperseded }
func (*Deregister) Kind() Kind { return KindDeregister }
func (*Gone) Kind() Kind       { return KindGone }
