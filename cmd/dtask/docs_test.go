package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/view"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

const cliPage = "../../docs/cli.md"

// printed says what each command prints as JSON.
var printed = map[string]struct {
	how string
	row any
}{
	"dtask schedule":        {"an object on a line of its own for each task that got a place", placement{}},
	"dtask release":         {"an object on a line of its own for each lease", released{}},
	"dtask worker list":     {"a list of objects", view.Worker{}},
	"dtask worker show":     {"an object", workerDetail{}},
	"dtask worker wait":     {"an object on a line of its own for each worker", ready{}},
	"dtask worker cordon":   {"an object on a line of its own for each worker", change{}},
	"dtask worker drain":    {"an object on a line of its own for each worker", change{}},
	"dtask worker uncordon": {"an object on a line of its own for each worker", change{}},
	"dtask lease list":      {"a list of objects; with `--count` `{\"count\":12}`", view.Lease{}},
	"dtask lease show":      {"an object", view.Lease{}},
	"dtask queue list":      {"a list of objects; with `--count` `{\"count\":12}`", view.Waiter{}},
	"dtask queue show":      {"an object", view.Waiter{}},
	"dtask queue cancel":    {"an object", cancelled{}},
	"dtask lease history":   {"a list of objects", view.Ended{}},
	"dtask tags":            {"a list of objects", view.Tag{}},
	"dtask stats":           {"an object", statsRow{}},
	"dtask events":          {"a list of objects; with `--follow` an object on a line of its own for each", view.Event{}},
	"dtask ping":            {"an object", pong{}},
	"dtask demo":            {"an object: the summary", nil},
	"dtask version":         {"an object", versionRow{}},
	"dtask completion":      {},
}

// TestDocs compares docs/cli.md with the commands; -update writes it.
func TestDocs(t *testing.T) {
	page := cliDocument(t)
	if *update {
		require.NoError(t, os.WriteFile(cliPage, []byte(page), 0o644))
	}
	text, err := os.ReadFile(cliPage)
	require.NoError(t, err)
	require.Equal(t, page, string(text), "run: go test ./cmd/dtask -run Docs -update")
}

// page writes a document.
type page struct {
	t    *testing.T
	rows map[reflect.Type]string // the command whose section has the keys of a type
	strings.Builder
}

