package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// patience bounds every wait of the tests.
const patience = 30 * time.Second

// seedOf returns the seed of a random test, and how to repeat the run.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("DTASK_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("repeat with DTASK_SEED=%d go test ./server -run '^%s$'", seed, t.Name())
	return seed
}

// logBuffer is a log that a test can read while it is written.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fixture is a running server on free ports.
type fixture struct {
	*Server
	t   *testing.T
	log *logBuffer
}

// start runs a server whose configuration was changed by tune, and ends it with
// the test.
func start(t *testing.T, tune ...func(*Config)) *fixture {
	t.Helper()
	f := prepare(t, tune...)
	require.NoError(t, f.Start())
	return f
}

// prepare returns a server that is not started yet.
func prepare(t *testing.T, tune ...func(*Config)) *fixture {
	t.Helper()
	log := new(logBuffer)
	cfg := DefaultConfig()
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.MaxConnections = 512
	cfg.Sched.Learning = false
	cfg.Sched.Heartbeat = 60_000 // agents of tests are silent, and a machine may be slow
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	for _, f := range tune {
		f(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill()
		s.core.mu.Lock()
		defer s.core.mu.Unlock()
		require.NoError(t, s.core.state.Check())
	})
	return &fixture{Server: s, t: t, log: log}
}

// grantor returns under what name the scheduler grants.
func (f *fixture) grantor() wire.Grantor {
	f.core.mu.Lock()
	defer f.core.mu.Unlock()
	return f.core.state.Grantor()
}

// peer is a connection of the native protocol, one frame at a time.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   []byte
	dec  wire.Decoder
}

// connect opens a connection without hello.
func (f *fixture) connect() *peer {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.Addr(), patience)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(f.t, conn.SetDeadline(time.Now().Add(patience)))
	return &peer{t: f.t, conn: conn}
}

func helloOf(client string) *wire.Hello {
	return &wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleClient, Client: client}
}

// dial opens a connection and says hello.
func (f *fixture) dial(client string) *peer {
	f.t.Helper()
	p := f.connect()
	p.send(1, helloOf(client))
	_, m := p.read()
	require.IsType(f.t, &wire.HelloOK{}, m)
	return p
}

func (p *peer) send(request uint64, m wire.Message) {
	p.t.Helper()
	p.raw(wire.Append(nil, request, m))
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	_, err := p.conn.Write(b)
	require.NoError(p.t, err)
}

// next returns the next message, or the error that ended the connection.
func (p *peer) next() (uint64, wire.Message, error) {
	for {
		frame, n, err := wire.Split(p.in, 16<<20)
		if err != nil {
			return 0, nil, err
		}
		if frame != nil {
			p.in = p.in[n:]
			m, request, err := p.dec.Decode(frame)
			return request, m, err
		}
		buf := make([]byte, 64<<10)
		n, err = p.conn.Read(buf)
		if n == 0 && err != nil {
			return 0, nil, err
		}
		p.in = append(p.in, buf[:n]...)
	}
}

func (p *peer) read() (uint64, wire.Message) {
	p.t.Helper()
	request, m, err := p.next()
	require.NoError(p.t, err)
	return request, m
}

// ask sends one request and returns its answer.
func (p *peer) ask(request uint64, m wire.Message) wire.Message {
	p.t.Helper()
	p.send(request, m)
	got, answer := p.read()
	require.Equal(p.t, request, got)
	return answer
}

// refusal expects an error as the next message.
func (p *peer) refusal(code wire.Code) *wire.Error {
	p.t.Helper()
	_, m := p.read()
	e, ok := m.(*wire.Error)
	require.Truef(p.t, ok, "%T %+v", m, m)
	require.Equal(p.t, code, e.Code, e.Error())
	clone := *e
	return &clone
}

// closed expects the end of the connection, with nothing before it.
func (p *peer) closed() {
	p.t.Helper()
	_, m, err := p.next()
	require.Nil(p.t, m)
	require.Error(p.t, err)
	require.NotErrorIs(p.t, err, os.ErrDeadlineExceeded, "the connection did not close")
}

