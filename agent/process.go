package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// identify names the living process with this id.
func identify(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return process{}, fmt.Errorf("%w: %d", ErrDead, pid)
	}
	if err != nil {
		return process{}, err
	}
	// The second field is the command in brackets, which may hold anything.
	const state, start = 0, 19
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) <= start {
		return process{}, fmt.Errorf("agent: /proc/%d/stat has %d fields", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return process{}, fmt.Errorf("%w: %d", ErrDead, pid)
	}
	return process{PID: pid, Start: bootID() + "/" + fields[start]}, nil
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
