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

	"github.com/dtask/dtask-scheduler/cmd/checked"
	"github.com/dtask/dtask-scheduler/cmd/logflags"
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
	logflags.KeepAlive()
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
		out := checked.New(stdout)
		fmt.Fprintf(out, "dtask-scheduler %s (commit %s, built %s, %s)\n", version, commit, date, runtime.Version())
		return out.End(exitOK, stderr)
	}
	out := o.log.Writer(stderr)
	defer out.Close()
	say := func(line string) { o.log.Say(out, line) }
	say("dtask-scheduler starting...")
	o.config.Sched.Version, o.config.Revision = version, commit
	o.config.Logger, o.config.LogWriter = slog.New(o.log.Handler(out)), out
	s, err := start(o.config)
	if err != nil {
		say(explain(err, o))
		return exitError
	}
	say("Scheduler listening on port " + port(s.HTTPAddr()))
	say(reach(s, o))
	return serve(ctx, s, say)
}

func start(cfg server.Config) (*server.Server, error) {
	s, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	return s, s.Start()
}

// serve waits for the end: the signal that asks for it, or a fault.
func serve(ctx context.Context, s *server.Server, say func(string)) int {
	select {
	case err := <-s.Done():
		say("dtask-scheduler failed: " + err.Error())
		return exitError
	case <-ctx.Done():
	}
	say("Shutting down gracefully...")
	if err := s.Shutdown(context.Background()); err != nil {
		say("some answers could not be sent before the stop: " + err.Error())
	}
	say("Server stopped")
	return exitOK
}
