package ledger

import (
	"errors"
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

var rewrite = flag.Bool("rewrite", false, "write what the scripts printed into testdata")

// TestScripts runs testdata/*.txt: blocks of commands, a line of dashes, and
// what they print. A lease is written epoch/instance/counter or, of the grantor
// named last, as its counter alone.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { runScript(t, path) })
	}
}

func runScript(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var got strings.Builder
	s := &script{t: t}
	for block := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		if got.Len() > 0 {
			got.WriteString("\n")
		}
		got.WriteString(commands + "\n")
		if strings.HasPrefix(commands, "#") && !strings.Contains(commands, "\n") {
			continue
		}
		got.WriteString("----\n")
		for line := range strings.SplitSeq(commands, "\n") {
			if !strings.HasPrefix(line, "#") {
				got.WriteString(s.run(line))
			}
		}
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
		return
	}
	require.Equal(t, string(text), got.String())
}

// script is one ledger, driven by lines.
type script struct {
	t       *testing.T
	l       *Ledger
	grantor wire.Grantor
	lastInc uint64
	lastSeq uint32
}

func (s *script) run(line string) string {
	words := strings.Fields(line)
	var args []string
	set := map[string]string{}
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			set[k] = v
		} else {
			args = append(args, w)
		}
	}
	if words[0] == "worker" {
		slots, memory := s.number(set["slots"]), s.number(set["memory"])
		s.l = New(Config{Worker: "w1", Address: "h:1", Slots: uint32(slots), Incarnation: 1, Memory: int(memory)})
		s.lastInc, s.lastSeq = 0, 0
		return ""
	}
	out := s.command(words[0], args, set)
	require.NoError(s.t, s.l.Check(), line)
	return out
}

func (s *script) command(name string, args []string, set map[string]string) string {
	l := s.l
	switch name {
	case "register":
		return s.print(l.Register())
	case "registered":
		s.grantor = s.parseGrantor(args[0])
		out, ok := l.Registered(&wire.Registered{Handle: 3, Grantor: s.grantor})
		if !ok {
			return "answer refused\n"
		}
		return s.print(out...)
	case "begin":
		return s.begin(args[0], set)
	case "end":
		m, err := l.End(s.lease(args[0]), outcomes[args[1]])
		return s.result(m, err)
	case "ended":
		l.Ended(s.lease(args[0]))
		return ""
	case "revoke":
		return s.print(l.Revoke(s.lease(args[0])))
	case "resend":
		var out []wire.Message
		for _, m := range l.Resend() {
			out = append(out, m)
		}
		return s.print(out...)
	case "heartbeat":
		return s.print(l.Heartbeat(uint32(s.number(args[0]))))
	case "beat":
		b := l.Beat(uint32(s.number(args[0])))
		return fmt.Sprintf("beat worker=%s incarnation=%d seq=%d external=%d digest=%016x\n", b.Worker, b.Incarnation, b.Seq, b.External, b.Digest)
	case "external":
		l.SetExternal(uint32(s.number(args[0])))
		return ""
	case "superseded":
		l.Superseded(s.number(args[0]))
		return ""
	case "disconnected":
		l.Disconnected()
		return ""
	case "deregister":
		return s.print(l.Deregister())
	case "announce":
		l.Announce([]string{"gpu"}, uint32(s.number(set["slots"])), nil)
		return ""
	case "restart":
		return s.restart(set["list"] == "yes")
	case "show":
		return fmt.Sprintf("incarnation=%d promised=%v running=%d unacknowledged=%d refusals=%d connected=%v memory_full=%v\n",
			l.Incarnation(), l.Promised(), l.Running(), l.Unacknowledged(), l.Refusals(), l.Connected(), l.MemoryFull())
	}
	s.t.Fatalf("unknown command %q", name)
	return ""
}

// begin offers a lease, by default rightly addressed, from the caller p.
func (s *script) begin(lease string, set map[string]string) string {
	h := &wire.Handover{Lease: s.lease(lease), Worker: "w1", Incarnation: s.l.Incarnation(), Task: "t" + lease, Client: "c"}
	caller := "p"
	if v, ok := set["worker"]; ok {
		h.Worker = v
	}
	if v, ok := set["inc"]; ok {
		h.Incarnation = s.number(v)
	}
	if v, ok := set["caller"]; ok {
		caller = v
	}
	m, err := s.l.Begin(h, caller)
	if errors.Is(err, ErrFull) {
		return "error: " + err.Error() + "\n" + s.print(s.l.Refused())
	}
	return s.result(m, err)
}

