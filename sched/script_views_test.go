package sched

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// beat sends a heartbeat as a datagram; digest names the leases that run.
func (c *script) beat(worker string, args map[string]string) {
	m := &wire.Beat{Worker: []byte(worker), Incarnation: uint64(c.num(args, "inc", 1)), Seq: uint32(c.num(args, "seq", 1)),
		External: uint32(c.num(args, "external", 0))}
	for _, l := range list(args["digest"]) {
		m.Digest ^= c.lease(l).Digest()
	}
	frame := wire.AppendDatagram(nil, 0, m)
	decoded, _, err := c.dec.Decode(frame)
	require.NoError(c.t, err)
	var ack wire.BeatAck
	if !c.s.Beat(c.now, decoded.(*wire.Beat), &ack) {
		fmt.Fprintf(&c.print, "%s <- nothing\n", worker)
		return
	}
	for i := range frame {
		frame[i] = 0xff
	}
	text := fmt.Sprintf("%s <- ack %d under %d/%d", worker, ack.Seq, ack.Grantor.Epoch, ack.Grantor.Instance)
	if ack.Connect {
		text += " connect"
	}
	c.print.WriteString(text + "\n")
}

// showViews prints the lists of operators.
func (c *script) showViews(verb string, args map[string]string) {
	limit := uint32(c.num(args, "limit", 0))
	switch verb {
	case "leases":
		p := c.s.listLeases(&wire.ListLeases{After: uint64(c.num(args, "after", 0)), Limit: limit, Worker: args["worker"],
			Owner: args["owner"], Group: args["group"], Client: args["client"], Count: args["count"] != ""})
		if args["count"] != "" {
			fmt.Fprintf(&c.print, "%d leases\n", p.Matched)
		}
		for _, l := range p.Rows {
			fmt.Fprintf(&c.print, "%s %v task=%s on %s for %gs\n", c.leases[l.Lease], l.State, l.Task, l.Worker, float64(l.AgeMS)/1000)
		}
		c.printNext(p.Next)
	case "queue":
		p := c.s.listQueue(&wire.ListQueue{After: uint64(c.num(args, "after", 0)), Limit: limit, Task: args["task"],
			Client: args["client"], Owner: args["owner"], Group: args["group"], Count: args["count"] != ""})
		fmt.Fprintf(&c.print, "%d wait in %d groups\n", p.Waiting, p.Groups)
		if args["count"] != "" {
			fmt.Fprintf(&c.print, "%d of them\n", p.Matched)
		}
		for _, w := range p.Rows {
			c.print.WriteString(waiterText(&w) + "\n")
		}
		c.printNext(p.Next)
	case "tags":
		p := c.s.listTags(&wire.ListTags{After: args["after"], Limit: limit})
		for _, r := range p.Rows {
			fmt.Fprintf(&c.print, "%s %d\n", r.Tag, r.Workers)
		}
		if p.Next != "" {
			fmt.Fprintf(&c.print, "next=%s\n", p.Next)
		}
	case "events":
		p := c.s.listEvents(&wire.ListEvents{After: uint64(c.num(args, "after", 0)), Limit: limit})
		for _, e := range p.Rows {
			text := fmt.Sprintf("%d %s %s %s %s", e.Number, e.What, e.Worker, e.Reason, e.By)
			if !e.Lease.IsZero() {
				text += c.leases[e.Lease]
			}
			c.print.WriteString(strings.TrimSpace(text) + "\n")
		}
		if n := len(p.Rows); n == 0 || p.Rows[n-1].Number != p.Next {
			fmt.Fprintf(&c.print, "last=%d\n", p.Next)
		}
		if p.Missed > 0 {
			fmt.Fprintf(&c.print, "missed=%d\n", p.Missed)
		}
	case "history":
		p := c.s.listEnded(&wire.ListEnded{Before: uint64(c.num(args, "before", 0)), Limit: limit, Task: args["task"], Worker: args["worker"]})
		for _, e := range p.Rows {
			fmt.Fprintf(&c.print, "%d %s task=%s owner=%s client=%s on %s: %v by %s, held %gs\n", e.Number, c.leases[e.Lease], e.Task, e.Owner,
				e.Client, e.Worker, e.Reason, e.By, float64(e.HeldMS)/1000)
		}
		c.printNext(p.Next)
	}
}

func (c *script) printNext(n uint64) {
	if n > 0 {
		fmt.Fprintf(&c.print, "next=%d\n", n)
	}
}

func waiterText(w *wire.WaiterInfo) string {
	text := fmt.Sprintf("%s/%s owner=%s priority=%d position=%d for %gs, %gs left", w.Client, w.Task, w.Owner, w.Priority, w.Position, float64(w.AgeMS)/1000, float64(w.LeftMS)/1000)
	if w.Tasks > 1 {
		text += fmt.Sprintf(" tasks=%d", w.Tasks)
	}
	if w.AtLimit {
		text += " at_limit"
	}
	if w.NoWorker {
		text += " no_worker"
	}
	if w.Bypassed > 0 {
		text += fmt.Sprintf(" bypassed=%d", w.Bypassed)
	}
	if len(w.Holds) > 0 {
		text += fmt.Sprintf(" holds=%v", w.Holds)
	}
	return text
}
