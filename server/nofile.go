package server

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// reserveFiles are the descriptors kept for everything that is not a
// connection: listeners, pollers, logs, files.
const reserveFiles = 256

// defaultBacklog stands in where the kernel's own bound cannot be read.
const defaultBacklog = 4096

// backlog returns how many connections the kernel may hold ready: all of them
// are accepted before the first can be refused.
func backlog() int {
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

// raiseFiles raises the limit of descriptors for the wanted number of
// connections and returns how many of them it allows.
func raiseFiles(connections int) int {
	reserve := backlog() + reserveFiles
	need := uint64(connections + reserve)
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return connections
	}
	if lim.Cur < need {
		want := unix.Rlimit{Cur: need, Max: max(lim.Max, need)}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &want) != nil {
			want = unix.Rlimit{Cur: lim.Max, Max: lim.Max}
			_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &want)
		}
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
			return connections
		}
	}
	return allowedConnections(connections, lim.Cur, reserve)
}

// allowedConnections returns how many connections fit into files descriptors
// beside the reserve, at least one and at most the wanted number.
func allowedConnections(wanted int, files uint64, reserve int) int {
	if files >= uint64(wanted+reserve) {
		return wanted
	}
	return max(1, int(files)-reserve)
}
