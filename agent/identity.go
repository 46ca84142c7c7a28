package agent

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// identity is the number by which the scheduler tells two agents with one worker
// id apart: the same for all runs of an agent on one machine, another on any
// other machine and for a second process beside the first. Its fields are
// guarded by the agent's lock.
type identity struct {
	machine uint64       // of this machine since it was started; 0: not known
	process uint64       // of this process alone
	socket  string       // the process that listens on it speaks for the worker on this machine
	claim   net.Listener // on socket; nil: another process has it, or none was tried
}

// socketPrefix begins the names of the sockets, which are abstract: they are gone
// with their process.
var socketPrefix = "@dtask-worker-"

// bootFile names the present run of the machine's kernel.
const bootFile = "/proc/sys/kernel/random/boot_id"

// newIdentity returns the identity of an agent of a worker that speaks to these
// schedulers.
func newIdentity(worker string, schedulers []string) identity {
	i := identity{process: newIncarnation()}
	boot, err := os.ReadFile(bootFile)
	host, hostErr := os.Hostname()
	if runtime.GOOS != "linux" || err != nil || hostErr != nil {
		return i
	}
	machine := sha256.Sum256([]byte(strings.TrimSpace(string(boot)) + "\n" + host))
	i.machine = max(1, binary.BigEndian.Uint64(machine[:]))
	name := sha256.Sum256([]byte(worker + "\n" + strings.Join(schedulers, ",")))
	i.socket = socketPrefix + hex.EncodeToString(name[:16])
	return i
}

// number returns what a registration names: the machine, or this process where
// another one on the machine speaks for the worker.
func (i *identity) number() uint64 {
	if i.machine == 0 || i.claim != nil {
		return i.machine
	}
	l, err := net.Listen("unix", i.socket)
	switch {
	case err == nil:
		i.claim = l
	case errors.Is(err, syscall.EADDRINUSE):
		return i.process
	}
	return i.machine
}

// release lets another process of this machine speak for the worker.
func (i *identity) release() {
	if i.claim != nil {
		_ = i.claim.Close()
		i.claim = nil
	}
}
