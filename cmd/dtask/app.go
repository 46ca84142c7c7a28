package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/cmd/cmdline"
	"github.com/dtask/dtask-scheduler/spell"
)

// defaultAddr is where a scheduler on this machine listens.
const defaultAddr = "127.0.0.1:" + client.DefaultPort

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
	a.out = newPrinter(stdout)
	root.Writer, root.ErrWriter = a.out.w, stderr
	err := root.Run(ctx, args)
	// The help of the library says it in its own words.
	if unknown, ok := err.(cli.ExitCoder); ok && strings.HasPrefix(unknown.Error(), "No help topic for") {
		_, name, _ := strings.Cut(unknown.Error(), "'")
		name, _, _ = strings.Cut(name, "'")
		err = noCommand(root, name)
	}
	code := exitOK
	if lost := a.out.lost(); err != nil && (lost == nil || !errors.Is(err, lost)) {
		code = report(stderr, err)
	}
	switch lost := a.out.w.Close(); {
	case errors.Is(lost, syscall.EPIPE):
		return exitPipe
	case lost != nil:
		return report(stderr, unwritten(lost))
	}
	return code
}

// root is the command dtask with everything under it.
func (a *app) root() *cli.Command {
	return &cli.Command{
		Name:    "dtask",
		Usage:   "place tasks on workers, and inspect workers, leases and the queue",
		Version: versionText(),
		Description: "Flags win over the environment: DTASK_ADDR (--addr), DTASK_OUTPUT (--output),\n" +
			"DTASK_CLIENT (--client), DTASK_TOKEN (sent to schedulers that ask for one), NO_COLOR.\n\n" +
			"Exit codes: 0 ok, 1 error, 2 not placeable now, 3 infeasible, 4 cancelled, 64 usage,\n" +
			"130 interrupted, 141 the output was closed.\n\n" +
			"Examples:\n" +
			"  dtask demo                        # run a scheduler, workers and a batch\n" +
			"  dtask schedule gpu --gpus 1       # place a task that takes a GPU\n" +
			"  dtask worker list                 # workers and their load",
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: completion,
		Suggest:                         true,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "addr", Usage: "`HOST[:PORT]` of the scheduler's native protocol, by default port " + client.DefaultPort + "; several with commas",
				Value: defaultAddr, Sources: fromEnv("DTASK_ADDR"),
			},
			&cli.StringFlag{
				Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT`: table or json",
				Value: formatTable, Sources: fromEnv("DTASK_OUTPUT"),
			},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids alone"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up on an answer after this `TIME`", Value: 10 * time.Second},
		},
		Before: a.before,
		Commands: prepare([]*cli.Command{
			a.schedule(), a.release(), a.worker(), a.workers(), a.lease(), a.leases(), a.queue(), a.tags(), a.stats(), a.events(), a.ping(), a.demo(), a.version(),
		}),
		OnUsageError:   onUsageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run reports
		Action:         showHelp,
	}
}

// prepare gives commands, and those under them, what all have in common.
func prepare(commands []*cli.Command) []*cli.Command {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		// A tag may hold a comma.
		c.DisableSliceFlagSeparator = true
		// `dtask schedule gpu --help` asks for the help of schedule.
		c.CommandNotFound = func(ctx context.Context, cmd *cli.Command, _ string) {
			_ = cli.ShowCommandHelp(ctx, cmd.Lineage()[1], cmd.Name)
		}
		if len(c.Commands) > 0 {
			c.Action, c.HideHelpCommand = showHelp, true
			prepare(c.Commands)
			continue
		}
		c.Action = filled(c.Action)
	}
	return commands
}

// before reads the flags that every command shares.
func (a *app) before(ctx context.Context, cmd *cli.Command) (context.Context, error) {
	if err := noEmptyFlags(cmd); err != nil {
		return ctx, err
	}
	if err := a.out.setFormat(cmd.String("output"), cmd.Bool("quiet")); err != nil {
		return ctx, err
	}
	var err error
	if a.addrs, err = client.ParseAddrs(cmd.String("addr")); err != nil {
		return ctx, usage(fmt.Sprintf("--addr (or DTASK_ADDR): %v", err), "dtask --addr "+defaultAddr+" ping")
	}
	if a.timeout = cmd.Duration("timeout"); a.timeout <= 0 {
		return ctx, usage(fmt.Sprintf("--timeout %v is not positive", a.timeout), "dtask --timeout 10s ping")
	}
	return ctx, nil
}

// onUsageError turns what the flag parser says into an exit code and a hint.
func onUsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	mistake := cmdline.Explain(err, flagsOf(cmd))
	if mistake.Flag == "" {
		return usage(mistake.Text, cmd.FullName()+" --help")
	}
	return usage(mistake.Text, cmd.FullName()+" "+strings.TrimSpace(mistake.Flag+" "+valueOf(cmd, mistake.Flag)))
}

// flagsOf lists the flags that a command knows by all their names.
func flagsOf(cmd *cli.Command) (flags []cmdline.Flag) {
	for _, c := range cmd.Lineage() {
		for _, f := range c.Flags {
			for _, name := range f.Names() {
				flags = append(flags, cmdline.Flag{Name: name, Kind: cmdline.KindOf(f.Get())})
			}
		}
	}
	return flags
}

// valueOf is what help calls the value of a flag, such as TIME.
func valueOf(cmd *cli.Command, flag string) string {
	for _, c := range cmd.Lineage() {
		for _, f := range c.Flags {
			if d, ok := f.(cli.DocGenerationFlag); ok && slices.Contains(f.Names(), strings.TrimLeft(flag, "-")) {
				if _, rest, named := strings.Cut(d.GetUsage(), "`"); named {
					value, _, _ := strings.Cut(rest, "`")
					return value
				}
			}
		}
	}
	return ""
}

// showHelp answers a command line that stops before a command that does
// something.
func showHelp(_ context.Context, cmd *cli.Command) error {
	if !cmd.Args().Present() {
		return cli.ShowSubcommandHelp(cmd)
	}
	return noCommand(cmd, cmd.Args().First())
}

// noCommand is the failure of a command that there is not, under cmd.
func noCommand(cmd *cli.Command, name string) error {
	text := fmt.Sprintf("%s has no command %.64s", cmd.FullName(), name)
	if near := spell.Nearest(name, names(cmd.VisibleCommands())); near != "" {
		return usage(text, cmd.FullName()+" "+near)
	}
	return usage(text, cmd.FullName()+" --help")
}

func names(commands []*cli.Command) (list []string) {
	for _, c := range commands {
		list = append(list, c.Name)
	}
	return list
}

// noArguments refuses what a command would ignore.
func noArguments(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usage(fmt.Sprintf("%s takes no arguments, such as %s", cmd.FullName(), cmd.Args().First()), cmd.FullName()+" --help")
	}
	return nil
}

// dial connects to the first scheduler that answers, within --timeout. id is
// the client id, which the scheduler shows as the originator of a change.
func (a *app) dial(ctx context.Context, id string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	c, err := client.Dial(ctx, a.addrs, &client.Options{ClientID: id, Token: os.Getenv("DTASK_TOKEN")})
	if err != nil {
		return nil, unreachable(a.addrs, err)
	}
	return c, nil
}

// with runs a part of a command with a connection, within --timeout.
func (a *app) with(ctx context.Context, do func(ctx context.Context, c *client.Client) error) error {
	c, err := a.dial(ctx, defaultClient())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return do(ctx, c)
}
