// Command worker announces one worker to a scheduler, reports that it lives,
// and lets the programs of its machine begin and end the tasks of leases.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/agent/sidecar"
	"github.com/dtask/dtask-scheduler/cmd/checked"
	"github.com/dtask/dtask-scheduler/cmd/logflags"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// stopTimeout bounds how long the scheduler, and programs whose requests are
// being answered, are waited for at the end.
const stopTimeout = time.Second

func main() {
	logflags.KeepAlive()
	os.Exit(run(os.Args[1:], os.Stdout))
}

// run is the program; it returns the exit code: 0, 1 for a failure, 2 for a
// mistake on the command line. It logs to the standard logger.
func run(args []string, stdout io.Writer) int {
	if len(args) > 0 && args[0] == "status" {
		return status(args[1:], stdout, os.Stderr)
	}
	printed := checked.New(stdout)
	o, code, done := parse(args, printed, os.Stderr)
	if done {
		return printed.End(code, os.Stderr)
	}
	out := o.log.Writer(os.Stderr)
	defer out.Close()
	o.setLog(out)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if o.detect {
		fmt.Fprint(printed, agent.Detect(ctx, o.gpus))
		return printed.End(0, out)
	}
	log.Print("dtask-worker starting...")
	w, err := start(ctx, o)
	if err != nil {
		log.Print(err)
		return 1
	}
	log.Print(o.describe())
	<-ctx.Done()
	cancel()
	if o.drainTimeout > 0 {
		w.drain(o.drainTimeout)
	}
	w.stop() // a signal now ends the program at once
	log.Print("Worker stopped")
	return 0
}

// worker is an agent and its sidecar, if there is one.
type worker struct {
	agent   *agent.Agent
	sidecar *sidecar.Server
	served  chan error // what Serve returned
}

// start starts them. The sidecar's address is taken first, so that a worker
// that cannot have it does not register.
func start(ctx context.Context, o *options) (*worker, error) {
	cfg, err := o.config(ctx)
	if err != nil {
		return nil, err
	}
	var l net.Listener
	if o.sidecar != "" {
		if l, err = sidecar.Listen(o.sidecar); err != nil {
			return nil, err
		}
	}
	a, err := agent.Start(context.WithoutCancel(ctx), cfg)
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, named(err)
	}
	w := &worker{agent: a}
	if l != nil {
		log.Printf("Sidecar at %s", quoted(l.Addr().String()))
		w.sidecar, w.served = sidecar.New(a, slog.Default()), make(chan error, 1)
		go func() { w.served <- w.sidecar.Serve(l) }()
	}
	return w, nil
}

// drain waits until nothing runs here any more, the time is over or a signal
// comes.
func (w *worker) drain(timeout time.Duration) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	log.Printf("Worker drains for at most %v; another signal ends that", timeout)
	if err := w.agent.Drain(ctx); err != nil {
		log.Printf("Worker is not drained: %v", err)
		return
	}
	log.Print("Worker drained")
}

// stop answers what the sidecar was asked, then leaves.
func (w *worker) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if w.sidecar != nil {
		if err := errors.Join(w.sidecar.Shutdown(ctx), <-w.served); err != nil {
			log.Print(err)
		}
	}
	if err := w.agent.Stop(ctx); errors.Is(err, agent.ErrTasksRemain) {
		log.Printf("The worker stays registered: %v", err)
	} else if err != nil {
		log.Print(err)
	}
}

// quoted shows what came from outside, so that it cannot forge a log line.
func quoted(s string) string { return fmt.Sprintf("%q", s) }
