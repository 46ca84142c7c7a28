// Command dtask is the tool for people: it asks a scheduler for places, lists
// workers, and shows in one command what the system does.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/cmd/logflags"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

func main() { os.Exit(execute()) }

// execute runs the command line of this process until it is done or interrupted.
// A second signal ends it at once, and so does the first after a while: the
// reader of its output may have stalled.
func execute() int {
	logflags.KeepAlive() // a lease that nobody saw is given back first
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, os.Args, os.Stdout, os.Stderr) }()
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
		stop()
	}
	select {
	case code := <-ended:
		return code
	case <-time.After(signalPatience):
		return exitError
	}
}

// signalPatience is how long a command may take to end after a signal.
const signalPatience = 10 * time.Second
