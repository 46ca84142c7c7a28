package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxFreezes bounds how often a tree is looked at anew while it is stopped for
// its kill: what a task starts meanwhile is found by the next look.
const maxFreezes = 8

// reapTimeout bounds the wait for dead processes that their parents do not reap.
const reapTimeout = 3 * time.Second

// ticksPerSecond is the unit of the start times in /proc, which is the same on
// every architecture that Linux has now.
const ticksPerSecond = 100

// snapshot is the processes of the machine at one moment.
type snapshot struct {
	byID     map[int]stat
	children map[int][]int
	uptime   uint64 // in ticks
}

// look takes a snapshot. A process that it cannot read for another reason than
// its death is an error, because it may belong to a task.
func look() (*snapshot, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	s := &snapshot{byID: make(map[int]stat, len(names)), children: make(map[int][]int)}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, err := readStat(pid)
		if errors.Is(err, ErrDead) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.byID[pid] = p
		s.children[p.parent] = append(s.children[p.parent], pid)
	}
	s.uptime, err = uptime()
	return s, err
}

// uptime returns the ticks since the boot.
func uptime() (uint64, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("agent: /proc/uptime: %w", err)
	}
	return uint64(seconds * ticksPerSecond), nil
}

// lives reports whether the process was alive in the snapshot.
func (s *snapshot) lives(p process) bool {
	now, ok := s.byID[p.PID]
	return ok && !now.zombie && now.name() == p
}

// above reports whether one process is another, or an ancestor of it.
func (s *snapshot) above(ancestor, pid int) bool {
	for range len(s.byID) {
		if pid == ancestor {
			return true
		}
		p, ok := s.byID[pid]
		if !ok {
			return false
		}
		pid = p.parent
	}
	return false
}

// tree is the processes of one task: its own process, their descendants, and
// the members of the process groups that they lead. A process that was found
// once belongs to the task also when its parent is gone.
type tree struct {
	root  process
	begun time.Time
	seen  map[process]bool

	unreaped bool          // one of what it started is dead and not reaped
	alive    time.Duration // when one of the members last lived, as now told
}

func newTree(w *watch) *tree {
	return &tree{root: w.process, begun: w.Begun, seen: map[process]bool{w.process: true}}
}

// members returns the living processes of the task and remembers them. Those in
// others are the processes of other tasks: what is below them is theirs. The
// agent, its ancestors and what it started belong to no task, unless the task
// was begun with such a process. If the task's process started the agent, as a
// shell may that does everything, what it started before the task began is not
// of the task either.
func (t *tree) members(s *snapshot, others map[process]bool) []process {
	own := s.above(t.root.PID, os.Getpid())
	since := uint64(0)
	if own {
		since = s.uptime - min(s.uptime, uint64(time.Since(t.begun).Seconds()*ticksPerSecond))
	}
	found := make(map[int]bool)
	var next []int
	add := func(pid int) {
		p := s.byID[pid]
		name := p.name()
		strange := others[name] || p.start < since || s.above(pid, os.Getpid())
		if !found[pid] && (name == t.root || !strange) {
			found[pid] = true
			next = append(next, pid)
		}
	}
	for p := range t.seen {
		if found, ok := s.byID[p.PID]; ok && found.name() == p {
			add(p.PID)
		}
	}
	s.eachInGroups(t.seen, add)
	for len(next) > 0 {
		parent := s.byID[next[len(next)-1]]
		next = next[:len(next)-1]
		for _, pid := range s.children[parent.pid] {
			if s.byID[pid].start >= parent.start {
				add(pid)
			}
		}
	}
	return t.remember(s, found)
}

// eachInGroups calls add for the members of the groups that the processes lead
// or led: the system does not reuse the number of a dead leader while its group
// has members. A group that the agent is in is left alone.
func (s *snapshot) eachInGroups(leaders map[process]bool, add func(pid int)) {
	groups := make(map[int]uint64)
	for p := range leaders {
		boot, start, _ := strings.Cut(p.Start, "/")
		ticks, err := strconv.ParseUint(start, 10, 64)
		now, taken := s.byID[p.PID]
		if err == nil && boot == bootID() && (!taken || now.start == ticks) {
			groups[p.PID] = ticks
		}
	}
	delete(groups, s.byID[os.Getpid()].group)
	for pid, p := range s.byID {
		if start, ok := groups[p.group]; ok && p.start >= start {
			add(pid)
		}
	}
}

// remember keeps the processes of the task and returns those that live. Of the
// dead it keeps the leaders of groups that have members.
func (t *tree) remember(s *snapshot, found map[int]bool) (alive []process) {
	groups := make(map[int]bool)
	t.unreaped = false
	for pid := range found {
		p := s.byID[pid]
		groups[p.group] = true
		t.seen[p.name()] = true
		if !p.zombie {
			alive = append(alive, p.name())
		} else if p.name() != t.root {
			t.unreaped = true
		}
	}
	if len(alive) > 0 {
		t.alive = now()
	}
	for p := range t.seen {
		if p != t.root && !found[p.PID] && !groups[p.PID] {
			delete(t.seen, p)
		}
	}
	return alive
}

// gone reports whether nothing of the task is left, once no member lives. What it
// started is waited for until the system has cleared it away, but not for long:
// some inits are slow, and a parent may never do it.
func (t *tree) gone() bool { return !t.unreaped || now()-t.alive > reapTimeout }

// terminate asks the processes to end.
func terminate(members []process) error {
	var errs []error
	for _, p := range members {
		errs = append(errs, p.signal(syscall.SIGTERM))
	}
	return errors.Join(errs...)
}

// kill ends all processes of the task. They are stopped first, until a look
// finds no others, so that none starts another one behind the agent's back.
func (t *tree) kill(members []process, others map[process]bool) error {
	stopped := make(map[process]bool)
	for range maxFreezes {
		fresh := false
		for _, p := range members {
			if !stopped[p] {
				stopped[p], fresh = true, true
				_ = p.signal(syscall.SIGSTOP)
			}
		}
		if !fresh {
			break
		}
		s, err := look()
		if err != nil {
			break
		}
		members = t.members(s, others)
	}
	var errs []error
	for p := range stopped {
		errs = append(errs, p.signal(syscall.SIGKILL))
	}
	return errors.Join(errs...)
}
