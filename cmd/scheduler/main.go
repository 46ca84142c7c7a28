// Command scheduler is the dtask scheduler: the HTTP API on one port, the
// native protocol on the next.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/dtask/dtask-scheduler/server"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
	date    = "unknown"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	// Further signals change nothing: the stop is bounded, and some senders
	// signal a process and its whole group.
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "dtask-scheduler %s (commit %s, built %s, %s)\n", version, commit, date, runtime.Version())
		return exitOK
	}
	fmt.Fprintln(stderr, "dtask-scheduler starting...")
	o.config.Sched.Version = version
	o.config.Logger = slog.New(slog.NewTextHandler(stderr, nil))
	s, err := start(o.config)
	if err != nil {
		fmt.Fprintln(stderr, explain(err, o))
		return exitError
	}
	fmt.Fprintln(stderr, "Scheduler listening on port "+port(s.HTTPAddr()))
	fmt.Fprintln(stderr, reach(s, o))
	return serve(ctx, s, stderr)
}

func start(cfg server.Config) (*server.Server, error) {
	s, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.Start()
}

// serve waits for the end: the signal that asks for it, or a fault.
func serve(ctx context.Context, s *server.Server, stderr io.Writer) int {
	select {
	case err := <-s.Done():
		fmt.Fprintln(stderr, "dtask-scheduler failed:", err)
		return exitError
	case <-ctx.Done():
	}
	fmt.Fprintln(stderr, "Shutting down gracefully...")
	if err := s.Shutdown(context.Background()); err != nil {
		fmt.Fprintln(stderr, "some answers could not be sent before the stop:", err)
	}
	fmt.Fprintln(stderr, "Server stopped")
	return exitOK
}
