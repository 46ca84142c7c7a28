package sched

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// live runs the whole life of a task whose worker has a tag of its own name:
// the sessions of the client and of the agent, the worker, the task, and how it
// ends; "runs" leaves it running. One line says where it was, or why not.
func (c *script) live(words []string, args map[string]string) {
	client, agent, worker, task, outcome := words[0], words[1], words[2], words[3], words[4]
	m := c.task(task, args)
	m.Tags = wire.AppendTags(nil, []string{worker})
	c.apply(client, m)
	last := &c.out.Items[len(c.out.Items)-1]
	if last.Kind != wire.KindPlaced {
		fmt.Fprintf(&c.print, "%s on %s: %v\n", task, worker, last.Other.(*wire.Error).Code)
		c.out.Reset()
		return
	}
	lease := last.Placed.Lease
	name := fmt.Sprintf("L%d", len(c.ids)+1)
	c.leases[lease], c.ids[name] = name, lease
	at := agent + " " + worker
	handle := c.handles[at]
	c.apply(agent, &wire.Begun{Handle: handle, Seq: c.seq(worker, at, nil), Record: wire.Record{Lease: lease, Task: m.Task, Owner: m.Owner}})
	if outcome != "runs" {
		reason, ok := outcomes[outcome]
		require.True(c.t, ok, outcome)
		c.apply(agent, &wire.End{Handle: handle, Seq: c.seq(worker, at, nil), Lease: lease, Outcome: reason})
	}
	fmt.Fprintf(&c.print, "%s on %s: %s\n", task, worker, outcome)
	c.out.Reset()
}

// until moves the clock to a time in seconds while workers, each named behind
// the session of its agent and a slash, send a heartbeat every five seconds.
func (c *script) until(words []string) {
	var end float64
	_, err := fmt.Sscanf(words[0], "%gs", &end)
	require.NoError(c.t, err)
	for {
		for _, w := range words[1:] {
			session, worker, _ := strings.Cut(w, "/")
			at := session + " " + worker
			c.apply(session, &wire.Heartbeat{Handle: c.handles[at], Seq: c.seq(worker, at, nil)})
		}
		next := min(float64(c.now)/1000+5, end)
		if c.advance(fmt.Sprint(next)); next == end {
			return
		}
	}
}

// outcomesText says how the last tasks of a worker ended, if not all went well.
func outcomesText(w *wire.WorkerInfo) string {
	text := ""
	if w.RecentFailed > 0 {
		text += fmt.Sprintf(" failed %d of %d", w.RecentFailed, w.Recent)
	}
	for i, d := range w.Devices {
		if d.Failed > 0 {
			text += fmt.Sprintf(", device %d in %d", i, d.Failed)
		}
	}
	if w.ProbeMS > 0 {
		text += fmt.Sprintf(" probe in %gs", float64(w.ProbeMS)/1000)
	}
	return text
}
