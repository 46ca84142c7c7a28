package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into the scripts; read the difference before you keep it")

// TestScripts runs the scripts in testdata: blocks of commands, a line of
// dashes, and what the core answers. Every message is encoded, decoded and
// overwritten after it was applied, and every invariant is checked after each
// command.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			got := newScript(t).run(string(text))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			require.Equal(t, string(text), got)
		})
	}
}

// script is the state of one running script.
type script struct {
	t        *testing.T
	s        *State
	now      Time
	sessions map[string]Session
	names    map[Session]string
	leases   map[wire.LeaseID]string
	ids      map[string]wire.LeaseID
	seqs     map[string]uint32 // by worker and incarnation
	handles  map[string]uint32 // by session and worker
	incs     map[string]uint64 // by session and worker
	request  map[uint64]string // worker or task that a request spoke of
	lastReq  uint64
	out      Outbox
	dec      wire.Decoder
	print    strings.Builder
}

func newScript(t *testing.T) *script {
	c := &script{t: t, sessions: map[string]Session{}, names: map[Session]string{0: "http"},
		leases: map[wire.LeaseID]string{}, ids: map[string]wire.LeaseID{}, seqs: map[string]uint32{},
		handles: map[string]uint32{}, incs: map[string]uint64{}, request: map[uint64]string{}}
	c.start(7, nil)
	return c
}

// start begins a life of the scheduler.
func (c *script) start(instance uint32, args map[string]string) {
	cfg := DefaultConfig()
	cfg.Instance = instance
	cfg.Retention = 60_000
	cfg.Learning = args["learning"] != ""
	cfg.MaxOwnerLeases = int(c.num(args, "owner-leases", 0))
	cfg.MaxHTTPText = int(c.num(args, "http-text", int64(cfg.MaxHTTPText)))
	var err error
	c.s, err = New(cfg)
	require.NoError(c.t, err)
	c.sessions = map[string]Session{"http": 0}
}

func (c *script) run(text string) string {
	var b strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			b.WriteString("\n\n")
		}
		commands, _, has := strings.Cut(block, "\n----")
		b.WriteString(commands)
		c.print.Reset()
		for line := range strings.SplitSeq(commands, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				c.command(line)
				require.NoError(c.t, c.s.Check(), "after %q", line)
				f, _ := scanAll(c.s)
				require.Empty(c.t, f.Fault, "after %q", line)
			}
		}
		if has || c.print.Len() > 0 {
			b.WriteString("\n----\n" + strings.TrimRight(c.print.String(), "\n"))
		}
	}
	return b.String() + "\n"
}

// command is one line: a verb, words, and name=value pairs.
func (c *script) command(line string) {
	fields := strings.Fields(line)
	args, words := map[string]string{}, []string{}
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok && k != "" {
			args[k] = v
		} else {
			words = append(words, f)
		}
	}
	c.out.Reset()
	switch verb := fields[0]; verb {
	case "at":
		c.advance(words[0])
	case "close":
		c.s.Close(c.now, c.sessions[words[0]], &c.out)
	case "remove":
		fmt.Fprintf(&c.print, "removed: %v\n", c.s.RemoveWorker(c.now, words[0], &c.out))
	case "restart":
		c.start(uint32(c.num(args, "instance", 8)), args)
	case "learned":
		c.s.Learned()
	case "until":
		c.until(words)
	case "task":
		c.live(words, args)
	case "report":
		c.report(words[0], args)
	case "beat":
		c.beat(words[0], args)
	case "workers", "worker", "stats":
		c.show(verb, words, args)
	case "leases", "tags", "events", "history", "queue":
		c.showViews(verb, args)
	case "observe":
		c.observe()
	case "scan":
		c.scan()
	default:
		c.send(verb, words, args)
	}
	c.flush()
}

func (c *script) num(args map[string]string, name string, otherwise int64) int64 {
	v, ok := args[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	require.NoError(c.t, err)
	return n
}

func list(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// advance moves the clock to a time in seconds, pulsing when the core asks.
func (c *script) advance(to string) {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(to, "s"), 64)
	require.NoError(c.t, err)
	end := Time(seconds * 1000)
	require.GreaterOrEqual(c.t, end, c.now)
	for c.s.NextPulse() <= end {
		c.now = max(c.now, c.s.NextPulse())
		c.s.Pulse(c.now, &c.out)
	}
	c.now = end
}

func (c *script) report(id string, args map[string]string) {
	err := c.s.Report(c.now, &Report{
		Worker: id, Address: id + ":9000", Tags: list(args["tags"]),
		Slots: uint32(c.num(args, "slots", 4)), Current: uint32(c.num(args, "current", 0)), Timestamp: c.num(args, "ts", 0),
	}, &c.out)
	if err != nil {
		fmt.Fprintf(&c.print, "error %v\n", err)
	}
}

// apply sends one message through the codec.
func (c *script) apply(session string, m wire.Message) {
	c.lastReq++
	frame := wire.Append(nil, c.lastReq, m)
	body, _, err := wire.Split(frame, wire.MaxFrame)
	require.NoError(c.t, err)
	decoded, request, err := c.dec.Decode(body)
	require.NoError(c.t, err)
	c.s.Apply(c.now, c.sessions[session], request, decoded, &c.out)
	for i := range frame {
		frame[i] = 0xff
	}
}
