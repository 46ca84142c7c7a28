package wire

// Role says what a connection is for.
type Role uint8

// The roles.
const (
	RoleClient Role = 1
	RoleAgent  Role = 2
)

var roleNames = [...]string{
	RoleClient: "client",
	RoleAgent:  "agent",
}

// String returns the role's name.
func (r Role) String() string { return name(roleNames[:], int(r), "role_") }

// Hello is the first frame of a connection.
type Hello struct {
	MinVersion uint16   `wire:"min_version uint16"` // lowest protocol version that the peer speaks
	MaxVersion uint16   `wire:"max_version uint16"` // highest
	Role       Role     `wire:"role role"`          // RoleClient or RoleAgent
	Client     string   `wire:"client id0"`         // client id, scope of the idempotency of task ids; the agent's worker id for RoleAgent
	Token      string   `wire:"token token"`        // empty without authentication
	Features   []string `wire:"features features"`  // what the peer can do beyond the version, at most 32
}

func (*Hello) Kind() Kind                                 { return KindHello }
func (m *Hello) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// HelloOK answers Hello.
type HelloOK struct {
	Version     uint16            `wire:"version uint16"`      // the highest that both ends speak
	Server      string            `wire:"server text"`         // the scheduler's version, for display
	Grantor     Grantor           `wire:"inline"`              // this scheduler's epoch and instance
	HeartbeatMS uint32            `wire:"heartbeat_ms uint32"` // how often an agent should report
	StartTTLMS  uint32            `wire:"start_ttl_ms uint32"` // how long a lease that has not begun lives after its last renewal
	Limits      map[string]uint64 `wire:"limits counts"`       // by name, as docs/protocol.md lists them
}

func (*HelloOK) Kind() Kind                                 { return KindHelloOK }
func (m *HelloOK) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// Ping asks for a Pong.
type Ping struct{}

func (*Ping) Kind() Kind { return KindPing }

// Pong answers Ping.
type Pong struct{}

func (*Pong) Kind() Kind { return KindPong }

func (*Ping) append(dst []byte, request uint64) []byte { return appendHead(dst, 0, KindPing, request) }

func (*Pong) append(dst []byte, request uint64) []byte { return appendHead(dst, 0, KindPong, request) }
