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
	MinVersion uint16   `wire:"min_version uint16"`
	MaxVersion uint16   `wire:"max_version uint16"`
	Role       Role     `wire:"role role"`
	Client     string   `wire:"client id0"`  // client id, scope of the idempotency of task ids; the agent's worker id for RoleAgent
	Token      string   `wire:"token token"` // empty without authentication
	Features   []string `wire:"features features"`
}

func (*Hello) Kind() Kind                                 { return KindHello }
func (m *Hello) append(dst []byte, request uint64) []byte { return appendCold(dst, request, m) }

// HelloOK answers Hello.
type HelloOK struct {
	Version     uint16            `wire:"version uint16"`
	Server      string            `wire:"server text"` // the scheduler's version, for display
	Grantor     Grantor           `wire:"inline"`
	HeartbeatMS uint32            `wire:"heartbeat_ms uint32"` // how often an agent should report
	StartTTLMS  uint32            `wire:"start_ttl_ms uint32"` // how long a lease that has not begun lives after its last renewal
	Limits      map[string]uint64 `wire:"limits counts"`
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
