package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// built returns a machine with these files, 8 CPUs and no GPU.
func built(t *testing.T, files map[string]string) *machine {
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return &machine{
		root: root, cpus: 8,
		getenv: func(string) (string, bool) { return "", false },
		smi:    func(context.Context) (string, error) { return "", errors.New("nvidia-smi: not found") },
	}
}

const meminfo = "MemTotal:       16384000 kB\nMemFree: 1 kB\n"

func TestDetectLimits(t *testing.T) {
	for name, c := range map[string]struct {
		files    map[string]string
		cpu, mem int64
	}{
		"no control groups": {map[string]string{"proc/meminfo": meminfo}, 8000, 16000},
		"version 2, the tighter limit is the parent's": {map[string]string{
			"proc/meminfo":                       meminfo,
			"proc/self/cgroup":                   "0::/a/b\n",
			"sys/fs/cgroup/a/b/cpu.max":          "max 100000\n",
			"sys/fs/cgroup/a/cpu.max":            "150000 100000\n",
			"sys/fs/cgroup/a/b/memory.max":       "4294967296\n",
			"sys/fs/cgroup/a/memory.max":         "1073741824\n",
			"sys/fs/cgroup/memory.max":           "max\n",
			"sys/fs/cgroup/unrelated/memory.max": "1048576\n",
		}, 1500, 1024},
		"version 2 in a container": {map[string]string{
			"proc/meminfo":             meminfo,
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/cpu.max":    "50000 100000\n",
			"sys/fs/cgroup/memory.max": "536870912\n",
		}, 500, 512},
		"version 1": {map[string]string{
			"proc/meminfo":                                   meminfo,
			"proc/self/cgroup":                               "4:cpu,cpuacct:/x\n3:memory:/x\n0::/\n",
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us":           "200000\n",
			"sys/fs/cgroup/cpu/x/cpu.cfs_period_us":          "100000\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes":   "2147483648\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
			"sys/fs/cgroup/memory/elsewhere/memory.max":      "1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":             "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":            "100000\n",
			"sys/fs/cgroup/memory/elsewhere/memory.low":      "1\n",
			"sys/fs/cgroup/memory/x/memory.soft_limit_bytes": "1\n",
		}, 2000, 2048},
		"a limit above the machine's": {map[string]string{
			"proc/meminfo":             meminfo,
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/cpu.max":    "9900000 100000\n",
			"sys/fs/cgroup/memory.max": "1099511627776\n",
		}, 8000, 16000},
	} {
		t.Run(name, func(t *testing.T) {
			d := built(t, c.files).detect(t.Context(), 0)
			require.Equal(t, map[string]int64{"cpu": c.cpu, "mem": c.mem}, d.Resources)
			require.Empty(t, d.Warnings)
		})
	}
}

func TestWhatTheUserGivesWins(t *testing.T) {
	d := &Detection{Resources: map[string]int64{"cpu": 8000, "mem": 100}, Tags: []string{"arch=amd64", "os=linux", "gpu"}}
	require.Equal(t, []string{"arch=arm64", "gpu", "x", "os=linux"}, d.AddTags([]string{"arch=arm64", "gpu", "x"}))
	require.Equal(t, map[string]int64{"cpu": 4000, "disk": 5}, d.AddResources(map[string]int64{"cpu": 4000, "mem": -1, "disk": 5}))
	require.Equal(t, map[string]int64{"cpu": 8000, "mem": 100}, d.Resources)
}
