package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
)

// defaultAddr is where a scheduler on this machine listens.
const defaultAddr = "127.0.0.1:8081"

// app is one run of the tool.
type app struct {
	out   *printer
	addrs []string
	// timeout bounds each call; a command that waits for people has none.
	timeout time.Duration
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{}
	root := a.root()
	root.Writer, root.ErrWriter = stdout, stderr
	a.out = newPrinter(stdout)
	if err := root.Run(ctx, args); err != nil {
		return report(stderr, err)
	}
	return exitOK
}

// root is the command dtask with everything under it.
func (a *app) root() *cli.Command {
	commands := []*cli.Command{a.demo(), a.schedule(), a.workers(), a.ping()}
	for _, c := range commands {
		c.OnUsageError = onUsageError
		// `dtask schedule gpu --help` asks for the help of schedule.
		c.CommandNotFound = func(ctx context.Context, cmd *cli.Command, _ string) {
			_ = cli.ShowCommandHelp(ctx, cmd.Root(), cmd.Name)
		}
	}
	return &cli.Command{
		Name:    "dtask",
		Usage:   "place tasks on workers, and look at what is there",
		Version: fmt.Sprintf("%s (commit %s, built %s, %s)", version, commit, date, runtime.Version()),
		Description: "Exit codes: 0 ok, 1 error, 2 not placeable now, 3 infeasible, 64 usage.\n\n" +
			"Examples:\n" +
			"  dtask demo                        see a whole system at work\n" +
			"  dtask schedule gpu cuda-12.0      a place for a task that needs both tags\n" +
			"  dtask workers                     who is there, and how busy",
		EnableShellCompletion: true,
		Suggest:               true,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "addr", Usage: "`HOST:PORT` of the scheduler's native protocol; several with commas",
				Value: defaultAddr, Sources: cli.EnvVars("DTASK_ADDR"),
			},
			&cli.StringFlag{
				Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT`: table or json",
				Value: formatTable, Sources: cli.EnvVars("DTASK_OUTPUT"),
			},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids alone"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after this `TIME`", Value: 10 * time.Second},
		},
		Before:         a.before,
		Commands:       commands,
		OnUsageError:   onUsageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run reports
		Action:         showHelp,
	}
}

// before reads the flags that every command shares.
func (a *app) before(ctx context.Context, cmd *cli.Command) (context.Context, error) {
	if err := a.out.setFormat(cmd.String("output"), cmd.Bool("quiet")); err != nil {
		return ctx, err
	}
	addrs := cmd.String("addr")
	if addrs == "" {
		addrs = defaultAddr
	}
	for addr := range strings.SplitSeq(addrs, ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			a.addrs = append(a.addrs, addr)
		}
	}
	if len(a.addrs) == 0 {
		return ctx, usage("--addr names no scheduler", "dtask --addr "+defaultAddr+" ping")
	}
	a.timeout = cmd.Duration("timeout")
	return ctx, nil
}

// onUsageError turns what the flag parser says into an exit code and a hint.
func onUsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return usage(err.Error(), cmd.FullName()+" --help")
}

// showHelp answers a command line without a command.
func showHelp(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usage("there is no command "+cmd.Args().First(), "dtask --help")
	}
	return cli.ShowRootCommandHelp(cmd)
}

// dial connects to the first scheduler that answers.
func (a *app) dial(ctx context.Context) (*client.Client, error) {
	return a.dialAs(ctx, "")
}

func (a *app) dialAs(ctx context.Context, id string) (*client.Client, error) {
	c, err := client.Dial(ctx, a.addrs, &client.Options{ClientID: id, Token: os.Getenv("DTASK_TOKEN")})
	if err != nil {
		return nil, unreachable(a.addrs, err)
	}
	return c, nil
}
