package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// child starts a process that lives until the test ends it.
func child(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "60")
	require.NoError(t, c.Start())
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

// keeps has an agent keep its leases in dir.
func keeps(dir string) func(*Config) {
	return func(c *Config) { c.StateDir, c.TasksDieWithAgent = dir, false }
}

func TestTasksOutliveTheAgent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFake(t)
		program := child(t)
		a := startAgent(t, f.url(), keeps(dir))
		p, _ := f.admit()
		connected(t, a)
		begun := time.Now()
		_, err := a.Begin(handover(a, 1), Caller{PID: program.Process.Pid, Token: "mine"})
		require.NoError(t, err)
		_, err = a.Begin(handover(a, 2), Caller{})
		require.NoError(t, err)
		await[*wire.Begun](p)
		await[*wire.Begun](p)
		stopped := make(chan error)
		go func() { stopped <- a.Stop(t.Context()) }()
		require.Equal(t, wire.ReasonLost, await[*wire.End](p).Outcome, "the task inside the agent's process")
		p.gone()
		require.ErrorIs(t, <-stopped, ErrTasksRemain)

		b := startAgent(t, f.url(), keeps(dir))
		p, m := f.admit()
		require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonNone, 2: wire.ReasonLost}, listed(m))
		require.Len(t, b.Tasks(), 1)
		connected(t, b)
		task := b.Find(handover(b, 1).Lease, "")
		require.Nil(t, b.Find(handover(b, 2).Lease, ""))
		require.WithinRange(t, task.Status().Begun, begun, time.Now())
		before := task.Status()
		_, err = b.Begin(task.Handover(), Caller{PID: program.Process.Pid, Token: "mine", KeepAlive: time.Hour})
		require.NoError(t, err, "the caller may ask again")
		after := task.Status()
		require.Equal(t, before.Begun, after.Begun)
		require.Equal(t, program.Process.Pid, after.PID)
		require.Zero(t, before.Left)
		require.InDelta(t, time.Hour, after.Left, float64(time.Minute))

		require.NoError(t, program.Process.Kill())
		_, err = program.Process.Wait() // takes its time, which the clock of the test does not count
		require.NoError(t, err)
		end := await[*wire.End](p)
		require.EqualValues(t, 1, end.Lease.Counter)
		require.Equal(t, wire.ReasonLost, end.Outcome, "its process died")
	})
}

// TestWhatATaskSaysOfMakingRoomIsKept: the next agent lists it. What an agent
// wrote that did not know of it says nothing.
func TestWhatATaskSaysOfMakingRoomIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		s, _, err := openStore(dir, "w1")
		require.NoError(t, err)
		for n, on := range []wire.OnPreempt{wire.OnPreemptDefault, wire.OnPreemptEnd, wire.OnPreemptRequeue, wire.OnPreemptNever} {
			h := wire.Handover{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: uint64(n)}, Worker: "w1", Incarnation: 1, Task: "t", OnPreempt: on}
			require.NoError(t, s.sync(s.begun(&h, &watch{Token: "p"})))
		}
		require.NoError(t, s.close())
		data, err := os.ReadFile(filepath.Join(dir, storeFile))
		require.NoError(t, err)
		words := 0
		_, err = eachRecord(data, func(_ int64, payload []byte) error {
			words += strings.Count(string(payload), `"on_preempt"`)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, words, "the first is what an older agent writes")

		f := newFake(t)
		startAgent(t, f.url(), keeps(dir))
		_, m := f.admit()
		require.Len(t, m.Leases, 4)
		for i := range m.Leases {
			require.EqualValues(t, m.Leases[i].Lease.Counter, m.Leases[i].OnPreempt)
		}
	})
}

func TestTasksThatDieWithTheAgentAreLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newFake(t)
		program := child(t)
		a := startAgent(t, f.url(), keeps(dir))
		f.admit()
		connected(t, a)
		_, err := a.Begin(handover(a, 1), Caller{PID: program.Process.Pid})
		require.NoError(t, err)
		a.cancel()
		a.wg.Wait()
		require.NoError(t, a.side.close())

		startAgent(t, f.url(), func(c *Config) { c.StateDir = dir })
		p, m := f.admit()
		require.Equal(t, map[uint64]wire.Reason{1: wire.ReasonNone}, listed(m), "it has its room while its process lives")
		require.Equal(t, wire.ReasonLost, await[*wire.End](p).Outcome)
		require.ErrorContains(t, program.Wait(), "terminated")
	})
}

