package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

// startSystem starts a scheduler and one worker with two slots, and returns when
// tasks may be placed on it.
func startSystem(ctx context.Context) (addr string, w *agent.Agent, stop func()) {
	cfg := server.DefaultConfig()
	cfg.Sched.Learning = false // nobody was there before
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		log.Fatal(err)
	}
	w, err = agent.Start(ctx, agent.Config{
		Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "10.0.0.1:7000",
		Tags: []string{"gpu", "cuda-12.0"}, Slots: 2, TasksDieWithAgent: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	waitEligible(ctx, s.Addr())
	return s.Addr(), w, func() {
		_ = w.Stop(ctx)
		_ = s.Shutdown(ctx)
	}
}

// waitEligible returns when a worker has promised to obey the scheduler.
func waitEligible(ctx context.Context, addr string) {
	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for ctx.Err() == nil {
		if w, err := c.Worker(ctx, "w1"); err == nil && w.Info.State == "online" && len(w.Info.Flags) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The whole way of a task: a place, the begin and the end on its worker.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr, worker, stop := startSystem(ctx)
	defer stop()

	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	lease, err := c.Schedule(ctx, client.Task{ID: "train-7", Tags: []string{"gpu"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("place:", lease.Worker(), lease.Address())

	// The handover travels to the worker by any means, for example as JSON.
	handover, err := lease.Hand()
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.Marshal(handover)
	if err != nil {
		log.Fatal(err)
	}

	// On the worker:
	var received wire.Handover
	if err := json.Unmarshal(text, &received); err != nil {
		log.Fatal(err)
	}
	task, err := worker.Begin(received, agent.Caller{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the worker runs", received.Task)
	if err := task.End(wire.ReasonOK); err != nil {
		log.Fatal(err)
	}
	// Output:
	// place: w1 10.0.0.1:7000
	// the worker runs train-7
}

// What a refusal says, and how to ask about it.
func ExampleClient_Schedule() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr, _, stop := startSystem(ctx)
	defer stop()
	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.Schedule(ctx, client.Task{ID: "t1", Tags: []string{"tpu"}})
	switch {
	case errors.Is(err, client.ErrInfeasible):
		fmt.Println("no worker ever could")
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("busy, try again")
	}
	// Output: no worker ever could
}

// Many tasks in one frame, each judged for itself.
func ExampleClient_ScheduleAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr, _, stop := startSystem(ctx)
	defer stop()
	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	results, err := c.ScheduleAll(ctx, []client.Task{
		{ID: "a", Tags: []string{"gpu"}}, {ID: "b", Tags: []string{"gpu"}}, {ID: "c", Tags: []string{"gpu"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			fmt.Println("no place:", errors.Is(r.Err, client.ErrUnavailable))
			continue
		}
		fmt.Println(r.Lease.Task().ID, "on", r.Lease.Worker())
		if err := c.Release(ctx, r.Lease); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// a on w1
	// b on w1
	// no place: true
}

// Who is there.
func ExampleClient_Workers() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr, _, stop := startSystem(ctx)
	defer stop()
	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	for w, err := range c.Workers(ctx, client.Filter{Tags: []string{"gpu"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(w.ID, w.State, w.Slots, w.Tags)
	}
	// Output: w1 online 2 [gpu cuda-12.0]
}
