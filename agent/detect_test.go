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
		smi:    func(context.Context) (string, error) { return "", errors.New("nvidia-smi -L: not found") },
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

func TestDetectGPUs(t *testing.T) {
	const two = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\nGPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2)\n"
	for name, c := range map[string]struct {
		told     int
		visible  *string
		smi      string
		want     int64
		evidence string
	}{
		"told":            {told: 3, smi: two, want: 3, evidence: "given"},
		"told none":       {told: 0, smi: two, want: 0, evidence: "given"},
		"visible":         {told: -1, visible: new("0"), smi: two, want: 1, evidence: "CUDA_VISIBLE_DEVICES"},
		"none visible":    {told: -1, visible: new(""), smi: two, want: 0, evidence: "CUDA_VISIBLE_DEVICES"},
		"list ends at -1": {told: -1, visible: new("1,-1,0"), smi: two, want: 1, evidence: "CUDA_VISIBLE_DEVICES"},
		"listed twice":    {told: -1, visible: new("0,0"), smi: two, want: 0, evidence: "CUDA_VISIBLE_DEVICES"},
		"by name":         {told: -1, visible: new("GPU-1, MIG-2"), smi: two, want: 2, evidence: "CUDA_VISIBLE_DEVICES"},
		"nvidia-smi":      {told: -1, smi: two, want: 2, evidence: "H100"},
		"no driver":       {told: -1, want: -1, evidence: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			m := built(t, map[string]string{"proc/meminfo": meminfo})
			if c.visible != nil {
				m.getenv = func(string) (string, bool) { return *c.visible, true }
			}
			asked := 0
			if c.smi != "" {
				m.smi = func(context.Context) (string, error) { asked++; return c.smi, nil }
			}
			d := m.detect(t.Context(), c.told)
			f := d.Findings[len(d.Findings)-1]
			require.Equal(t, c.want, f.Amount)
			require.Contains(t, f.Evidence, c.evidence)
			require.Contains(t, d.String(), f.Evidence)
			require.Equal(t, c.want > 0, d.Resources["gpu"] > 0)
			require.Equal(t, c.want > 0, d.Tags[len(d.Tags)-1] == "gpu")
			require.Equal(t, c.want < 0, len(d.Warnings) == 1)
			require.LessOrEqual(t, asked, 1)
		})
	}
}

func TestWhatTheUserGivesWins(t *testing.T) {
	d := &Detection{Resources: map[string]int64{"cpu": 8000, "mem": 100}, Tags: []string{"arch=amd64", "os=linux", "gpu"}}
	require.Equal(t, []string{"arch=arm64", "gpu", "x", "os=linux"}, d.AddTags([]string{"arch=arm64", "gpu", "x"}))
	require.Equal(t, map[string]int64{"cpu": 4000, "disk": 5}, d.AddResources(map[string]int64{"cpu": 4000, "mem": -1, "disk": 5}))
	require.Equal(t, map[string]int64{"cpu": 8000, "mem": 100}, d.Resources)
}
