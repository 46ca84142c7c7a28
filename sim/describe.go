package sim

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/wire"
)

// describe prints a message for a reader of the trace.
func describe(m wire.Message) string {
	switch m := m.(type) {
	case *wire.Schedule:
		return fmt.Sprintf("schedule %s", m.Task)
	case *wire.Hello:
		return fmt.Sprintf("hello of %q", m.Client)
	case *wire.HelloOK:
		return fmt.Sprintf("hello from %d-%x", m.Grantor.Epoch, m.Grantor.Instance)
	case *wire.Register:
		return fmt.Sprintf("register %s incarnation %x seq %d, %d slots, tags %v, promised %d-%x, leases %v", m.Worker, m.Incarnation, m.Seq, m.Slots, m.Tags, m.Promised.Epoch, m.Promised.Instance, records(m.Leases))
	case *wire.Begun:
		return fmt.Sprintf("begun %v seq %d", m.Record.Lease, m.Seq)
	case *wire.Placed:
		worker, _ := wire.ReadTarget(m.Target)
		return fmt.Sprintf("placed %v on %s incarnation %x ttl %d flags %b", m.Lease, worker, m.Incarnation, m.TTLMS, m.Flags)
	case *wire.Error:
		return fmt.Sprintf("error %s %s", m.Code, m.Field)
	}
	return fmt.Sprintf("%T %+v", m, m)
}

// records lists leases with their outcomes.
func records(rs []wire.Record) []string {
	var out []string
	for i := range rs {
		s := rs[i].Lease.String()
		if rs[i].Outcome != wire.ReasonNone {
			s += " " + rs[i].Outcome.String()
		}
		out = append(out, s)
	}
	return out
}
