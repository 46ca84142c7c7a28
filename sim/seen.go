package sim

import (
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// seen is the world as the twin sees it.
type seen struct{ w *World }

func (s seen) Now() sched.Time                 { return s.w.now }
func (s seen) Fail(format string, args ...any) { s.w.fail(format, args...) }
func (s seen) Failed() bool                    { return s.w.err != nil }
func (s seen) Hit(f fault.Kind)                { s.w.counts[f]++ }
func (s seen) Ask(m wire.Message) wire.Message { return s.w.ask(m) }
func (s seen) NextPulse() sched.Time           { return s.w.host.state.NextPulse() }
func (s seen) Formula(text string) (f *offer.Formula, ok bool) {
	f, ok = s.w.formulas[text]
	return f, ok
}

func (s seen) Queue() []wire.WaiterInfo {
	rows, _ := s.w.waiting(wire.ListQueue{})
	return rows
}
