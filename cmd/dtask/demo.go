package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/server"
)

// Bounds of the demo's flags.
const (
	maxDemoTasks  = 20_000
	maxDemoAgents = 64
)

// demoTimeout bounds a whole demo that is not kept.
const demoTimeout = 2 * time.Minute

func (a *app) demo() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "run a scheduler, a few workers and a real batch of tasks, and print what happened",
		Description: "Everything runs in this process, over real sockets on free ports of this machine.\n" +
			"The tasks hash files that the demo writes to a temporary folder.\n\n" +
			"Examples:\n" +
			"  dtask demo\n" +
			"  dtask demo --keep --agents 8      # leave it running",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "tasks", Usage: "`NUMBER` of files to hash", Value: 200},
			&cli.IntFlag{Name: "agents", Usage: "`NUMBER` of workers", Value: 4},
			&cli.BoolFlag{Name: "keep", Usage: "leave scheduler and workers running until interrupted"},
		},
		Action: a.runDemo,
	}
}

func (a *app) runDemo(ctx context.Context, cmd *cli.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	tasks, agents := cmd.Int("tasks"), cmd.Int("agents")
	switch {
	case tasks < 1 || tasks > maxDemoTasks:
		return usage(fmt.Sprintf("--tasks %d is not 1 to %d", tasks, maxDemoTasks), "dtask demo --tasks 200")
	case agents < 1 || agents > maxDemoAgents:
		return usage(fmt.Sprintf("--agents %d is not 1 to %d", agents, maxDemoAgents), "dtask demo --agents 4")
	}
	dir, err := os.MkdirTemp("", "dtask-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{app: a, dir: dir}
	defer d.stop()
	bounded, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	if err := d.run(bounded, tasks, agents); err != nil {
		return err
	}
	if cmd.Bool("keep") {
		d.keep(ctx)
		return stopped(ctx)
	}
	return nil
}

// demo is one run of the demo.
type demo struct {
	app    *app
	dir    string
	server *server.Server
	fleet  []*worker
	client *client.Client
}

// run tells the story from the start of the scheduler to the summary.
func (d *demo) run(ctx context.Context, tasks, agents int) error {
	if err := d.start(ctx, agents); err != nil {
		return err
	}
	files, err := writeFiles(d.dir, tasks)
	if err != nil {
		return err
	}
	s := &summary{Agents: agents, Tasks: tasks, Bytes: files.bytes}
	d.sayf("Wrote %d files, %s in all, and hashed them directly, to compare later.", tasks, size(files.bytes))
	if s.Refusal, err = d.refusal(ctx); err != nil {
		return err
	}
	d.sayf("Hashing them as %d tasks: a third of them needs an SSD, every tenth a GPU.", tasks)
	if err := d.runBatch(ctx, files, s); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := d.probe(ctx, s); err != nil {
		return err
	}
	for _, w := range d.fleet {
		s.Workers = append(s.Workers, w.report())
	}
	if err := d.print(s); err != nil {
		return err
	}
	return s.judge()
}

// start brings up the scheduler and the workers and waits until it may place
// tasks on all of them.
func (d *demo) start(ctx context.Context, agents int) error {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Sched.Learning = false // no worker was there before
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("starting the scheduler: %w", err)
	}
	d.server = s
	d.sayf("Started a scheduler: native protocol on %s, HTTP on %s.", s.Addr(), s.HTTPAddr())
	if d.client, err = client.Dial(ctx, []string{s.Addr()}, nil); err != nil {
		return err
	}
	for i := range agents {
		w, err := startWorker(ctx, i, s.Addr())
		if err != nil {
			return fmt.Errorf("starting worker %d: %w", i+1, err)
		}
		d.fleet = append(d.fleet, w)
	}
	err = d.until(ctx, "the workers are registered", func() (bool, error) {
		ready := 0
		for w, err := range d.client.Workers(ctx, client.Filter{State: "online"}) {
			if err != nil {
				return false, err
			}
			if len(w.Flags) == 0 {
				ready++
			}
		}
		return ready == agents, nil
	})
	if err != nil {
		return err
	}
	d.sayf("Started %d workers; each has registered and promised to obey it.", agents)
	return nil
}

// pollInterval is how often until looks.
const pollInterval = 2 * time.Millisecond

// until polls a condition within the context.
func (d *demo) until(ctx context.Context, what string, holds func() (bool, error)) error {
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}

// settle waits until every end has been acknowledged: all slots are free.
func (d *demo) settle(ctx context.Context) error {
	return d.until(ctx, "all slots are free", func() (bool, error) {
		s, err := d.client.Stats(ctx)
		if err != nil {
			return false, err
		}
		return s.Used == 0 && s.Begun == 0 && s.Granted == 0 && s.AskedBack == 0, nil
	})
}

// stop ends everything, the workers first, so that they can say goodbye.
func (d *demo) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, w := range d.fleet {
		w.stop(ctx)
	}
	if d.client != nil {
		d.client.Close()
	}
	if d.server != nil {
		_ = d.server.Shutdown(ctx) // the process ends, whatever it says
	}
}

// sayf tells a part of the story, unless the output is for programs.
func (d *demo) sayf(format string, args ...any) {
	if !d.app.out.json && !d.app.out.quiet {
		d.app.out.linef(format, args...)
	}
}

// keep waits for the interrupt and says what can be tried meanwhile.
func (d *demo) keep(ctx context.Context) {
	web, native := d.server.HTTPAddr(), d.server.Addr()
	d.sayf("")
	d.sayf("It stays up until you press Ctrl-C. Try, in another terminal:")
	d.sayf("  curl http://%s/api/v1/workers", web)
	d.sayf("  curl http://%s/stats", web)
	d.sayf(`  curl -d '{"task_id":"mine","required_tags":["gpu"],"resources":{"gpu":1}}' http://%s/api/v1/schedule`, web)
	d.sayf("  dtask --addr %s worker list --watch", native)
	d.sayf("  dtask --addr %s schedule gpu --gpus 1 --count 3", native)
	if d.app.out.lost() == nil {
		<-ctx.Done()
	}
}