func TestKeepAlivesThatStopEndTheTask(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		f.admit()
		connected(t, a)
		task, err := a.Begin(handover(a, 1), Caller{KeepAlive: time.Hour})
		require.NoError(t, err)
		require.NoError(t, task.KeepAlive())
		a.sweep(time.Now().Add(59 * time.Minute))
		require.Equal(t, 1, a.Status().Running)
		a.sweep(time.Now().Add(61 * time.Minute))
		<-task.Over()
		require.ErrorIs(t, task.KeepAlive(), ErrNotRunning)
	})
}

func TestADeadProcessBeginsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url())
		f.admit()
		connected(t, a)
		program := child(t)
		require.NoError(t, program.Process.Kill())
		program.Wait()
		_, err := a.Begin(handover(a, 1), Caller{PID: program.Process.Pid})
		require.ErrorIs(t, err, ErrDead)
		require.Zero(t, a.Status().Running)
	})
}

func TestAProcessIDThatIsUsedAgainIsAnotherProcess(t *testing.T) {
	p, err := identify(os.Getpid())
	require.NoError(t, err)
	require.False(t, p.dead())
	p.Start += "0"
	require.True(t, p.dead())
	zombie := exec.Command("true")
	require.NoError(t, zombie.Start())
	defer zombie.Wait()
	require.Eventually(t, func() bool { return process{PID: zombie.Process.Pid}.dead() }, patience, time.Millisecond)
}

func TestOneAgentToAStateDirectory(t *testing.T) {
	dir := t.TempDir()
	s, _, err := openStore(dir, "w1")
	require.NoError(t, err)
	_, _, err = openStore(dir, "w1")
	require.ErrorIs(t, err, ErrStateInUse)
	require.NoError(t, s.close())
	_, _, err = openStore(dir, "w2")
	require.ErrorContains(t, err, `belongs to the worker "w1"`)
}

// fill writes three begun leases, one of which has ended, and returns the file.
func fill(t *testing.T, dir string) []byte {
	s, _, err := openStore(dir, "w1")
	require.NoError(t, err)
	for n := range uint64(3) {
		h := wire.Handover{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n + 1}, Worker: "w1", Incarnation: 1, Task: "t"}
		require.NoError(t, s.sync(s.begun(&h, &watch{Token: "p"})))
	}
	s.ended(wire.LeaseID{Epoch: 1, Instance: 7, Counter: 2}, wire.ReasonOK)
	require.NoError(t, s.close())
	data, err := os.ReadFile(filepath.Join(dir, storeFile))
	require.NoError(t, err)
	return data
}

func TestAFileTornAnywhereKeepsTheRecordsBefore(t *testing.T) {
	whole := fill(t, t.TempDir())
	var ends []int
	_, err := eachRecord(whole, func(at int64, payload []byte) error {
		ends = append(ends, int(at)+recordHead+len(payload))
		return nil
	})
	require.NoError(t, err)
	for cut := range whole {
		n := 0
		good, err := eachRecord(whole[:cut], func(int64, []byte) error { n++; return nil })
		require.NoError(t, err, "cut at %d", cut)
		require.LessOrEqual(t, good, int64(cut))
		want := 0
		for want < len(ends) && ends[want] <= cut {
			want++
		}
		require.Equal(t, want, n, "cut at %d", cut)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, storeFile), whole[:ends[2]+3], 0o600))
	s, cut, err := openStore(dir, "w1")
	require.NoError(t, err)
	require.EqualValues(t, 3, cut)
	require.Len(t, s.leases, 2)
	require.NoError(t, s.close())
}

