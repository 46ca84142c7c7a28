package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dtask/dtask-scheduler/wire"
)

// twin says what a ledger must do, from whole sets and without shortcuts.
type twin struct {
	incarnation uint64
	promised    wire.Grantor
	slots       int
	external    int
	memory      int
	asked       bool
	known       bool
	running     map[wire.LeaseID]string
	open        map[wire.LeaseID]wire.Reason // ends that are not acknowledged
	never       map[wire.LeaseID]bool        // will not begin in this incarnation
	listed      map[wire.LeaseID]wire.Reason // what the last Register said
	refusals    int
}

func (w *twin) begin(h *wire.Handover, caller string) error {
	holder, runs := w.running[h.Lease]
	switch {
	case runs && holder == caller:
		return nil
	case runs:
		return ErrOtherCaller
	case w.never[h.Lease]:
		return ErrEnded
	case h.Incarnation != w.incarnation:
		return ErrOldIncarnation
	case w.promised == wire.Grantor{}:
		return ErrNotPromised
	case h.Lease.Instance != w.promised.Instance:
		return ErrOtherInstance
	case len(w.never) >= w.memory:
		return ErrMemoryFull
	case len(w.running)+w.external >= w.slots:
		w.refusals++
		w.never[h.Lease] = true
		w.open[h.Lease] = wire.ReasonRefused
		return ErrFull
	}
	w.running[h.Lease] = caller
	return nil
}

func (w *twin) register() {
	w.asked, w.known = true, false
	w.listed = map[wire.LeaseID]wire.Reason{}
	for id := range w.running {
		w.listed[id] = wire.ReasonNone
	}
	for id, outcome := range w.open {
		w.listed[id] = outcome
	}
}

// registered returns what must be reported before the promise, in any order.
func (w *twin) registered(g wire.Grantor) (reports []string, ok bool) {
	newer := g.Epoch > w.promised.Epoch || g == w.promised
	if !w.asked || g.Instance == 0 || !newer {
		return nil, false
	}
	w.asked, w.known, w.promised = false, true, g
	for id := range w.running {
		if _, listed := w.listed[id]; !listed {
			reports = append(reports, "begun "+short(id))
		}
	}
	for id, outcome := range w.open {
		if was, listed := w.listed[id]; listed && was != wire.ReasonNone {
			delete(w.open, id)
		} else {
			reports = append(reports, "end "+short(id)+" "+outcomeName(outcome))
		}
	}
	slices.Sort(reports)
	return reports, true
}

// pair drives a ledger and its twin with the same drawn calls.
type pair struct {
	l       *Ledger
	w       twin
	lastInc uint64
	lastSeq uint32
	beats   uint32 // datagrams of the incarnation
}

const twinMemory = 6

func newPair() *pair {
	return &pair{
		l: New(Config{Worker: "w1", Slots: 2, Incarnation: 1, Memory: twinMemory}),
		w: twin{
			incarnation: 1, slots: 2, memory: twinMemory,
			running: map[wire.LeaseID]string{}, open: map[wire.LeaseID]wire.Reason{}, never: map[wire.LeaseID]bool{},
		},
	}
}

func drawLease(t *rapid.T) wire.LeaseID {
	return wire.LeaseID{
		Epoch:    rapid.Uint32Range(1, 2).Draw(t, "epoch"),
		Instance: rapid.Uint32Range(7, 8).Draw(t, "instance"),
		Counter:  rapid.Uint64Range(1, 5).Draw(t, "counter"),
	}
}

// sent requires that a report leaves exactly while the worker is connected, and
// that its number grows.
func (p *pair) sent(t *rapid.T, m wire.Message, want string) {
	text, seq := show(m)
	if seq == 0 {
		require.False(t, p.w.known, "no %s was sent", want)
		return
	}
	require.True(t, p.w.known, "%s was sent without a connection", text)
	require.True(t, strings.HasPrefix(text, want), "%q is not a %q", text, want)
	p.grows(t, seq)
}

func (p *pair) grows(t *rapid.T, seq uint32) {
	if p.lastInc == p.w.incarnation {
		require.Greater(t, seq, p.lastSeq)
	}
	p.lastInc, p.lastSeq = p.w.incarnation, seq
}

func (p *pair) begin(t *rapid.T) {
	id := drawLease(t)
	caller := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "caller")
	incarnation := p.w.incarnation
	if rapid.IntRange(0, 9).Draw(t, "old") == 0 {
		incarnation--
	}
	_, again := p.w.running[id]
	h := &wire.Handover{Lease: id, Worker: "w1", Incarnation: incarnation, Task: "t"}
	m, err := p.l.Begin(h, caller)
	want := p.w.begin(h, caller)
	require.ErrorIs(t, err, want)
	switch {
	case want == ErrFull:
		p.sent(t, p.l.Refused(), "end ")
	case want != nil || again:
		require.Nil(t, m)
	default:
		p.sent(t, m, "begun ")
	}
}

func (p *pair) end(t *rapid.T) {
	id := drawLease(t)
	outcome := rapid.SampledFrom([]wire.Reason{wire.ReasonNone, wire.ReasonOK, wire.ReasonLost, wire.ReasonRevoked}).Draw(t, "outcome")
	m, err := p.l.End(id, outcome)
	_, runs := p.w.running[id]
	switch {
	case outcome == wire.ReasonNone || outcome == wire.ReasonRevoked:
		require.ErrorIs(t, err, ErrOutcome)
	case !runs:
		require.ErrorIs(t, err, ErrNotRunning)
	default:
		require.NoError(t, err)
		delete(p.w.running, id)
		p.w.never[id], p.w.open[id] = true, outcome
		p.sent(t, m, "end ")
	}
}

