package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// process names one process for ever: a process id is used again, the moment of
// its start and the boot of the machine are not.
type process struct {
	PID   int    `json:"pid,omitempty"`
	Start string `json:"start,omitempty"`
}

// ErrDead says that the process of a begin is gone, or a zombie.
var ErrDead = errors.New("agent: the process is dead")

// stat is what /proc/PID/stat says of a process.
type stat struct {
	pid, parent, group int
	start              uint64 // in ticks since the boot
	zombie             bool   // it is dead, and its parent has not read its status
}

// name returns the name of the process.
func (s *stat) name() process {
	return process{PID: s.pid, Start: bootID() + "/" + strconv.FormatUint(s.start, 10)}
}

// readStat reads what the system says of a process; ErrDead if there is none.
func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return stat{}, fmt.Errorf("%w: %d", ErrDead, pid)
	}
	if err != nil {
		return stat{}, err
	}
	// The second field is the command in brackets, which may hold anything.
	const state, parent, group, threads, start = 0, 1, 2, 17, 19
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= start {
		return stat{}, fmt.Errorf("agent: /proc/%d/stat has %d fields", pid, len(fields))
	}
	s := stat{pid: pid, zombie: fields[state] == "Z" || fields[state] == "X"}
	if n, err := strconv.Atoi(fields[threads]); err == nil && n > 1 {
		s.zombie = false // its first thread has ended, others have not
	}
	var errs [3]error
	s.parent, errs[0] = strconv.Atoi(fields[parent])
	s.group, errs[1] = strconv.Atoi(fields[group])
	s.start, errs[2] = strconv.ParseUint(fields[start], 10, 64)
	return s, errors.Join(errs[:]...)
}

// identify names the living process with this id.
func identify(pid int) (process, error) {
	s, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	if s.zombie {
		return process{}, fmt.Errorf("%w: %d", ErrDead, pid)
	}
	return s.name(), nil
}

// dead reports whether it is certain that the process is gone. A doubt, such as
// a lack of file descriptors, is not proof.
func (p process) dead() bool {
	now, err := identify(p.PID)
	if err != nil {
		return errors.Is(err, ErrDead)
	}
	return now.Start != p.Start
}

// signal signals the process. One that only has its number is left alone.
func (p process) signal(s os.Signal) error {
	// Where the system can, the process found is held by a descriptor: if it is
	// the right one afterwards, it is the one that is signalled.
	found, err := os.FindProcess(p.PID)
	if err != nil {
		return nil
	}
	defer found.Release()
	if p.dead() {
		return nil
	}
	if err := found.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// bootID names this boot of the machine.
var bootID = sync.OnceValue(func() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
})

// self is this process; where it cannot be identified its start is unknown, and
// a later process takes it for dead.
func self() process {
	p, err := identify(os.Getpid())
	if err != nil {
		return process{PID: os.Getpid()}
	}
	return p
}
