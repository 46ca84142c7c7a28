package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// fleet is a scheduler with a worker that has room (tag a) and one that has none
// (tag b).
type fleet struct {
	t     *testing.T
	addr  string
	c     *client.Client
	tasks int
}

func newFleet(t *testing.T) *fleet {
	addr, stop, err := embed()
	require.NoError(t, err)
	t.Cleanup(stop)
	for id, slots := range map[string]uint32{"a": 100, "b": 1} {
		w, err := agent.Start(t.Context(), agent.Config{
			Scheduler: "dtask://" + addr, Worker: id, Address: "h:1", Tags: []string{id}, Slots: slots, TasksDieWithAgent: true,
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = w.Stop(context.Background()) })
		require.NoError(t, waitEligible(addr, id))
	}
	f := &fleet{t: t, addr: addr}
	f.c, err = client.Dial(t.Context(), []string{addr}, &client.Options{ClientID: defaultClient()})
	require.NoError(t, err)
	t.Cleanup(func() { f.c.Close() })
	_, err = f.c.Schedule(t.Context(), client.Task{ID: "fills", Tags: []string{"b"}, TTL: time.Hour})
	require.NoError(t, err)
	return f
}

// name returns the id of a new task.
func (f *fleet) name(kind string) string {
	f.tasks++
	return fmt.Sprintf("%s-%d", kind, f.tasks)
}

// lease returns the id of a new lease.
func (f *fleet) lease() string {
	l, err := f.c.Schedule(f.t.Context(), client.Task{ID: f.name("held"), Tags: []string{"a"}, TTL: time.Hour})
	require.NoError(f.t, err)
	return l.ID().String()
}

// waiter returns the id of a new task that waits.
func (f *fleet) waiter() string {
	id := f.name("waits")
	go func() {
		_, _ = f.c.Schedule(f.t.Context(), client.Task{ID: id, Tags: []string{"b"}, Wait: time.Hour}) // the test ends it
	}()
	for there := false; !there; {
		for _, err := range f.c.Queue(f.t.Context(), client.QueueFilter{Task: id}) {
			require.NoError(f.t, err)
			there = true
		}
	}
	return id
}

// arguments says how each command is called so that it succeeds.
var arguments = map[string]func(f *fleet) []string{
	"dtask schedule":        func(f *fleet) []string { return []string{"a", "--count", "2", "--task", f.name("unseen")} },
	"dtask release":         func(f *fleet) []string { return []string{f.lease(), f.lease()} },
	"dtask worker list":     nil,
	"dtask worker show":     func(*fleet) []string { return []string{"a"} },
	"dtask worker wait":     func(*fleet) []string { return []string{"a"} },
	"dtask worker cordon":   func(*fleet) []string { return []string{"b"} },
	"dtask worker drain":    func(*fleet) []string { return []string{"b"} },
	"dtask worker uncordon": func(*fleet) []string { return []string{"b"} },
	"dtask workers":         nil,
	"dtask leases":          nil,
	"dtask version":         nil,
	"dtask lease list":      nil,
	"dtask lease show":      func(f *fleet) []string { return []string{f.lease()} },
	"dtask lease history":   nil,
	"dtask queue list":      nil,
	"dtask queue show":      func(f *fleet) []string { return []string{f.waiter()} },
	"dtask queue cancel":    func(f *fleet) []string { return []string{f.waiter()} },
	"dtask tags":            nil,
	"dtask stats":           nil,
	"dtask events":          nil,
	"dtask ping":            nil,
	"dtask demo":            func(*fleet) []string { return []string{"--tasks", "3", "--agents", "1"} },
	"dtask completion bash": nil, "dtask completion zsh": nil, "dtask completion fish": nil, "dtask completion pwsh": nil,
}

// leaves calls f for every command that has none under it, hidden ones too.
func leaves(c *cli.Command, parent string, f func(name string, c *cli.Command)) {
	name := strings.TrimSpace(parent + " " + c.Name)
	below := 0
	for _, sub := range c.Commands {
		if sub.Name != "help" {
			below++
			leaves(sub, name, f)
		}
	}
	if below == 0 {
		f(name, c)
	}
}

// full takes some bytes and then says why it takes no more.
type full struct {
	room int
	err  error
}

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	if f.room -= n; n < len(b) {
		return n, f.err
	}
	return n, nil
}

// execute runs a command of this fleet. It must end by itself.
func (f *fleet) execute(stdout io.Writer, args ...string) (code int, stderr string) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	var said strings.Builder
	code = run(ctx, append([]string{"dtask", "--addr", f.addr}, args...), stdout, &said)
	require.NoError(f.t, ctx.Err(), "%q goes on", args)
	return code, said.String()
}

