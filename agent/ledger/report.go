package ledger

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Register builds the registration: the worker, what runs, and the ends that
// are not acknowledged, in order of their ids. Until Registered no other report
// is built. Build the next one after the answer, or on another connection.
func (l *Ledger) Register() *wire.Register {
	l.Disconnected()
	l.asked = true
	m := &wire.Register{
		Worker:      l.cfg.Worker,
		Address:     l.cfg.Address,
		Incarnation: l.cfg.Incarnation,
		Seq:         l.next(),
		Tags:        l.cfg.Tags,
		Slots:       l.cfg.Slots,
		External:    l.external,
		Resources:   l.cfg.Resources,
		Devices:     l.cfg.Devices,
		Promised:    l.promised,
		Beats:       l.beats,
		Machine:     l.cfg.Machine,
	}
	if len(l.leases) > 0 {
		m.Leases = make([]wire.Record, 0, len(l.leases))
	}
	for _, e := range l.sorted() {
		e.listed = true
		m.Leases = append(m.Leases, e.record)
	}
	if l.skip && l.beats < maxSeq {
		l.beats += wire.BeatSkip
	}
	l.skip = false
	return m
}

// Registered reads the answer to Register. If it names a grantor that this
// worker may obey, the worker promises it, and the messages returned are to be
// sent now, in this order: what happened since Register, then Promised. false
// refuses the answer: it comes from an older scheduler, or no Register was
// built on this connection; the agent drops the connection.
func (l *Ledger) Registered(m *wire.Registered) ([]wire.Message, bool) {
	g, p := m.Grantor, l.promised
	if !l.asked || g.Instance == 0 || (g.Epoch <= p.Epoch && g != p) {
		return nil, false
	}
	l.asked, l.known = false, true
	l.handle, l.promised = m.Handle, g
	var out []wire.Message
	for _, e := range l.sorted() {
		over := e.record.Outcome != wire.ReasonNone
		switch {
		case e.listed && over:
			l.drop(e)
		case over:
			out = append(out, l.end(e))
		case !e.listed:
			out = append(out, l.begun(e))
		}
	}
	l.refused = nil
	return append(out, &wire.Promised{Handle: m.Handle, Grantor: g}), true
}

// Heartbeat notes how many tasks run outside any lease and builds the report.
// It is nil while the worker is not connected.
func (l *Ledger) Heartbeat(external uint32) *wire.Heartbeat {
	l.external = external
	if !l.known {
		return nil
	}
	return &wire.Heartbeat{Handle: l.handle, Seq: l.next(), External: external}
}

// Beat notes how many tasks run outside any lease and builds the heartbeat that
// travels as a datagram. It needs no connection and no handle; its numbers are
// the incarnation's own for datagrams. It shares no memory with the ledger.
func (l *Ledger) Beat(external uint32) *wire.Beat {
	l.external = external
	l.beats++
	return &wire.Beat{
		Worker:      []byte(l.cfg.Worker),
		Incarnation: l.cfg.Incarnation,
		Seq:         l.beats,
		External:    external,
		Digest:      l.digest,
	}
}

// SkipBeats has the next Register pass over numbers of beats, behind the one
// that it names, for a worker whose beats were not acknowledged: forged ones
// may have used them. See wire.BeatSkip.
func (l *Ledger) SkipBeats() { l.skip = true }

// Beats returns the number of the last beat.
func (l *Ledger) Beats() uint32 { return l.beats }

// End notes that a lease that runs is over. The report is to be sent now; it is
// nil while the worker is not connected. Errors are ErrNotRunning and
// ErrOutcome.
func (l *Ledger) End(id wire.LeaseID, outcome wire.Reason) (*wire.End, error) {
	if !outcome.IsOutcome() {
		return nil, ErrOutcome
	}
	e := l.leases[id]
	if e == nil || e.record.Outcome != wire.ReasonNone {
		return nil, ErrNotRunning
	}
	e.record.Outcome = outcome
	e.listed = false
	l.running--
	l.digest ^= id.Digest()
	l.ended.add(id)
	return l.end(e), nil
}

// Ended notes that the scheduler acknowledged the end of a lease.
func (l *Ledger) Ended(id wire.LeaseID) {
	if e := l.leases[id]; e != nil && e.record.Outcome != wire.ReasonNone {
		l.drop(e)
	}
}

// Resend builds again the reports of all ends that are not acknowledged, in
// order of their ids; none while the worker is not connected.
func (l *Ledger) Resend() []*wire.End {
	if !l.known || l.Unacknowledged() == 0 {
		return nil
	}
	var out []*wire.End
	for _, e := range l.sorted() {
		if e.record.Outcome != wire.ReasonNone {
			out = append(out, l.end(e))
		}
	}
	return out
}

// Revoke answers the scheduler's wish to have a lease back: with *wire.Begun if
// it runs, else with *wire.Revoked, and then it never begins. It is nil while
// the worker is not connected, and if the ledger cannot remember one more
// lease: then the registration of the next incarnation is the answer.
func (l *Ledger) Revoke(id wire.LeaseID) wire.Message {
	if e := l.leases[id]; e != nil && e.record.Outcome == wire.ReasonNone {
		if m := l.begun(e); m != nil {
			return m
		}
		return nil
	}
	if !l.ended.has(id) {
		if l.MemoryFull() {
			return nil
		}
		l.ended.add(id)
	}
	if !l.known {
		return nil
	}
	return &wire.Revoked{Handle: l.handle, Seq: l.next(), Lease: id}
}

// Deregister withdraws the promise, so that nothing begins any more, and builds
// the report that removes the worker. It is nil while the worker is not
// connected.
func (l *Ledger) Deregister() *wire.Deregister {
	l.promised = wire.Grantor{}
	if !l.known {
		return nil
	}
	m := &wire.Deregister{Handle: l.handle, Seq: l.next()}
	l.Disconnected()
	return m
}

// All walks the leases that run (Outcome is ReasonNone) and those whose end is
// not acknowledged, in order of their ids, each with its caller. The records
// must not be changed.
func (l *Ledger) All() iter.Seq2[*wire.Record, string] {
	return func(yield func(*wire.Record, string) bool) {
		for _, e := range l.sorted() {
			if !yield(&e.record, e.caller) {
				return
			}
		}
	}
}

func (l *Ledger) begun(e *lease) *wire.Begun {
	if !l.known {
		return nil
	}
	return &wire.Begun{Handle: l.handle, Seq: l.next(), Record: e.record}
}

func (l *Ledger) end(e *lease) *wire.End {
	if !l.known {
		return nil
	}
	return &wire.End{Handle: l.handle, Seq: l.next(), Lease: e.record.Lease, Outcome: e.record.Outcome}
}

// next draws the next report number.
func (l *Ledger) next() uint32 {
	l.seq++
	return l.seq
}

func (l *Ledger) sorted() []*lease {
	return slices.SortedFunc(maps.Values(l.leases), func(a, b *lease) int {
		return compare(a.record.Lease, b.record.Lease)
	})
}

func compare(a, b wire.LeaseID) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Counter, b.Counter))
}

// Record returns the record of a lease that runs or whose end is not
// acknowledged, and its caller. It must not be changed.
func (l *Ledger) Record(id wire.LeaseID) (*wire.Record, string) {
	e := l.leases[id]
	if e == nil {
		return nil, ""
	}
	return &e.record, e.caller
}
