package wire

// Register announces a worker and everything it holds.
type Register struct {
	Worker      string           `wire:"worker id"`               // id, 1 to MaxID bytes
	Address     string           `wire:"address address"`         // host:port of at most MaxAddress bytes, see AddressProblem
	Incarnation uint64           `wire:"incarnation incarnation"` // random, never 0
	Seq         uint32           `wire:"seq uint32"`              // the report counter of this incarnation, grows with each report
	Tags        []string         `wire:"tags tags64"`             // at most MaxWorkerTags of 1 to MaxTag bytes
	Slots       uint32           `wire:"slots slots"`             // max_tasks
	External    uint32           `wire:"external uint32"`         // tasks that run outside any lease
	Resources   map[string]int64 `wire:"resources resources"`     // amounts in [0, MaxAmount], at most MaxResources names
	Promised    Grantor          `wire:"inline"`                  // the grantor that it promised last; zero: none
	Leases      []Record         `wire:"leases records"`          // all that run, and those whose end was not acknowledged; at most MaxWorkerLeases
	Devices     []Device         `wire:"devices devices?"`        // its GPUs, at most MaxDevices; leases name them by their place here
	Beats       uint32           `wire:"beats uint32?"`           // number of the last Beat that the incarnation sent, 0 for none; see BeatSkip
	Machine     uint64           `wire:"machine uint64?"`         // tells machines with the same worker id apart; 0: not known
}

func (*Register) Kind() Kind                                 { return KindRegister }
func (m *Register) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Device is one GPU of a worker.
type Device struct {
	Model   string `wire:"model model"`   // text of at most MaxModel bytes, may be empty
	Memory  int64  `wire:"memory amount"` // MiB, at most MaxAmount; 0 if it is not known: then no share of it can be taken
	UUID    string `wire:"uuid id0"`      // id of at most MaxID bytes, may be empty
	Missing bool   `wire:"missing bool?"` // it is gone, or its number is not sure: leases keep it, and nothing new gets it
}

// Registered answers Register. The agent promises the grantor and says so with
// Promised on the same connection.
type Registered struct {
	Handle      uint32  `wire:"handle uint32"`       // names the worker in later messages of this connection
	Grantor     Grantor `wire:"inline"`              // the grantor to promise
	HeartbeatMS uint32  `wire:"heartbeat_ms uint32"` // milliseconds between reports
}

func (*Registered) Kind() Kind                                 { return KindRegistered }
func (m *Registered) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Promised makes a worker eligible.
type Promised struct {
	Handle  uint32  `wire:"handle uint32"`
	Grantor Grantor `wire:"inline"`
}

func (*Promised) Kind() Kind { return KindPromised }

func readPromised(d *Decoder, _ int) Message {
	r := &d.r
	d.promised = Promised{
		Handle:  r.uint32("handle"),
		Grantor: Grantor{Epoch: r.uint32("epoch"), Instance: r.uint32("instance")},
	}
	return &d.promised
}

func (m *Promised) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 3, KindPromised, request), uint64(m.Handle))
	dst = appendUint(dst, uint64(m.Grantor.Epoch))
	return appendUint(dst, uint64(m.Grantor.Instance))
}

// Superseded tells an agent that its incarnation is void. A living agent draws
// a new one and registers again.
type Superseded struct {
	Worker      string `wire:"worker id"`
	Incarnation uint64 `wire:"incarnation incarnation"`
}

func (*Superseded) Kind() Kind                                 { return KindSuperseded }
func (m *Superseded) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Deregister removes a worker. Its leases end as lost.
type Deregister struct {
	Handle uint32 `wire:"handle uint32"`
	Seq    uint32 `wire:"seq uint32"`
}

func (*Deregister) Kind() Kind                                 { return KindDeregister }
func (m *Deregister) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Gone acknowledges Deregister.
type Gone struct{}

func (*Gone) Kind() Kind                                 { return KindGone }
func (m *Gone) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }
