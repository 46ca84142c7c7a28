package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// The examples here are the code of docs/client.md.

// fleet returns a scheduler in memory with one worker, and a client of it.
func fleet() (*fake.Scheduler, *client.Client) {
	s, err := fake.Start(fake.Config{})
	if err != nil {
		log.Fatal(err)
	}
	s.AddWorkerWith("w1", fake.WorkerOptions{Slots: 4, Tags: []string{"gpu", "ssd"}, Devices: []wire.Device{{Model: "A100"}}})
	return s, s.Dial()
}

// Several addresses, an id of one's own and a log.
func Example_connect() {
	s, err := fake.Start(fake.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	dial, logger := s.DialContext, slog.New(slog.DiscardHandler)

	addrs := []string{"10.0.0.1:8081", "10.0.0.2:8081"}
	c, err := client.Dial(ctx, addrs, &client.Options{
		ClientID: "nightly-batch",          // the scope of task ids
		Token:    os.Getenv("DTASK_TOKEN"), // if the scheduler asks for one
		Logger:   logger,                   // a *slog.Logger; nothing is logged without it
		Dial:     dial,                     // instead of TCP; leave it out
	})
	if err != nil {
		log.Fatal(err) // of all addresses
	}
	defer c.Close()
	fmt.Println(c.ID())
	// Output: nightly-batch
}

// A place for one task, handed over.
func Example_lease() {
	s, c := fleet()
	defer s.Close()
	var err error
	deliver := func(h wire.Handover) error { return s.Worker(h.Worker).Begin(h) }

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lease, err := c.Schedule(ctx, client.Task{ID: "train-7", Tags: []string{"gpu"}, Resources: map[string]int64{"gpu": 1}, Owner: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	handover, err := lease.Hand()
	if err != nil {
		log.Fatal(err) // released or lost meanwhile
	}
	if err := deliver(handover); err != nil { // your transport to the program on lease.Address()
		log.Fatal(err, c.Release(ctx, lease)) // the scheduler asks the worker to give it up
	}
	lease.Began() // optional: the next renewal finds out
	fmt.Println("runs on", lease.Worker())
	// Output: runs on w1
}

// A lease that is lost before its task begins.
func Example_lost() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()
	lease, err := c.Schedule(ctx, client.Task{ID: "t1"})
	if err != nil {
		log.Fatal(err)
	}
	started := make(chan struct{})
	s.Restart()

	select {
	case <-started:
	case <-lease.Lost():
		fmt.Println("schedule it again:", errors.Is(lease.Err(), client.ErrLost))
	}
	// Output: schedule it again: true
}

// What became of a request.
func Example_refusals() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()
	task := client.Task{ID: "t1", Tags: []string{"tpu"}}

	lease, err := c.Schedule(ctx, task)
	var refusal *wire.Error
	switch {
	case err == nil:
		fmt.Println("placed on", lease.Worker())
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("busy: try again in a while")
	case errors.Is(err, client.ErrInfeasible):
		fmt.Println("no worker could take it: do not try again")
	case errors.As(err, &refusal):
		fmt.Println(refusal.Code, refusal.Field, refusal.Message)
	default:
		fmt.Println(err) // the context's, or client.ErrClosed
	}
	// Output: no worker could take it: do not try again
}

// Many tasks in one frame.
func Example_batch() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()
	tasks := []client.Task{{ID: "a", Tags: []string{"ssd"}}, {ID: "b", Tags: []string{"ssd"}}, {ID: "c", Tags: []string{"tpu"}}}

	results, err := c.ScheduleAll(ctx, tasks)
	if err != nil {
		log.Fatal(err) // the context's; results holds what was answered before
	}
	for i, r := range results {
		if r.Err != nil {
			fmt.Println(tasks[i].ID, "has no place:", errors.Is(r.Err, client.ErrInfeasible))
			continue
		}
		fmt.Println(tasks[i].ID, "on", r.Lease.Worker())
	}
	// Output:
	// a on w1
	// b on w1
	// c has no place: true
}

// More tasks than there is room: each is used as soon as it has its place.
func Example_stream() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()
	tasks := []client.Task{{ID: "a", Tags: []string{"ssd"}, Wait: time.Hour}, {ID: "b", Tags: []string{"ssd"}, Wait: time.Hour}}

	var leases []*client.Lease
	for i, r := range c.ScheduleEach(ctx, tasks) {
		if r.Err != nil {
			fmt.Println(tasks[i].ID, "has no place:", r.Err)
			continue
		}
		leases = append(leases, r.Lease)
		fmt.Println(tasks[i].ID, "can start on", r.Lease.Worker())
	}
	if err := c.ReleaseAll(ctx, leases); err != nil {
		fmt.Println("some have begun:", err)
	}
	// Output:
	// a can start on w1
	// b can start on w1
}

