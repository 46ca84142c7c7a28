// Command loadtest puts a scheduler under load from thousands of simulated
// workers and judges its answers. Without an address it embeds a scheduler.
//
// It exits with 0 if no rule was broken, 1 if the run could not be done, 2 for
// a wrong flag, 3 for violations, and 130 if it was interrupted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dtask/dtask-scheduler/cmd/checked"
	"github.com/dtask/dtask-scheduler/cmd/cmdline"
	"github.com/dtask/dtask-scheduler/loadtest"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitViolations  = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	report, err := test(ctx, o, stderr)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	}
	var wrong *loadtest.ConfigError
	if errors.As(err, &wrong) {
		_ = cmdline.Refuse((&options{}).flags(), stderr, errors.New(named(wrong))) // the same error
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	code := 0
	if report.Violations > 0 {
		code = exitViolations
	}
	out := checked.New(stdout)
	if err := print(report, o.json, out); err != nil && out.Err() == nil {
		fmt.Fprintln(stderr, err)
		code = exitFailed
	}
	return out.End(code, stderr)
}

// test runs the load test, against an embedded scheduler if no other is named.
func test(ctx context.Context, o *options, stderr io.Writer) (*loadtest.Report, error) {
	o.load.Progress = stderr
	if o.load.Addr == "" {
		s, err := embed(o)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		o.load.Addr, o.load.HTTPAddr = s.addrs()
		o.load.Scheduler, o.load.Embedded = s, true
	}
	return loadtest.Run(ctx, o.load)
}

func print(report *loadtest.Report, asJSON bool, out io.Writer) error {
	if !asJSON {
		return report.Print(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
