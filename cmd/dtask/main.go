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
	logflags.KeepAlive() // a lease that was not printed is released first
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, os.Args, os.Stdout, os.Stderr) }()
	interrupted := exitInterrupted
	select {
	case code := <-ended:
		return code
	case s := <-signals:
		if s == syscall.SIGTERM {
			interrupted = exitTerminated
		}
		signal.Stop(signals)
		cancel()
	}
	select {
	case code := <-ended:
		if code == exitInterrupted {
			return interrupted
		}
		return code
	case <-time.After(signalPatience):
		return interrupted
	}
}

// signalPatience is how long a command may take to end after a signal.
const signalPatience = 10 * time.Second
