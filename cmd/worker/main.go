// Command worker announces one worker to a scheduler and reports that it lives.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// stopTimeout bounds how long the scheduler is waited for at the end.
const stopTimeout = time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

// run is the program; it returns the exit code: 0, 1 for a failure, 2 for a
// mistake on the command line. It logs to the standard logger.
func run(args []string, stdout io.Writer) int {
	o, code, done := parse(args, stdout)
	if done {
		return code
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if o.detect {
		fmt.Fprint(stdout, agent.Detect(ctx, o.gpus))
		return 0
	}
	log.Print("dtask-worker starting...")
	a, err := agent.Start(context.WithoutCancel(ctx), o.config(ctx))
	if err != nil {
		log.Print(err)
		return 1
	}
	log.Printf("Worker %s at %s with %d slots, scheduler %s", quoted(o.id), quoted(o.addr), o.maxTasks, quoted(o.scheduler))
	<-ctx.Done()
	cancel() // a second signal ends the program at once

	bounded, release := context.WithTimeout(context.Background(), stopTimeout)
	defer release()
	if err := a.Stop(bounded); errors.Is(err, agent.ErrTasksRemain) {
		log.Printf("The worker stays registered: %v", err)
	} else if err != nil {
		log.Print(err)
	}
	log.Print("Worker stopped")
	return 0
}

// quoted shows what came from outside, so that it cannot forge a log line.
func quoted(s string) string { return fmt.Sprintf("%q", s) }