// machines returns a scheduler with two workers that have GPUs, and a client.
func machines() (*fake.Scheduler, *client.Client) {
	s, err := fake.Start(fake.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []string{"w1", "w2"} {
		s.AddWorkerWith(id, fake.WorkerOptions{
			Slots: 8, Tags: []string{"gpu", "cuda=12.4"}, Resources: map[string]int64{"cpu": 16_000, "mem": 64 << 10},
			Devices: []wire.Device{{Model: "A100", Memory: 40 << 10}, {Model: "A100", Memory: 40 << 10}},
		})
	}
	return s, s.Dial()
}

// A task that needs more than tags.
func Example_needs() {
	s, c := machines()
	defer s.Close()
	ctx := context.Background()

	needs, err := capacity.ParseList("cpu=4,mem=16Gi,gpu=1,gpu_mem=20Gi", capacity.Up)
	if err != nil {
		log.Fatal(err)
	}
	lease, err := c.Schedule(ctx, client.Task{
		ID: "train-7", Selector: "gpu && cuda>=12 && !spot", Prefer: "zone=a", NotWorkers: []string{"w1"}, Resources: needs,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lease.Worker(), lease.Devices()) // the handover names the devices, too
	// Output: w2 [0]
}

// All or none.
func Example_gang() {
	s, c := machines()
	defer s.Close()
	ctx := context.Background()

	gang := make([]client.Task, 4)
	for i := range gang {
		gang[i] = client.Task{ID: fmt.Sprintf("train-8/%d", i), Resources: map[string]int64{capacity.GPU: 1}}
	}
	leases, err := c.ScheduleGang(ctx, gang, false) // true: no two on one worker
	if err != nil {
		log.Fatal(err) // of the first task that does not fit; no lease was granted
	}
	for _, l := range leases {
		fmt.Println(l.Task().ID, "on", l.Worker(), l.Devices())
	}
	// Output:
	// train-8/0 on w1 [0]
	// train-8/1 on w2 [0]
	// train-8/2 on w1 [1]
	// train-8/3 on w2 [1]
}

// What is found out before anybody is asked.
func Example_mistakes() {
	task := client.Task{ID: "train-9", Selector: "gpu && cuda>="}

	err := task.Check() // Schedule and its like begin with it
	var wrong *selector.Error
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Column, wrong.Message)
	}
	// Output: 14 a value is missing before the end
}

// A task that waits for room, and who else does.
func Example_waiting() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()

	task := client.Task{ID: "train-9", Tags: []string{"ssd"}, Priority: 5, Owner: "ann", Wait: 10 * time.Minute}
	lease, err := c.Schedule(ctx, task) // returns when the task is placed
	switch {
	case err == nil:
		fmt.Println("placed on", lease.Worker())
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("not placed within ten minutes")
	case errors.Is(err, client.ErrCancelled):
		fmt.Println("it was taken out of the queue")
	}

	for waiter, err := range c.Queue(ctx, client.QueueFilter{Owner: "ann"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(waiter.Task, waiter.Position, waiter.Holds)
	}
	waiting, err := c.CountWaiting(ctx, client.QueueFilter{Owner: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	n, err := c.CancelWaiting(ctx, client.QueueFilter{Owner: "ann", Group: "job-17"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "of", waiting, "cancelled")
	// Output:
	// placed on w1
	// 0 of 0 cancelled
}

// awaitWaiting returns when a task stands in the queue.
func awaitWaiting(ctx context.Context, c *client.Client, task string) {
	for {
		for _, err := range c.Queue(ctx, client.QueueFilter{Task: task}) {
			if err != nil {
				log.Fatal(err)
			}
			return
		}
	}
}

// A task that takes the room of others, and one that gives it and comes back.
func Example_preemption() {
	s, err := fake.Start(fake.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	w := s.AddWorker("w1", 1)
	c, boss := s.Dial(), s.Dial()
	ctx := context.Background()

	urgent := func() {
		c := boss
		lease, err := c.Schedule(ctx, client.Task{ID: "urgent-1", Priority: 10, Preempt: true, Wait: time.Minute})
		if err != nil {
			log.Fatal(err) // the wait is shorter than the scheduler's grace, or nothing was freed
		}
		if err := boss.Release(ctx, lease); err != nil {
			log.Fatal(err)
		}
	}
	// The first time the task is preempted, the second time it comes to its end.
	rounds := 0
	run := func(l *client.Lease) {
		h, err := l.Hand()
		if err != nil {
			log.Fatal(err)
		}
		if err := w.Begin(h); err != nil {
			log.Fatal(err)
		}
		outcome := wire.ReasonOK
		if rounds++; rounds == 1 {
			go urgent()
			awaitWaiting(ctx, c, "urgent-1")
			s.Advance(time.Second)
			<-l.Preempted()
			outcome = wire.ReasonFailed
		}
		if err := w.End(l.ID(), outcome); err != nil {
			log.Fatal(err)
		}
	}

	task := client.Task{ID: "scan-4", Priority: -1, OnPreempt: client.OnPreemptRequeue}
	lease, err := c.Schedule(ctx, task)
	for err == nil {
		run(lease)                          // lease.Preempted() and the worker say when it must end
		lease, err = c.Requeued(ctx, lease) // waits for its end, and for its next placement
	}
	var over *client.EndedError
	if errors.As(err, &over) {
		fmt.Println("its own end:", over.Reason)
	}
	fmt.Println(rounds, "rounds")
	// Output:
	// its own end: ok
	// 2 rounds
}

// What operators ask and do.
func Example_operators() {
	s, c := fleet()
	defer s.Close()
	ctx := context.Background()

	if _, err := c.Cordon(ctx, "w1", "driver upgrade"); err != nil {
		log.Fatal(err)
	}
	for tag, err := range c.Tags(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag.Tag, tag.Workers)
	}
	for event, err := range c.Events(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s %s %q\n", event.Number, event.What, event.Worker, event.Reason)
	}
	// Output:
	// gpu 1
	// ssd 1
	// 1 joined w1 ""
	// 2 cordoned w1 "driver upgrade"
}