// Every command that prints something says so if it cannot, in every format.
func TestOutputThatCannotBeWritten(t *testing.T) {
	f := newFleet(t)
	known := map[string]bool{}
	leaves(commandTree(), "", func(name string, c *cli.Command) {
		known[name] = true
		more, listed := arguments[name]
		require.True(t, listed, "%s: the table does not say how to call it", name)
		call := func(format ...string) []string {
			args := slices.Concat(strings.Fields(name)[1:], format)
			if more != nil {
				args = append(args, more(f)...)
			}
			return args
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for _, format := range [][]string{nil, {"-o", "json"}, {"-q"}, {"--help"}} {
				f.loses(call, format)
			}
		})
	})
	for name := range arguments {
		require.True(t, known[name], "there is no command %s", name)
	}
	require.Len(t, f.leases("unseen"), seenLeases)
}

// leases returns the tasks with this prefix that hold a lease, once no worker is
// being asked for one.
func (f *fleet) leases(prefix string) (tasks []string) {
	for asked := true; asked; {
		tasks, asked = nil, false
		for l, err := range f.c.Leases(f.t.Context(), client.LeaseFilter{Client: defaultClient()}) {
			require.NoError(f.t, err)
			if strings.HasPrefix(l.Task, prefix) {
				tasks = append(tasks, l.Task)
				asked = asked || l.State == wire.StateAskedBack
			}
		}
	}
	slices.Sort(tasks)
	return tasks
}

// lines takes some lines and then no more.
type lines int

func (l *lines) Write(b []byte) (int, error) {
	if *l == 0 {
		return 0, syscall.ENOSPC
	}
	*l--
	return len(b), nil
}

// Of a batch the leases are given back whose rows were not written.
func TestTheUnseenPartOfABatchIsGivenBack(t *testing.T) {
	f := newFleet(t)
	for format, head := range map[string]lines{"--output=table": 1, "--output=json": 0, "--quiet": 0} {
		task := f.name("half")
		out := head + 2
		code, stderr := f.execute(&out, "schedule", "a", "--count", "4", format, "--task", task)
		require.Equal(t, exitError, code, stderr)
		require.Equal(t, []string{task + "-1", task + "-2"}, f.leases(task+"-"), format)
	}
}

// seenLeases is how many leases of TestOutputThatCannotBeWritten were printed:
// two in each of three formats.
const seenLeases = 3 * 2

// loses runs one command with outputs that take next to nothing.
func (f *fleet) loses(call func(format ...string) []string, format []string) {
	t := f.t
	var all strings.Builder
	args := call(format...)
	code, stderr := f.execute(&all, args...)
	require.Zero(t, code, "%q: %s", args, stderr)
	if all.Len() == 0 {
		return
	}
	for _, room := range []int{0, 1} {
		args = call(format...)
		code, stderr = f.execute(&full{room, syscall.ENOSPC}, args...)
		require.Equal(t, exitError, code, "%q: %s", args, stderr)
		require.Equal(t, "dtask: the output could not be written: no space left on device\n", stderr, "%q", args)
	}
	args = call(format...)
	code, stderr = f.execute(&full{0, syscall.EPIPE}, args...)
	require.Equal(t, exitPipe, code, "%q: %s", args, stderr)
	require.Empty(t, stderr, "%q", args)
}

// What goes on until it is interrupted ends when nobody can read it.
func TestWhatGoesOnEndsWithItsOutput(t *testing.T) {
	f := newFleet(t)
	for _, format := range []string{"table", "json"} {
		leaves(commandTree(), "", func(name string, c *cli.Command) {
			for _, flag := range []string{"watch", "follow", "keep"} {
				if !slices.ContainsFunc(c.Flags, func(fl cli.Flag) bool { return slices.Contains(fl.Names(), flag) }) {
					continue
				}
				args := append(strings.Fields(name)[1:], "-o", format, "--"+flag)
				if more := arguments[name]; more != nil {
					args = append(args, more(f)...)
				}
				code, stderr := f.execute(&full{0, syscall.ENOSPC}, args...)
				require.Equal(t, exitError, code, "%q: %s", args, stderr)
				require.Contains(t, stderr, "no space left on device")
			}
		})
	}
}

// A lease that was there before is known to others, so it is not given back.
func TestALeaseThatOthersKnowIsKept(t *testing.T) {
	f := newFleet(t)
	var out strings.Builder
	code, stderr := f.execute(&out, "schedule", "a", "--task", "t", "-q")
	require.Zero(t, code, stderr)
	code, _ = f.execute(&full{0, syscall.ENOSPC}, "schedule", "a", "--task", "t", "-q")
	require.Equal(t, exitError, code)
	code, stderr = f.execute(io.Discard, "lease", "show", strings.TrimSpace(out.String()))
	require.Zero(t, code, stderr)
}

// The process itself: its lease is given back when the reader has gone away.
func TestAPipeThatNobodyReads(t *testing.T) {
	f := newFleet(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	r.Close()
	defer w.Close()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "dtask", "--addr", f.addr, "schedule", "a", "--task", "t", "-q")
	cmd.Stdout, cmd.Stderr = w, &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, exitPipe, cmd.ProcessState.ExitCode(), stderr.String())
	require.Empty(t, stderr.String())
	require.Empty(t, f.leases("t"))
}
