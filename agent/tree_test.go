package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// family is a program whose processes wrote their ids down.
type family struct {
	root *exec.Cmd
	pids []int // of what it started
}

// startFamily runs a shell script that starts n processes and writes the id of each to
// the file $PIDS.
func startFamily(t *testing.T, script string, n int, group bool) *family {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pids")
	f := &family{root: exec.Command("/bin/sh", "-c", script)}
	f.root.Env = append(os.Environ(), "PIDS="+file)
	f.root.SysProcAttr = &syscall.SysProcAttr{Setsid: group}
	require.NoError(t, f.root.Start())
	t.Cleanup(func() {
		for _, pid := range f.pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = f.root.Process.Kill()
		_ = f.root.Wait()
	})
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(file)
		return strings.Count(string(text), "\n") == n
	}, patience, 5*time.Millisecond)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(line)
		require.NoError(t, err)
		f.pids = append(f.pids, pid)
	}
	return f
}

// lives reports whether a process runs; a zombie does not.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

const sleeps = `sleep 600 & echo $! >>$PIDS; `

// families are programs that start others, each in a way of its own.
var families = []struct {
	name, script string
	n            int
	group        bool
}{
	{"a child", sleeps + `wait`, 1, false},
	{"a child that ignores SIGTERM", `trap '' TERM; ` + sleeps + `wait`, 1, false},
	{"a grandchild", `sh -c '` + sleeps + `wait' & wait`, 1, false},
	{"a child in a session of its own", `setsid sh -c 'echo $$ >>$PIDS; exec sleep 600' & wait`, 1, false},
	{"a group", sleeps + sleeps + `wait`, 2, true},
	{"an orphan in the group", `sh -c '` + sleeps + `'; sleep 600`, 1, true},
}

// reaping starts a scheduler and its one worker.
func reaping(t *testing.T, tune ...func(*agent.Config)) (*agent.Agent, *client.Client) {
	cfg := config(t)
	cfg.Sched.PreemptGrace = 200
	s := serveWith(t, cfg)
	c := agent.Config{Scheduler: "dtask://" + s.Addr(), Worker: "w1", Address: "h:1", Tags: []string{"cpu"}, Slots: 8, TasksDieWithAgent: true}
	for _, f := range tune {
		f(&c)
	}
	a, err := agent.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Stop(t.Context()) })
	cl, err := client.Dial(t.Context(), []string{s.Addr()}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { cl.Close() })
	return a, cl
}

// TestTheEndOfATaskIsTheEndOfItsProcesses: however a task ends, all that it
// started is gone when its lease is over, and nothing else is.
func TestTheEndOfATaskIsTheEndOfItsProcesses(t *testing.T) {
	t.Parallel()
	for way, end := range map[string]func(*testing.T, *agent.Agent, *client.Client, []*agent.Task, []*family){
		"end": func(t *testing.T, _ *agent.Agent, _ *client.Client, tasks []*agent.Task, _ []*family) {
			for _, task := range tasks {
				require.NoError(t, task.End(wire.ReasonOK))
			}
		},
		"drain": func(t *testing.T, _ *agent.Agent, c *client.Client, _ []*agent.Task, _ []*family) {
			_, err := c.DrainWithin(t.Context(), "w1", "driver", time.Millisecond)
			require.NoError(t, err)
		},
		"stop": func(t *testing.T, a *agent.Agent, _ *client.Client, _ []*agent.Task, _ []*family) {
			require.NoError(t, a.Stop(t.Context()))
		},
		"death": func(t *testing.T, _ *agent.Agent, _ *client.Client, tasks []*agent.Task, all []*family) {
			for i, f := range all {
				pids, err := tasks[i].Processes() // what is no group is known by a look before
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(pids), len(f.pids)+1)
				require.NoError(t, f.root.Process.Kill())
			}
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			bystander := startFamily(t, sleeps+`wait`, 1, false)
			a, cl := reaping(t)
			var all []*family
			var tasks []*agent.Task
			for i, c := range families {
				f := startFamily(t, c.script, c.n, c.group)
				task, err := a.Begin(hand(t, schedule(t, cl, fmt.Sprint("task-", i))), agent.Caller{PID: f.root.Process.Pid})
				require.NoError(t, err)
				all, tasks = append(all, f), append(tasks, task)
			}
			end(t, a, cl, tasks, all)
			for i, f := range all {
				ends(t, tasks[i].Over(), families[i].name+" goes on")
				for _, pid := range append(f.pids, f.root.Process.Pid) {
					require.False(t, lives(pid), "%s: %d has outlived its task", families[i].name, pid)
				}
			}
			require.True(t, lives(bystander.root.Process.Pid) && lives(bystander.pids[0]))
		})
	}
}

