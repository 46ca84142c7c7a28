package server

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dtask/dtask-scheduler/server/gateway"
)

// How the descriptors of the process are divided where they are few: an eighth
// each for the backlog and for everything that is no connection, within these
// bounds, and the rest for connections.
const (
	reserveShare = 8
	// maxReserve are the descriptors kept for listeners, pollers, logs, files and
	// the spare connections.
	maxReserve = 256
	// minReserve is what the scheduler needs of them at the least, with one event
	// loop; each further loop needs loopFiles.
	minReserve = 32 + gateway.SpareConnections
	loopFiles  = 2
	// minBacklog is the shortest queue of connections that the kernel may hold
	// ready for one port.
	minBacklog = 16
	// minConnections is how many connections a scheduler must be able to serve, if
	// that many are wanted.
	minConnections = 64
	// defaultBacklog stands in where the kernel's own bound cannot be read.
	defaultBacklog = 4096
)

// FilesError refuses to start with too few descriptors.
type FilesError struct {
	Limit, Need uint64 // open files of the process
}

// Error implements error.
func (e *FilesError) Error() string {
	return fmt.Sprintf("server: the limit of open files is %d and must be %d at least: ulimit -n %d, or LimitNOFILE=%d in systemd",
		e.Limit, e.Need, e.Need, e.Need)
}

// somaxconn returns how many connections the kernel may hold ready for a port.
func somaxconn() int {
	raw, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return defaultBacklog
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || n < 1 {
		return defaultBacklog
	}
	return n
}

// fileShare is how the descriptors of the process are used.
type fileShare struct {
	connections int
	// backlog bounds the connections that the kernel holds ready for the native
	// port: the event loops accept all of them before they refuse the first.
	backlog int
}

// raiseFiles raises the limit of descriptors for the wanted number of
// connections and divides what it gets. The error is *FilesError.
func raiseFiles(connections, loops int) (fileShare, error) {
	kernel := somaxconn()
	need := uint64(connections + kernel + maxReserve)
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return fileShare{connections, kernel}, nil
	}
	if lim.Cur < need {
		want := unix.Rlimit{Cur: need, Max: max(lim.Max, need)}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &want) != nil {
			want = unix.Rlimit{Cur: lim.Max, Max: lim.Max}
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &want)
		}
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
			return fileShare{connections, kernel}, nil
		}
	}
	return divide(connections, loops, kernel, lim.Cur)
}

// divide divides so many descriptors among the wanted connections, the backlog
// and the reserve.
func divide(wanted, loops, kernel int, files uint64) (fileShare, error) {
	if files >= uint64(wanted+kernel+maxReserve) {
		return fileShare{wanted, kernel}, nil
	}
	n := int(files) // below the sum of three ints
	least, workable := minReserve+loopFiles*loops, min(wanted, minConnections)
	if need := least + minBacklog + workable; n < need {
		return fileShare{}, &FilesError{Limit: files, Need: uint64(need)}
	}
	reserve := max(least, min(n/reserveShare, maxReserve))
	backlog := min(kernel, max(minBacklog, n/reserveShare))
	connections := min(wanted, n-reserve-backlog)
	if connections < workable {
		connections, backlog = workable, minBacklog // with the least of the reserve
	}
	return fileShare{connections, backlog}, nil
}
