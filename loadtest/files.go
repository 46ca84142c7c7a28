package loadtest

import (
	"fmt"
	"io"
	"sort"

	"golang.org/x/sys/unix"
)

// reserveFiles are the descriptors kept for everything that is not a
// connection.
const reserveFiles = 512

// files returns how many descriptors a run takes: one for each end of a
// connection that is in this process. Workers that report by HTTP share a few.
func files(c *Config, workers int) uint64 {
	ends := 1
	if c.Embedded {
		ends++
	}
	if c.Faults {
		ends += 2
	}
	connections := c.Transport.natives(workers) + c.Clients
	if c.Transport.has(HTTP) {
		connections += webCallers
	}
	return uint64(connections*ends + reserveFiles)
}

// raiseFiles raises the limit of descriptors for the run and returns it.
func raiseFiles(need uint64) (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("loadtest: getrlimit: %w", err)
	}
	if lim.Cur >= need {
		return lim.Cur, nil
	}
	want := unix.Rlimit{Cur: need, Max: max(lim.Max, need)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &want) == nil {
		return need, nil
	}
	want = unix.Rlimit{Cur: lim.Max, Max: lim.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		return lim.Cur, nil
	}
	return lim.Max, nil
}

// fitWorkers returns how many of the wanted workers the limit of descriptors
// allows, and says so if they are fewer.
func fitWorkers(c *Config, say io.Writer) (int, error) {
	limit, err := raiseFiles(files(c, c.Workers))
	if err != nil {
		return 0, err
	}
	fit := fitFiles(c, limit)
	if fit < 1 {
		return 0, fmt.Errorf("loadtest: %d descriptors are too few for %d clients and a worker; raise the limit (ulimit -n)", limit, c.Clients)
	}
	if fit < c.Workers && say != nil {
		fmt.Fprintf(say, "loadtest: the limit of %d descriptors allows %d of %d workers; raise it (ulimit -n) for more\n", limit, fit, c.Workers)
	}
	return fit, nil
}

// fitFiles returns how many workers fit into a limit, at most those wanted.
func fitFiles(c *Config, limit uint64) int {
	more := sort.Search(c.Workers, func(n int) bool { return files(c, n+1) > limit })
	if files(c, 0) > limit {
		return 0
	}
	return more
}
