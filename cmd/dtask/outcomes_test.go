package main

import (
	"context"
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// ended runs a task for each owner on the workers with a tag, all with the same
// outcome, and waits until the scheduler knows. With the tag gpu each takes one.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: ended OUTCOME TAG OWNER...")
	}
	outcome := map[string]wire.Reason{"ok": wire.ReasonOK, "failed": wire.ReasonFailed}[args[0]]
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{ts.Getenv("DTASK_ADDR")}, nil)
	ts.Check(err)
	defer c.Close()
	for i, owner := range args[2:] {
		t := client.Task{ID: fmt.Sprint(args[0], args[1], i), Tags: args[1:2], Owner: owner}
		if args[1] == "gpu" {
			t.Resources = map[string]int64{"gpu": 1}
		}
		l, err := c.Schedule(ctx, t)
		ts.Check(err)
		h, err := l.Hand()
		ts.Check(err)
		a, known := agents.Load(ts.Getenv("WORK") + " " + l.Worker())
		if !known {
			ts.Fatalf("no agent %s", l.Worker())
		}
		task, err := a.(*agent.Agent).Begin(h, agent.Caller{})
		ts.Check(err)
		ts.Check(task.End(outcome))
		for over := false; !over; {
			w, err := c.Worker(ctx, l.Worker())
			ts.Check(err)
			over = len(w.Leases) == 0
		}
	}
}
