package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUnavailable = 2 // not placeable now
	exitInfeasible  = 3 // no known worker could ever take it
	exitCancelled   = 4 // taken out of the queue by another command
	exitUsage       = 64
	// As the shell shows a program that the signal has ended.
	exitInterrupted = 128 + int(syscall.SIGINT)
	exitPipe        = 128 + int(syscall.SIGPIPE)
	exitTerminated  = 128 + int(syscall.SIGTERM)
)

// failure is an error for people: what was wrong, how the process ends, and the
// next command to type.
type failure struct {
	err  error
	code int
	hint string // "" for none
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// errStopped is how a command ends that goes on until it is interrupted: there is
// nothing to say.
var errStopped = errors.New("interrupted")

// stopped ends such a command, whose ctx is that of the whole process.
func stopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &failure{err: errStopped, code: exitInterrupted}
	}
	return nil
}

// usage is the failure of a command line.
func usage(text, hint string) error {
	return &failure{err: errors.New(text), code: exitUsage, hint: hint}
}

// unwritten is the failure to write the output.
func unwritten(err error) error {
	return &failure{fmt.Errorf("the output could not be written: %w", err), exitError, ""}
}

// unreachable is the failure to connect.
func unreachable(addrs []string, err error) error {
	var refused *wire.Error
	if errors.Is(err, context.Canceled) || errors.As(err, &refused) {
		return err
	}
	return &failure{
		err:  fmt.Errorf("no scheduler answers at %s\n%w", strings.Join(addrs, ", "), err),
		code: exitError,
		hint: "start one with `scheduler`, or name another with --addr or DTASK_ADDR; `dtask demo` brings its own",
	}
}

// describe gives an error of the client its exit code and hint.
func describe(err error) *failure {
	var f *failure
	var old *client.TooOldError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &old):
		return &failure{err, exitError, "update the scheduler, or leave that out; `dtask ping` shows its version"}
	case errors.Is(err, client.ErrInfeasible):
		return &failure{err, exitInfeasible, "see which tags there are with `dtask tags`"}
	case errors.Is(err, client.ErrSearchLimit):
		return &failure{err, exitUnavailable, "try again in a moment, or name more tags, so that fewer workers match"}
	case errors.Is(err, client.ErrUnavailable):
		return &failure{err, exitUnavailable, "try again in a moment, wait with --wait 10m, or see the workers with `dtask worker list`"}
	case errors.Is(err, client.ErrOwnerLimit):
		return &failure{err, exitUnavailable, "wait for one of the owner's tasks to end with --wait 10m, or see them with `dtask lease list --owner NAME`"}
	case errors.Is(err, client.ErrQueueFull):
		return &failure{err, exitUnavailable, "try again in a moment, or see what waits with `dtask queue list`"}
	case errors.Is(err, client.ErrCancelled):
		return &failure{err, exitCancelled, "ask again, if it was not meant"}
	case tooShort(err) > 0:
		return &failure{err, exitUsage, fmt.Sprintf("give the others their time: --preempt --wait %v", tooShort(err))}
	case errors.Is(err, client.ErrBadRequest):
		return &failure{err, exitUsage, "see what is allowed with `dtask --help`"}
	case errors.Is(err, client.ErrConflict):
		return &failure{err, exitError, "choose another --task, or leave it out for a fresh one"}
	case errors.Is(err, client.ErrNotFound):
		return &failure{err, exitError, "see what there is with `dtask worker list` and `dtask lease list`"}
	case errors.Is(err, client.ErrBegun):
		return &failure{err, exitError, "stop the task on its worker; `dtask lease list --state begun` shows which"}
	case errors.Is(err, client.ErrUnauthorized):
		return &failure{err, exitError, "put the token into DTASK_TOKEN"}
	case errors.Is(err, client.ErrUnknownKind):
		return &failure{err, exitError, "the scheduler is older than this tool: update it; `dtask ping` shows its version"}
	case errors.Is(err, client.ErrProtocol):
		return &failure{err, exitError, "name the port of the native protocol with --addr or DTASK_ADDR; a scheduler says which it is when it starts"}
	case errors.Is(err, client.ErrDraining), errors.Is(err, client.ErrBusy):
		return &failure{err, exitError, "try again in a moment, or name another scheduler with --addr"}
	case errors.Is(err, context.Canceled):
		return &failure{errors.New("interrupted"), exitInterrupted, ""}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{fmt.Errorf("the scheduler did not answer in time: %w", err), exitError, "look whether it lives with `dtask ping`, or give it longer with --timeout"}
	}
	return &failure{err, exitError, ""}
}

// tooShort returns how long a task must wait that preempts and does not wait
// long enough, 0 for other errors.
func tooShort(err error) time.Duration {
	var refused *wire.Error
	if errors.As(err, &refused) && refused.Code == wire.CodeBadRequest && refused.Field == "wait_ms" && refused.Limit < wire.MaxWait {
		return time.Duration(refused.Limit) * time.Millisecond
	}
	return 0
}

// report prints an error and returns the exit code.
func report(w io.Writer, err error) int {
	f := describe(err)
	if errors.Is(f, errStopped) {
		return f.code
	}
	for i, line := range strings.Split(f.Error(), "\n") {
		line = clean(strings.TrimPrefix(line, "dtask: "))
		if i == 0 {
			line = "dtask: " + line
		} else {
			line = "  " + line
		}
		fmt.Fprintln(w, line)
	}
	if f.hint != "" {
		fmt.Fprintln(w, "next:", clean(f.hint))
	}
	return f.code
}