func (p *page) linef(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func cliDocument(t *testing.T) string {
	root := commandTree()
	p := &page{t: t, rows: map[reflect.Type]string{}}
	p.linef("# The command line\n")
	p.linef("`bin/dtask` is the tool for people and scripts. This page is generated from the commands: `dtask COMMAND --help` prints the same.\n")
	p.linef("Flags may stand before or behind the arguments, and win over the environment. An empty flag or argument is refused, since it is usually an unset variable of a script. An empty environment variable counts as unset.\n")
	p.linef("| variable | stands for |\n|---|---|")
	p.linef("| `DTASK_ADDR` | `--addr`: the schedulers, separated by commas, each as `host`, `host:port` or `[IPv6]:port`, optionally behind `dtask://`; the first that answers is used |")
	p.linef("| `DTASK_OUTPUT` | `--output` |")
	p.linef("| `DTASK_CLIENT` | `--client` of `schedule` |")
	p.linef("| `DTASK_TOKEN` | sent to schedulers that ask for one |")
	p.linef("| `NO_COLOR` | no colours; without a terminal there are none |\n")
	p.linef("| exit code | meaning |\n|---|---|")
	for _, row := range [][2]string{
		{fmt.Sprint(exitOK), "done"}, {fmt.Sprint(exitError), "an error; the text names it, and the next command to type"},
		{fmt.Sprint(exitUnavailable), "not placeable now: the workers that could take it are busy"},
		{fmt.Sprint(exitInfeasible), "infeasible: no known worker could take it, even when idle"},
		{fmt.Sprint(exitCancelled), "cancelled: it was taken out of the queue"}, {fmt.Sprint(exitUsage), "the command line is wrong"},
		{fmt.Sprint(exitInterrupted), "interrupted by Ctrl-C (SIGINT); by SIGTERM it is " + fmt.Sprint(exitTerminated)},
		{fmt.Sprint(exitPipe), "the reader of the output closed it, as `head` does"},
	} {
		p.linef("| %s | %s |", row[0], row[1])
	}
	p.linef("\nTables are for people and may change. JSON (`-o json`) is for programs: keys stay, new keys may come, empty ones may be missing. Times are RFC 3339 in UTC. Errors go to stderr, as text. A command whose output cannot be written exits with 1; `schedule` then releases the leases that were not printed.\n")
	p.linef("## Flags of all commands\n")
	p.flags(root.Flags)
	p.linef("\nLists and `show` commands also have:\n")
	p.flags(watchFlags())
	for _, c := range root.Commands {
		p.command(c, root.Name)
	}
	return p.String()
}

// commandTree is the root with everything that the library adds.
func commandTree() *cli.Command {
	root := (&app{out: newPrinter(&strings.Builder{})}).root()
	root.Writer = &strings.Builder{}
	_ = root.Run(context.Background(), []string{"dtask", "--help"}) // only help can fail, and it prints to memory
	return root
}

// command writes the section of one command and of those under it.
func (p *page) command(c *cli.Command, parent string) {
	if c.Hidden || c.Name == "help" {
		return
	}
	name := parent + " " + c.Name
	own := func(sub *cli.Command) bool { return sub.Name != "help" }
	if slices.ContainsFunc(c.Commands, own) && c.Name != "completion" {
		for _, sub := range c.Commands {
			p.command(sub, name)
		}
		return
	}
	usage := name
	if c.Name == "completion" {
		usage += " bash|zsh|fish|pwsh"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	p.linef("\n## %s\n\n`%s`\n\n%s.", name, usage, strings.ToUpper(c.Usage[:1])+c.Usage[1:])
	text, examples := parts(c.Description)
	if text != "" {
		for paragraph := range strings.SplitSeq(text, "\n\n") {
			p.linef("\n%s", strings.ReplaceAll(paragraph, "\n", " "))
		}
	}
	p.linef("\n```\n%s\n```", strings.Join(examples, "\n"))
	require.NotEmpty(p.t, examples, name)
	if flags := visibleFlags(c); len(flags) > 0 {
		p.linef("")
		p.flags(flags)
	}
	p.json(name)
}

func visibleFlags(c *cli.Command) (list []cli.Flag) {
	for _, f := range c.Flags {
		watch := func(w cli.Flag) bool { return slices.Equal(w.Names(), f.Names()) }
		if f.Names()[0] != "help" && (!hasFlag(c, "watch") || !slices.ContainsFunc(watchFlags(), watch)) {
			list = append(list, f)
		}
	}
	return list
}

// hasFlag reports whether a command has a flag of this name.
func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// parts cuts a description into its text and its examples.
func parts(description string) (text string, examples []string) {
	text, list, _ := strings.Cut(strings.ReplaceAll(description, "Example:", "Examples:"), "Examples:\n")
	for line := range strings.Lines(list) {
		examples = append(examples, strings.TrimSpace(line))
	}
	return strings.TrimSpace(text), examples
}

// flags writes a table of flags.
func (p *page) flags(flags []cli.Flag) {
	p.linef("| flag | default | meaning |\n|---|---|---|")
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		require.True(p.t, ok, f.Names())
		if f.Names()[0] == "help" || f.Names()[0] == "version" {
			continue
		}
		var names []string
		for _, n := range f.Names() {
			names = append(names, "`"+strings.Repeat("-", min(len(n), 2))+n+"`")
		}
		value, usage := "", d.GetUsage()
		if _, rest, quoted := strings.Cut(usage, "`"); quoted {
			value, _, _ = strings.Cut(rest, "`")
			usage = strings.ReplaceAll(usage, "`", "")
			value = " " + value
		}
		p.linef("| %s%s | %s | %s |", strings.Join(names, ", "), value, shown(d), usage)
	}
}

// shown is a flag's default, "" where it is nothing.
func shown(d cli.DocGenerationFlag) string {
	if !d.TakesValue() {
		return ""
	}
	switch text := cmp.Or(d.GetDefaultText(), d.GetValue()); text {
	case "", `""`, "0s", "[]":
		return ""
	default:
		return "`" + strings.Trim(text, `"`) + "`"
	}
}

// json writes what a command prints as JSON.
func (p *page) json(name string) {
	says, known := printed[name]
	require.True(p.t, known, "the table printed lacks %s", name)
	if says.how == "" {
		return
	}
	p.linef("\nJSON: %s.", says.how)
	if says.row == nil {
		return
	}
	row := reflect.TypeOf(says.row)
	if of, ok := p.rows[row]; ok {
		p.linef("\nThe keys are those of %s.", section(of))
		return
	}
	p.rows[row] = name
	p.linef("\n| key | type | meaning |\n|---|---|---|")
	p.keys(row)
	if _, ok := says.row.(placement); ok {
		p.linef("\nand for each that got none:\n\n| key | type | meaning |\n|---|---|---|")
		p.keys(reflect.TypeFor[noPlacement]())
	}
}

// section is a link to the section of a command.
func section(command string) string {
	return fmt.Sprintf("[%s](#%s)", command, strings.ReplaceAll(command, " ", "-"))
}

// keys writes the keys of a type; embedded ones are part of it.
func (p *page) keys(t reflect.Type) {
	for f := range fields(t) {
		if f.Anonymous {
			if doc := f.Type.Name(); doc == "Handover" {
				p.linef("| `lease_id`, `worker_id`, `address`, `incarnation`, `task_id`, `client`, `owner`, `group`, `priority`, `resources`, `devices`, `exclusive`, `on_preempt` | | the handover, which the worker's begin takes as it is |")
				continue
			}
			if of, ok := p.rows[f.Type]; ok {
				p.linef("| all | | those of %s |", section(of))
				continue
			}
			p.keys(f.Type)
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		doc := f.Tag.Get("doc")
		require.NotEmpty(p.t, doc, "%s.%s has no tag doc", t, f.Name)
		kind := typeName(f.Type)
		if option == "string" {
			kind = option
		}
		p.linef("| `%s` | %s | %s |", key, kind, doc)
	}
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// typeName names a type of Go as JSON has it.
func typeName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[view.Time]():
		return "time"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map:
		return "object"
	case t.Kind() == reflect.String, t.Name() == "LeaseID":
		return "string"
	case t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() == reflect.Bool:
		return "bool"
	}
	return "number"
}

// examplesOf walks all commands and returns their examples.
func examplesOf(t *testing.T, c *cli.Command, name string) (list []string) {
	if c.Name == "help" {
		return nil
	}
	_, examples := parts(c.Description)
	require.NotEmpty(t, examples, "%s has no example", name)
	for _, sub := range c.Commands {
		list = append(list, examplesOf(t, sub, name+" "+sub.Name)...)
	}
	return append(list, examples...)
}

// TestExamplesRun: every example of every help text is a command line that the
// tool understands, whatever it then finds.
func TestExamplesRun(t *testing.T) {
	addr, stop, err := embed()
	require.NoError(t, err)
	defer stop()
	a, err := agent.Start(t.Context(), agent.Config{
		Scheduler: "dtask://" + addr, Worker: "worker-001", Address: "h:1", Slots: 100, Tags: []string{"gpu", "cuda-12.0"}, TasksDieWithAgent: true,
	})
	require.NoError(t, err)
	defer func() { _ = a.Stop(context.Background()) }()
	require.NoError(t, waitEligible(addr, "worker-001"))
	t.Setenv("DTASK_ADDR", addr)
	for _, example := range examplesOf(t, commandTree(), "dtask") {
		line, _, _ := strings.Cut(example, "#")
		line, _, _ = strings.Cut(line, " > ")
		args := words(elsewhere.Replace(line))
		require.Equal(t, "dtask", args[0], example)
		if args[1] == "demo" && len(args) > 2 {
			continue // TestDemoKeepSaysWhatToTry runs it
		}
		limit := patienceOf(args)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		var stdout, stderr strings.Builder
		code := run(ctx, args, &stdout, &stderr)
		cancel()
		require.NotEqual(t, exitUsage, code, "%s\n%s", example, stderr.String())
	}
}

// elsewhere replaces schedulers on other machines by one that is not there.
var elsewhere = strings.NewReplacer("10.0.0.1:8081", "127.0.0.1:1", "10.0.0.2:8081", "127.0.0.1:2")

// patienceOf is how long an example may run: those that go on are interrupted.
func patienceOf(args []string) time.Duration {
	for _, a := range args {
		if a == "--watch" || a == "--follow" {
			return 50 * time.Millisecond
		}
	}
	return 30 * time.Second
}

// words cuts a command line at blanks outside quotation marks.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(strings.ReplaceAll(line, "'", `"`), `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}
