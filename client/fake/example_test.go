package fake_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/wire"
)

// runOnce is what a program of yours might do; the test below is how to try it.
func runOnce(ctx context.Context, c *client.Client, deliver func(wire.Handover) error) error {
	lease, err := c.Schedule(ctx, client.Task{ID: "nightly", Tags: []string{"ssd"}})
	if err != nil {
		return err
	}
	handover, err := lease.Hand()
	if err != nil {
		return err
	}
	if err := deliver(handover); err != nil {
		return errors.Join(err, c.Release(ctx, lease))
	}
	return nil
}

func TestRunOnce(t *testing.T) {
	s := fake.New(t) // closed with the test
	w := s.AddWorker("w1", 1, "ssd")
	c := s.Dial()

	if err := runOnce(t.Context(), c, w.Begin); err != nil {
		t.Fatal(err)
	}
	if len(w.Running()) != 1 {
		t.Fatal("the task does not run")
	}
	s.Advance(time.Hour) // what runs, runs on
	if err := w.End(w.Running()[0].Lease, wire.ReasonOK); err != nil {
		t.Fatal(err)
	}

	w.Silence() // no worker reports now
	if err := runOnce(t.Context(), c, w.Begin); !errors.Is(err, client.ErrUnavailable) {
		t.Fatal(err)
	}
}
