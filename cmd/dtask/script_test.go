package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
	"github.com/dtask/dtask-scheduler/wire"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dtask": main})
}

// The scripts are the manual: each shows a command with what it prints. Beside
// the commands of testscript they have
//
//	scheduler [LIMIT]      start one and let DTASK_ADDR name it; each owner may have LIMIT leases
//	worker ID SLOTS TAG... start an agent and wait until it may get tasks
//	machine ID SLOTS DEVICES RESOURCES TAG...
//	                       the same for a worker with GPUs and resources, such as A100:40Gi,A100:40Gi and cpu=16,mem=64Gi
//	begun TASK TAG...      place a task, begin it, and write its lease id to TASK
//	ended OUTCOME TAG OWNER...
//	                       run a task for each owner, and end it so
//	begin FILE PIDFILE     begin the task of a handover, which lives as long as a process
//	held WORKER            wait until a worker is held for a task that waits
//	settled                wait until the workers have answered for every lease that was asked back
//	lease NAME FILE        set a variable to the id in a file
//	exits CODE COMMAND...  run a command that ends with this exit code; @terms and
//	                       its like stand for selectors that are too long to write
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			e.Setenv("TMPDIR", e.WorkDir)
			// Under the race detector every process would wait for a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"scheduler": startScheduler, "worker": startAgent, "machine": startMachine, "exits": exits, "begun": begun, "lease": setLease,
			"settled": settled, "waits": waits, "ended": ended, "begin": begin, "held": held,
		},
	})
}

// stopTimeout bounds what a script leaves to stop.
const stopTimeout = 10 * time.Second

func startScheduler(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: scheduler [LIMIT]")
	}
	addr, stop, err := embed(func(cfg *server.Config) {
		if len(args) == 1 {
			limit, err := strconv.Atoi(args[0])
			ts.Check(err)
			cfg.Sched.MaxOwnerLeases = limit
		}
	})
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("DTASK_ADDR", addr)
}

// embed starts a scheduler on a free port.
func embed(tune ...func(*server.Config)) (addr string, stop func(), err error) {
	cfg := server.DefaultConfig()
	cfg.Sched.Learning = false
	for _, f := range tune {
		f(&cfg)
	}
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", ""
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	if err != nil {
		return "", nil, err
	}
	if err := s.Start(); err != nil {
		return "", nil, err
	}
	return s.Addr(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = s.Shutdown(ctx) // some tests leave requests behind
	}, nil
}

func startAgent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: worker ID SLOTS TAG...")
	}
	start(ts, args[0], args[1], agent.Config{Tags: args[2:]})
}

func startMachine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: machine ID SLOTS DEVICES RESOURCES TAG...")
	}
	devices, err := agent.ParseDevices(args[2])
	ts.Check(err)
	resources, err := capacity.ParseList(args[3], capacity.Down)
	ts.Check(err)
	start(ts, args[0], args[1], agent.Config{Devices: devices, Resources: resources, Tags: args[4:]})
}

// start starts an agent and waits until it may get tasks.
func start(ts *testscript.TestScript, id, slots string, cfg agent.Config) {
	n, err := strconv.ParseUint(slots, 10, 32)
	ts.Check(err)
	cfg.Scheduler, cfg.Worker, cfg.Address = "dtask://"+ts.Getenv("DTASK_ADDR"), id, id+".example:7000"
	cfg.Slots, cfg.TasksDieWithAgent = uint32(n), true
	a, err := agent.Start(context.Background(), cfg)
	ts.Check(err)
	agents.Store(ts.Getenv("WORK")+" "+id, a)
	ts.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = a.Stop(ctx)
	})
	ts.Check(waitEligible(ts.Getenv("DTASK_ADDR"), id))
}

// agents are the agents of all scripts, by working folder and worker.
var agents sync.Map

func begun(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: begun TASK TAG...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{ts.Getenv("DTASK_ADDR")}, nil)
	ts.Check(err)
	defer c.Close()
	l, err := c.Schedule(ctx, client.Task{ID: args[0], Tags: args[1:]})
	ts.Check(err)
	h, err := l.Hand()
	ts.Check(err)
	a, known := agents.Load(ts.Getenv("WORK") + " " + l.Worker())
	if !known {
		ts.Fatalf("no agent %s", l.Worker())
	}
	_, err = a.(*agent.Agent).Begin(h, agent.Caller{})
	ts.Check(err)
	untilStats(ts, func(s *wire.Stats) bool { return s.Begun > 0 })
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(l.ID().String()+"\n"), 0o600))
}

// begin hands a task to its agent, as the program would that runs it.
func begin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: begin FILE PIDFILE")
	}
	var h wire.Handover
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &h))
	pid := 0
	for until := time.Now().Add(stopTimeout); pid == 0; {
		text, _ := os.ReadFile(ts.MkAbs(args[1])) // it may not be there yet
		if number, whole := strings.CutSuffix(string(text), "\n"); whole {
			n, err := strconv.Atoi(number)
			ts.Check(err)
			pid = n
		}
		if time.Now().After(until) {
			ts.Fatalf("nobody wrote %s", args[1])
		}
		time.Sleep(time.Millisecond)
	}
	a, known := agents.Load(ts.Getenv("WORK") + " " + h.Worker)
	if !known {
		ts.Fatalf("no agent %s", h.Worker)
	}
	_, err := a.(*agent.Agent).Begin(h, agent.Caller{PID: pid})
	ts.Check(err)
	untilStats(ts, func(s *wire.Stats) bool { return s.Begun > 0 })
}

func held(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: held WORKER")
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{ts.Getenv("DTASK_ADDR")}, nil)
	ts.Check(err)
	defer c.Close()
	for {
		w, err := c.Worker(ctx, args[0])
		ts.Check(err)
		if w.Info.HeldBy != "" {
			return
		}
	}
}

func settled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: settled")
	}
	untilStats(ts, func(s *wire.Stats) bool { return s.AskedBack == 0 })
}

// untilStats waits until the totals of the scheduler are as wished.
func untilStats(ts *testscript.TestScript, ready func(*wire.Stats) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{ts.Getenv("DTASK_ADDR")}, nil)
	ts.Check(err)
	defer c.Close()
	for {
		s, err := c.Stats(ctx)
		ts.Check(err)
		if ready(s) {
			return
		}
	}
}

// waits waits until some tasks stand in the queue.
func waits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: waits TASK...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{ts.Getenv("DTASK_ADDR")}, nil)
	ts.Check(err)
	defer c.Close()
	for _, task := range args {
		for there := false; !there; {
			for _, err := range c.Queue(ctx, client.QueueFilter{Task: task}) {
				ts.Check(err)
				there = true
			}
			ts.Check(ctx.Err())
		}
	}
}

func setLease(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lease NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// waitEligible waits until the scheduler may place tasks on a worker.
func waitEligible(addr, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	c, err := client.Dial(ctx, []string{addr}, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		w, err := c.Worker(ctx, id)
		if err == nil && w.Info.State == "online" && len(w.Info.Flags) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("worker %s: %w", id, ctx.Err())
		}
	}
}

// longSelectors are too long for a script.
var longSelectors = map[string]string{
	"@terms": strings.Repeat("a || ", 128) + "a", "@half": strings.Repeat("a || ", 64) + "a",
	"@long": strings.Repeat("a || ", 2000) + "a", "@deep": strings.Repeat("(", 1000),
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var failed *exec.ExitError
	for i, arg := range args {
		if long, ok := longSelectors[arg]; ok {
			args[i] = long
		}
	}
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}
