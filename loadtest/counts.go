package loadtest

import "github.com/dtask/dtask-scheduler/wire"

const maxCode = 64 // codes that are counted one by one; larger ones count as the last

// counts are what one shard has seen. They describe the run and judge nothing.
type counts struct {
	Placed       uint64          // schedule requests that were answered with a lease
	Refused      [maxCode]uint64 // and with a code
	Repeated     uint64          // asked for again while they had a lease
	Begins       uint64          // tasks that began
	BeginRefused uint64          // handovers that a worker refused: late, or meant for what is gone
	Ends         uint64          // tasks that ended
	Lost         uint64          // tasks that died with their worker
	Renewals     uint64
	Releases     uint64
	Revokes      uint64 // leases that the scheduler asked back
	GivenBack    uint64 // and that had not begun
	Preempting   uint64 // tasks that take the room of others
	Preempted    uint64 // preempted tasks
	Killed       uint64 // kills that workers got
	Requeued     uint64 // tasks that waited again
	Heartbeats   uint64 // over connections and by HTTP
	Reconnects   uint64 // of workers and clients
	Superseded   uint64
	Resent       uint64 // requests sent again on another connection
	WebFailed    uint64 // HTTP requests that got no answer
	Datagrams    Datagrams
	Kinds        [kinds]KindCounts
}

// KindCounts are the answers to the schedule requests of one kind of task.
type KindCounts struct {
	Placed  uint64 `json:"placed"`
	Refused uint64 `json:"refused"`
}

func (c *counts) refuse(code wire.Code) { c.Refused[min(int(code), maxCode-1)]++ }

// add adds what another shard has seen.
func (c *counts) add(o *counts) {
	for i := range c.Refused {
		c.Refused[i] += o.Refused[i]
	}
	for i := range c.Kinds {
		c.Kinds[i].Placed += o.Kinds[i].Placed
		c.Kinds[i].Refused += o.Kinds[i].Refused
	}
	for _, f := range []struct{ to, from *uint64 }{
		{&c.Placed, &o.Placed}, {&c.Repeated, &o.Repeated}, {&c.Begins, &o.Begins},
		{&c.BeginRefused, &o.BeginRefused}, {&c.Ends, &o.Ends}, {&c.Lost, &o.Lost},
		{&c.Renewals, &o.Renewals}, {&c.Releases, &o.Releases}, {&c.Revokes, &o.Revokes},
		{&c.Preempting, &o.Preempting}, {&c.Preempted, &o.Preempted}, {&c.Killed, &o.Killed}, {&c.Requeued, &o.Requeued},
		{&c.GivenBack, &o.GivenBack}, {&c.Heartbeats, &o.Heartbeats}, {&c.Reconnects, &o.Reconnects},
		{&c.Superseded, &o.Superseded}, {&c.Resent, &o.Resent}, {&c.WebFailed, &o.WebFailed},
		{&c.Datagrams.Sent, &o.Datagrams.Sent}, {&c.Datagrams.Acked, &o.Datagrams.Acked},
		{&c.Datagrams.Repeated, &o.Datagrams.Repeated}, {&c.Datagrams.Told, &o.Datagrams.Told},
		{&c.Datagrams.Silences, &o.Datagrams.Silences}, {&c.Datagrams.Again, &o.Datagrams.Again},
	} {
		*f.to += *f.from
	}
}

// refusals returns how many schedule requests were refused.
func (c *counts) refusals() uint64 {
	n := uint64(0)
	for _, k := range c.Refused {
		n += k
	}
	return n
}