// TestWhatATaskLeftBehindHoldsItsRoom: the processes of a dead task have the time
// to end by themselves, and the room is theirs until then; a restarted agent
// finds them by their group.
func TestWhatATaskLeftBehindHoldsItsRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := startFamily(t, `trap '' TERM; `+sleeps+`wait`, 1, true)
	keeps := func(c *agent.Config) { c.TasksDieWithAgent, c.StateDir = false, dir }
	a, cl := reaping(t, keeps)
	_, err := a.Begin(hand(t, schedule(t, cl, "task")), agent.Caller{PID: f.root.Process.Pid})
	require.NoError(t, err)
	address := a.Config().Scheduler
	require.ErrorIs(t, a.Stop(t.Context()), agent.ErrTasksRemain)
	require.True(t, lives(f.pids[0]), "a task outlives its agent")
	require.NoError(t, f.root.Process.Kill())
	_ = f.root.Wait()

	again, _ := reaping(t, keeps, func(c *agent.Config) { c.Scheduler = address })
	tasks := again.Tasks()
	require.Len(t, tasks, 1, "what runs has its room")
	require.True(t, tasks[0].Status().Ending)
	require.ErrorIs(t, tasks[0].KeepAlive(), agent.ErrNotRunning)
	require.True(t, lives(f.pids[0]))
	ends(t, tasks[0].Over(), "the task goes on")
	require.False(t, lives(f.pids[0]))
}

// TestProcessesThatAreLeftAlone: those of a task that leaves, of one whose
// process runs another task, and of another task below.
func TestProcessesThatAreLeftAlone(t *testing.T) {
	t.Parallel()
	a, cl := reaping(t)
	begin := func(name string, pid int) *agent.Task {
		task, err := a.Begin(hand(t, schedule(t, cl, name)), agent.Caller{PID: pid})
		require.NoError(t, err)
		return task
	}
	pool := startFamily(t, sleeps+`wait`, 1, true)
	first, second := begin("first", pool.root.Process.Pid), begin("second", pool.root.Process.Pid)
	below := begin("below", pool.pids[0])
	require.NoError(t, first.End(wire.ReasonOK))
	ends(t, first.Over(), "it shares its process")
	require.NoError(t, second.End(wire.ReasonOK))
	ends(t, second.Over(), "the task goes on")
	require.False(t, lives(pool.root.Process.Pid))
	require.True(t, lives(pool.pids[0]), "it is a task of its own")
	require.NoError(t, below.Leave(wire.ReasonOK))
	ends(t, below.Over(), "the task goes on")
	require.True(t, lives(pool.pids[0]))

	here := begin("here", os.Getpid())
	require.NoError(t, here.End(wire.ReasonOK))
	parent := begin("parent", os.Getppid())
	require.NoError(t, parent.End(wire.ReasonOK))
	ends(t, parent.Over(), "what started the agent goes on")
}

// TestALateKeepAliveEndsTheProcesses: a task that is lost because it is silent
// does not go on without its lease.
func TestALateKeepAliveEndsTheProcesses(t *testing.T) {
	t.Parallel()
	a, cl := reaping(t)
	f := startFamily(t, sleeps+`wait`, 1, true)
	task, err := a.Begin(hand(t, schedule(t, cl, "task")), agent.Caller{PID: f.root.Process.Pid, KeepAlive: time.Millisecond})
	require.NoError(t, err)
	ends(t, task.Over(), "the task goes on")
	require.False(t, lives(f.root.Process.Pid) || lives(f.pids[0]))
}
