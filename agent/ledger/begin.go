package ledger

import (
	"errors"

	"github.com/dtask/dtask-scheduler/wire"
)

// Why a lease does not begin. A handover with a field that the protocol cannot
// carry gives a *wire.Error with CodeBadRequest that names the field.
var (
	ErrNotPromised    = errors.New("ledger: this worker has not promised any scheduler yet")
	ErrOtherWorker    = errors.New("ledger: the lease was granted on another worker")
	ErrOldIncarnation = errors.New("ledger: the lease was granted to another incarnation of this worker")
	ErrOtherInstance  = errors.New("ledger: the lease was granted by a scheduler that this worker does not obey")
	ErrEnded          = errors.New("ledger: the lease has ended, or was refused or revoked")
	ErrFull           = errors.New("ledger: the slots or resources of this worker are taken")
	ErrOtherCaller    = errors.New("ledger: the lease was begun by another caller")
	ErrMemoryFull     = errors.New("ledger: this worker cannot list or remember more leases")
	ErrNotRunning     = errors.New("ledger: the lease does not run here")
	ErrOutcome        = errors.New("ledger: the end of a lease needs an outcome: ok, failed, refused or lost")
)

// Begin takes a lease over. The same caller may ask
// again and gets no error, another one gets ErrOtherCaller. The report is to be
// sent now; it is nil while the worker is not connected, and for a lease that
// runs already. After ErrFull there is a report, too: see Refused.
func (l *Ledger) Begin(h *wire.Handover, caller string) (*wire.Begun, error) {
	if h.Worker != l.cfg.Worker {
		return nil, ErrOtherWorker
	}
	if e := l.leases[h.Lease]; e != nil && e.record.Outcome == wire.ReasonNone {
		if e.caller != caller {
			return nil, ErrOtherCaller
		}
		return nil, nil
	}
	if err := l.admits(h); err != nil {
		return nil, err
	}
	if err := verify(h, caller); err != nil {
		return nil, err
	}
	e := &lease{record: h.Record(), caller: caller}
	if l.MemoryFull() || !l.fits(&e.record) {
		return nil, ErrMemoryFull
	}
	if uint64(l.running)+uint64(l.external) >= uint64(l.cfg.Slots) || !l.hasRoom(&e.record) {
		l.refuse(e)
		return nil, ErrFull
	}
	l.put(e)
	return l.begun(e), nil
}

// Refused returns the report of the last begin that failed with ErrFull, once,
// and nil while the worker is not connected: then it is listed in Register.
func (l *Ledger) Refused() *wire.End {
	m := l.refused
	l.refused = nil
	return m
}

// admits says whether this lease, which does not run, could begin.
func (l *Ledger) admits(h *wire.Handover) error {
	switch {
	case l.ended.has(h.Lease):
		return ErrEnded
	case h.Incarnation != l.cfg.Incarnation:
		return ErrOldIncarnation
	case l.promised.Instance == 0:
		return ErrNotPromised
	case h.Lease.Instance != l.promised.Instance:
		return ErrOtherInstance
	}
	return nil
}

// refuse counts and remembers a lease that found no slot.
func (l *Ledger) refuse(e *lease) {
	e.record.Outcome = wire.ReasonRefused
	l.put(e)
	l.ended.add(e.record.Lease)
	l.refusals++
	l.refused = l.end(e)
}

// verify refuses what the records of the protocol cannot carry, because one
// such record would spoil every registration, and a caller's name too long to
// keep.
func verify(h *wire.Handover, caller string) error {
	if len(caller) > MaxCaller {
		return &wire.Error{Code: wire.CodeBadRequest, Field: "caller", Limit: MaxCaller, Message: "caller is too long"}
	}
	return h.Verify()
}