func TestAFlippedByteIsFoundAndNamed(t *testing.T) {
	dir := t.TempDir()
	whole := fill(t, dir)
	var starts []int64
	_, err := eachRecord(whole, func(at int64, _ []byte) error { starts = append(starts, at); return nil })
	require.NoError(t, err)
	last := starts[len(starts)-1]
	for i := range whole {
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 0x20
		n := 0
		good, err := eachRecord(flipped, func(int64, []byte) error { n++; return nil })
		if int64(i) >= last {
			require.NoError(t, err, "a flip in the last record is a torn one")
			require.Equal(t, last, good)
			continue
		}
		var damage *DamageError
		require.ErrorAs(t, err, &damage, "byte %d", i)
		want := int64(0)
		for _, at := range starts {
			if at <= int64(i) {
				want = at
			}
		}
		require.Equal(t, want, damage.Offset, "byte %d", i)
	}
	whole[starts[1]+recordHead] ^= 1
	require.NoError(t, os.WriteFile(filepath.Join(dir, storeFile), whole, 0o600))
	_, err = Start(t.Context(), Config{Scheduler: "dtask://127.0.0.1:1", Worker: "w1", Address: "h:1", StateDir: dir})
	var damage *DamageError
	require.ErrorAs(t, err, &damage)
	require.Equal(t, starts[1], damage.Offset)
}

func TestTheFileStaysSmall(t *testing.T) {
	dir := t.TempDir()
	s, _, err := openStore(dir, "w1")
	require.NoError(t, err)
	for n := range uint64(12_000) {
		h := wire.Handover{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: n + 1}, Worker: "w1", Incarnation: 1, Task: "t"}
		mark := s.begun(&h, &watch{Token: "p"})
		if n%500 == 0 {
			require.NoError(t, s.sync(mark))
		}
		if n > 0 {
			s.ended(h.Lease, wire.ReasonOK)
			s.forget(h.Lease)
		}
	}
	require.Len(t, s.leases, 1)
	require.Less(t, s.size, int64(2*maxDead))
	require.NoError(t, s.close())
	s, cut, err := openStore(dir, "w1")
	require.NoError(t, err)
	require.Zero(t, cut)
	require.Len(t, s.leases, 1)
	require.NoError(t, s.close())
}

func TestADiskThatFailsRefusesTheBegin(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFake(t)
		a := startAgent(t, f.url(), keeps(t.TempDir()))
		p, _ := f.admit()
		connected(t, a)
		a.side.(*native).store.file.Close()
		_, err := a.Begin(handover(a, 1), Caller{})
		require.ErrorIs(t, err, ErrNotStored)
		require.ErrorIs(t, err, os.ErrClosed)
		require.Zero(t, a.Status().Running)
		await[*wire.Begun](p)
		require.Equal(t, wire.ReasonRefused, await[*wire.End](p).Outcome)
		_, err = a.Begin(handover(a, 2), Caller{})
		require.ErrorIs(t, err, os.ErrClosed, "nothing is stored after a failure")
	})
}

// A begin is answered when the disk has it, not when it was written: what a
// machine that loses its power forgets must not have been answered.
func TestABeginIsOnDiskBeforeItIsAnswered(t *testing.T) {
	for name, before := range map[string]uint64{"the first": 0, "behind another": 1, "behind many": 3} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFake(t)
				a := startAgent(t, f.url(), keeps(t.TempDir()), func(c *Config) { c.Slots = 8 })
				p, _ := f.admit()
				connected(t, a)
				caller := Caller{Token: "mine"}
				for n := range before {
					_, err := a.Begin(handover(a, n+1), caller)
					require.NoError(t, err)
					await[*wire.Begun](p)
				}
				s := a.side.(*native).store
				r, w, err := os.Pipe() // takes what is written, and can bring nothing to a disk
				require.NoError(t, err)
				defer r.Close()
				s.mu.Lock()
				file := s.file
				s.file = w
				s.mu.Unlock()
				defer file.Close()
				if before > 0 {
					_, err = a.Begin(handover(a, 1), caller)
					require.ErrorIs(t, err, ErrNotStored, "a repeated begin is answered like the first")
				}
				_, err = a.Begin(handover(a, before+1), caller)
				require.ErrorIs(t, err, ErrNotStored)
				require.EqualValues(t, before, a.Status().Running)
				await[*wire.Begun](p)
				require.Equal(t, wire.ReasonRefused, await[*wire.End](p).Outcome)
			})
		})
	}
}