// alive expects that the connection works.
func (p *peer) alive() {
	p.t.Helper()
	require.IsType(p.t, &wire.Pong{}, p.ask(77, &wire.Ping{}))
}

// agent is a worker that speaks leases, registered and promised.
type agent struct {
	*peer
	handle uint32
	seq    uint32
}

func (f *fixture) agent(id string, slots uint32, tags ...string) *agent {
	f.t.Helper()
	return f.equipped(wire.Register{Worker: id, Tags: tags, Slots: slots})
}

// equipped is agent for a worker with resources and devices.
func (f *fixture) equipped(m wire.Register) *agent {
	f.t.Helper()
	m.Address, m.Incarnation, m.Seq = m.Worker+":1", 7, 1
	p := f.dial(m.Worker)
	answer := p.ask(2, &m)
	r, ok := answer.(*wire.Registered)
	require.Truef(f.t, ok, "%T %+v", answer, answer)
	a := &agent{peer: p, handle: r.Handle, seq: 1}
	p.send(0, &wire.Promised{Handle: r.Handle, Grantor: r.Grantor})
	a.alive()
	return a
}

// gpus is a worker with two devices of 40 and 80 GiB.
func gpus(id string, tags ...string) wire.Register {
	return wire.Register{
		Worker: id, Slots: 8, Tags: tags, Resources: map[string]int64{"cpu": 8_000, "mem": 65_536},
		Devices: []wire.Device{{Model: "A100", Memory: 40_960, UUID: "GPU-0-" + id}, {Model: "H100", Memory: 81_920, UUID: "GPU-1-" + id}},
	}
}

func task(id string, tags ...string) *wire.Schedule {
	m := &wire.Schedule{Task: []byte(id)}
	if len(tags) > 0 {
		m.Tags = wire.AppendTags(nil, tags)
	}
	return m
}

// placed expects that an answer is a placement, and returns a copy of it.
func placed(t *testing.T, m wire.Message) wire.Placed {
	t.Helper()
	p, ok := m.(*wire.Placed)
	require.Truef(t, ok, "%T %+v", m, m)
	c := *p
	c.Target = bytes.Clone(p.Target)
	return c
}

// answer is an answer of the HTTP API.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes one HTTP request.
func (f *fixture) call(method, path, body string, header ...string) answer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+f.HTTPAddr()+path, strings.NewReader(body))
	require.NoError(f.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(f.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	return answer{res.StatusCode, res.Header, string(b)}
}

// beat sends one HTTP heartbeat.
func (f *fixture) beat(id string, slots, current int, tags ...string) {
	f.t.Helper()
	address := id + ":1"
	if wire.AddressProblem(address) != "" {
		address = "h:1"
	}
	body, err := json.Marshal(map[string]any{"worker_id": id, "address": address,
		"resource_tags": tags, "max_tasks": slots, "current_tasks": current, "timestamp": 1})
	require.NoError(f.t, err)
	a := f.call("POST", "/api/v1/heartbeat", string(body))
	require.Equal(f.t, 200, a.status, a.body)
}

// listed is one row of the list of workers.
type listed struct {
	WorkerID, Address, Status, LastHeartbeat string
	ResourceTags                             []string
	MaxTasks, CurrentTasks, Available        int
}

func (f *fixture) list(query string) []listed {
	f.t.Helper()
	a := f.call("GET", "/api/v1/workers"+query, "")
	require.Equal(f.t, 200, a.status, a.body)
	var rows []listed
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &rows))
	require.NotNil(f.t, rows)
	return rows
}

// eventually waits until ok holds.
func eventually(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, patience, 5*time.Millisecond, what)
}

// short sets the times of worker states to a few hundred milliseconds.
func short(c *Config) {
	c.Sched.Heartbeat = 50
	c.Sched.Suspicious = sched.Time(300)
	c.Sched.Offline = sched.Time(600)
}