func (p *pair) ended(t *rapid.T) {
	id := drawLease(t)
	p.l.Ended(id)
	delete(p.w.open, id)
}

func (p *pair) revoke(t *rapid.T) {
	id := drawLease(t)
	m := p.l.Revoke(id)
	_, runs := p.w.running[id]
	switch {
	case runs:
		p.sent(t, m, "begun ")
	case !p.w.never[id] && len(p.w.never) >= twinMemory:
		require.Nil(t, m)
	default:
		p.w.never[id] = true
		p.sent(t, m, "revoked ")
	}
}

func (p *pair) register(t *rapid.T) {
	m := p.l.Register()
	p.w.register()
	got := map[wire.LeaseID]wire.Reason{}
	for i := range m.Leases {
		got[m.Leases[i].Lease] = m.Leases[i].Outcome
	}
	require.Equal(t, p.w.listed, got)
	require.Equal(t, p.w.promised, m.Promised)
	p.grows(t, m.Seq)
}

func (p *pair) registered(t *rapid.T) {
	g := wire.Grantor{Epoch: rapid.Uint32Range(1, 4).Draw(t, "epoch"), Instance: rapid.Uint32Range(7, 8).Draw(t, "instance")}
	out, ok := p.l.Registered(&wire.Registered{Handle: 1, Grantor: g})
	want, wantOK := p.w.registered(g)
	require.Equal(t, wantOK, ok)
	if !ok {
		return
	}
	require.Equal(t, &wire.Promised{Handle: 1, Grantor: g}, out[len(out)-1])
	var got []string
	for _, m := range out[:len(out)-1] {
		_, seq := show(m)
		p.grows(t, seq)
		switch m := m.(type) {
		case *wire.Begun:
			got = append(got, "begun "+short(m.Record.Lease))
		case *wire.End:
			got = append(got, "end "+short(m.Lease)+" "+outcomeName(m.Outcome))
		}
	}
	slices.Sort(got)
	require.Equal(t, want, got)
}

func (p *pair) superseded(*rapid.T) {
	p.w.incarnation++
	p.beats = 0
	p.l.Superseded(p.w.incarnation)
	p.w.promised, p.w.asked, p.w.known = wire.Grantor{}, false, false
	p.w.never = map[wire.LeaseID]bool{}
}

func (p *pair) disconnected(*rapid.T) {
	p.l.Disconnected()
	p.w.asked, p.w.known = false, false
}

func (p *pair) heartbeat(t *rapid.T) {
	p.w.external = rapid.IntRange(0, 2).Draw(t, "external")
	p.sent(t, p.l.Heartbeat(uint32(p.w.external)), "heartbeat ")
}

func (p *pair) beat(t *rapid.T) {
	p.w.external = rapid.IntRange(0, 2).Draw(t, "external")
	p.beats++
	want := &wire.Beat{Worker: []byte("w1"), Incarnation: p.w.incarnation, Seq: p.beats, External: uint32(p.w.external)}
	for id := range p.w.running {
		want.Digest ^= id.Digest()
	}
	require.Equal(t, want, p.l.Beat(uint32(p.w.external)))
	require.Equal(t, want.Digest, p.l.Digest())
}

func (p *pair) announce(t *rapid.T) {
	p.w.slots = rapid.IntRange(0, 4).Draw(t, "slots")
	p.l.Announce(nil, uint32(p.w.slots), nil)
}

// restart is a new process with the ledger's list.
func (p *pair) restart(t *rapid.T) {
	old := p.l
	p.superseded(t)
	p.l = New(Config{Worker: "w1", Slots: uint32(p.w.slots), Incarnation: p.w.incarnation, Memory: twinMemory})
	for r, caller := range old.All() {
		require.NoError(t, p.l.Restore(*r, caller))
	}
	p.w.external, p.w.refusals = 0, 0
}

func (p *pair) compare(t *rapid.T) {
	require.NoError(t, p.l.Check())
	require.Equal(t, len(p.w.running), p.l.Running())
	require.Equal(t, len(p.w.open), p.l.Unacknowledged())
	require.Equal(t, p.w.promised, p.l.Promised())
	require.Equal(t, p.w.refusals, p.l.Refusals())
	require.Equal(t, p.w.known, p.l.Connected())
	require.Equal(t, len(p.w.never) >= twinMemory, p.l.MemoryFull())
	for id := range p.w.running {
		require.True(t, p.l.Runs(id), fmt.Sprint(id))
	}
}

// TestTwin drives a ledger and its naive twin with random calls.
func TestTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPair()
		t.Repeat(map[string]func(*rapid.T){
			"":             p.compare,
			"begin":        p.begin,
			"beginAgain":   p.begin,
			"end":          p.end,
			"ended":        p.ended,
			"revoke":       p.revoke,
			"register":     p.register,
			"registered":   p.registered,
			"superseded":   p.superseded,
			"disconnected": p.disconnected,
			"heartbeat":    p.heartbeat,
			"beat":         p.beat,
			"announce":     p.announce,
			"restart":      p.restart,
		})
	})
}