// restart is a new process: its ledger has the old one's leases or none.
func (s *script) restart(list bool) string {
	old := s.l
	s.l = New(old.cfg)
	s.l.cfg.Incarnation = old.Incarnation() + 1
	if list {
		for r, caller := range old.All() {
			require.NoError(s.t, s.l.Restore(*r, caller))
		}
	}
	return ""
}

func (s *script) result(m wire.Message, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return s.print(m)
}

func (s *script) print(messages ...wire.Message) string {
	var b strings.Builder
	for _, m := range messages {
		text, seq := show(m)
		b.WriteString(text + "\n")
		if seq == 0 {
			continue
		}
		if s.lastInc == s.l.Incarnation() {
			require.Greater(s.t, seq, s.lastSeq, "the report number must grow")
		}
		s.lastInc, s.lastSeq = s.l.Incarnation(), seq
	}
	return b.String()
}

// show prints a report and returns its number, 0 if it has none.
func show(m wire.Message) (string, uint32) {
	switch m := m.(type) {
	case *wire.Register:
		text := fmt.Sprintf("register incarnation=%d seq=%d promised=%v slots=%d external=%d", m.Incarnation, m.Seq, m.Promised, m.Slots, m.External)
		for i := range m.Leases {
			r := &m.Leases[i]
			text += fmt.Sprintf(" %s:%s:%s", short(r.Lease), r.Task, outcomeName(r.Outcome))
		}
		return text, m.Seq
	case *wire.Promised:
		return fmt.Sprintf("promised handle=%d %v", m.Handle, m.Grantor), 0
	case *wire.Begun:
		if m != nil {
			return fmt.Sprintf("begun handle=%d seq=%d %s:%s", m.Handle, m.Seq, short(m.Record.Lease), m.Record.Task), m.Seq
		}
	case *wire.End:
		if m != nil {
			return fmt.Sprintf("end handle=%d seq=%d %s:%s", m.Handle, m.Seq, short(m.Lease), outcomeName(m.Outcome)), m.Seq
		}
	case *wire.Revoked:
		return fmt.Sprintf("revoked handle=%d seq=%d %s", m.Handle, m.Seq, short(m.Lease)), m.Seq
	case *wire.Heartbeat:
		if m != nil {
			return fmt.Sprintf("heartbeat handle=%d seq=%d external=%d", m.Handle, m.Seq, m.External), m.Seq
		}
	case *wire.Deregister:
		if m != nil {
			return fmt.Sprintf("deregister handle=%d seq=%d", m.Handle, m.Seq), m.Seq
		}
	}
	return "no report", 0
}

var outcomes = map[string]wire.Reason{
	"none": wire.ReasonNone, "ok": wire.ReasonOK, "failed": wire.ReasonFailed,
	"refused": wire.ReasonRefused, "lost": wire.ReasonLost, "revoked": wire.ReasonRevoked,
}

func outcomeName(r wire.Reason) string {
	for name, v := range outcomes {
		if v == r {
			return name
		}
	}
	return "?"
}

func short(id wire.LeaseID) string {
	return fmt.Sprintf("%d/%d/%d", id.Epoch, id.Instance, id.Counter)
}

func (s *script) number(text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(s.t, err)
	return n
}

func (s *script) parseGrantor(text string) wire.Grantor {
	epoch, instance, ok := strings.Cut(text, "/")
	require.True(s.t, ok, "a grantor is epoch/instance: %q", text)
	return wire.Grantor{Epoch: uint32(s.number(epoch)), Instance: uint32(s.number(instance))}
}

func (s *script) lease(text string) wire.LeaseID {
	g, counter := s.grantor, text
	if i := strings.LastIndexByte(text, '/'); i > 0 {
		g, counter = s.parseGrantor(text[:i]), text[i+1:]
	}
	return wire.LeaseID{Epoch: g.Epoch, Instance: g.Instance, Counter: s.number(counter)}
}
