package agent

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// TagGPU is the tag of a worker on which GPUs were detected.
const TagGPU = "gpu"

// Finding is one thing that was detected, and how.
type Finding struct {
	Name     string // of the resource
	Amount   int64  // -1: not found
	Evidence string // where it was read
}

// Detection is what a machine has to offer.
type Detection struct {
	Findings  []Finding
	Resources map[string]int64 // cpu in millicores, mem in MiB, gpu if it was only counted
	Devices   []wire.Device    // the GPUs; one without known memory has 0
	Tags      []string         // arch=..., os=..., gpu
	Warnings  []string

	// VisibleDevices is what CUDA_VISIBLE_DEVICES calls each of Devices: the
	// UUIDs if all are known, else numbers, or what the variable of this process holds.
	VisibleDevices []string
}

// machine is where Detect looks, so that tests can show it another one.
type machine struct {
	root   string // of /proc and /sys
	cpus   int
	getenv func(string) (string, bool)
	smi    func(context.Context) (string, error) // the output of smiCommand
}

// Detect finds out how many CPUs and GPUs and how much memory this process may
// use. gpus is the number of GPUs if they are to be counted alone, -1 to look for
// them. Nothing in the tags is unique to a machine.
func Detect(ctx context.Context, gpus int) *Detection {
	m := machine{root: "/", cpus: runtime.NumCPU(), getenv: os.LookupEnv, smi: runSMI}
	return m.detect(ctx, gpus)
}

func (m *machine) detect(ctx context.Context, gpus int) *Detection {
	d := &Detection{
		Resources: make(map[string]int64),
		Tags:      []string{"arch=" + runtime.GOARCH, "os=" + runtime.GOOS},
	}
	d.add(m.cpu())
	d.add(m.memory())
	d.gpus(ctx, m, gpus)
	return d
}

func (d *Detection) add(f Finding) {
	d.Findings = append(d.Findings, f)
	if f.Name == capacity.GPU && f.Amount > 0 {
		d.Tags = append(d.Tags, TagGPU)
	}
	switch {
	case f.Amount < 0 && f.Name == capacity.GPU:
		d.Warnings = append(d.Warnings, "no GPU: "+f.Evidence)
	case f.Amount < 0:
		d.Warnings = append(d.Warnings, f.Name+" was not found: "+f.Evidence)
	case f.Amount > 0 && (f.Name != capacity.GPU || len(d.Devices) == 0):
		d.Resources[f.Name] = f.Amount
	}
}

// String lists the findings with their evidence, and the devices.
func (d *Detection) String() string {
	var b strings.Builder
	for _, f := range d.Findings {
		amount := capacity.Format(f.Name, f.Amount)
		if f.Amount < 0 {
			amount = "none"
		}
		fmt.Fprintf(&b, "%-9s %-10s %s\n", f.Name, amount, f.Evidence)
	}
	for i, v := range d.Devices {
		memory := "unknown"
		if v.Memory > 0 {
			memory = capacity.Format(capacity.GPUMem, v.Memory)
		}
		fmt.Fprintf(&b, "%-9s %-10s %s as %s\n", "device "+strconv.Itoa(i), memory, v.Model, d.VisibleDevices[i])
	}
	fmt.Fprintf(&b, "%-9s %s\n", "tags", strings.Join(d.Tags, ","))
	return b.String()
}

// AddTags adds the detected tags to the ones of the user. A detected tag with a
// key (arch=arm64) gives way to a tag of the user with the same key.
func (d *Detection) AddTags(own []string) []string {
	all := slices.Clone(own)
	for _, tag := range d.Tags {
		key, _, keyed := strings.Cut(tag, "=")
		taken := slices.ContainsFunc(own, func(o string) bool {
			return o == tag || keyed && strings.HasPrefix(o, key+"=")
		})
		if !taken {
			all = append(all, tag)
		}
	}
	return all
}

// AddResources puts the resources of the user over the detected ones; an amount
// of -1 switches a detected resource off.
func (d *Detection) AddResources(own map[string]int64) map[string]int64 {
	all := make(map[string]int64)
	maps.Copy(all, d.Resources)
	maps.Copy(all, own)
	maps.DeleteFunc(all, func(_ string, amount int64) bool { return amount < 0 })
	return all
}

// cpu returns the CPUs this process may use, in millicores: those it may run
// on, or less if a control group limits their time.
func (m *machine) cpu() Finding {
	f := Finding{Name: "cpu", Amount: int64(m.cpus) * 1000, Evidence: fmt.Sprintf("%d CPUs may be used", m.cpus)}
	for _, dir := range m.groups("cpu") {
		quota, period, path := m.quota(dir)
		if quota <= 0 || period <= 0 {
			continue
		}
		if limit := max(1, quota*1000/period); limit < f.Amount {
			f.Amount = limit
			f.Evidence = fmt.Sprintf("%s allows %d of %d us", path, quota, period)
		}
	}
	return f
}

// quota reads the CPU limit of one control group, in microseconds.
func (m *machine) quota(dir string) (quota, period int64, path string) {
	path = filepath.Join(dir, "cpu.max")
	if fields := strings.Fields(m.read(path)); len(fields) == 2 {
		return number(fields[0]), number(fields[1]), path
	}
	path = filepath.Join(dir, "cpu.cfs_quota_us")
	return number(m.read(path)), number(m.read(filepath.Join(dir, "cpu.cfs_period_us"))), path
}

// memory returns the memory this process may use, in MiB: that of the machine,
// or less if a control group limits it.
func (m *machine) memory() Finding {
	f := Finding{Name: "mem", Amount: -1, Evidence: "/proc/meminfo has no MemTotal"}
	for line := range strings.Lines(m.read("/proc/meminfo")) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib := number(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			f.Amount, f.Evidence = kib>>10, "MemTotal in /proc/meminfo"
		}
	}
	for _, dir := range m.groups("memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			path := filepath.Join(dir, name)
			limit := number(m.read(path))
			if mib := limit >> 20; limit > 0 && (f.Amount < 0 || mib < f.Amount) {
				f.Amount, f.Evidence = mib, path
			}
		}
	}
	return f
}

// groups returns the directories of this process's control group and of those
// around it, for one controller: in the one hierarchy of version 2, or in the
// controller's own of version 1.
func (m *machine) groups(controller string) []string {
	const mount = "/sys/fs/cgroup"
	var dirs []string
	for line := range strings.Lines(m.read("/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base := mount
		if parts[1] != "" {
			if !slices.Contains(strings.Split(parts[1], ","), controller) {
				continue
			}
			base = filepath.Join(mount, controller)
		}
		for path := filepath.Clean("/" + parts[2]); ; path = filepath.Dir(path) {
			dirs = append(dirs, filepath.Join(base, path))
			if path == "/" {
				break
			}
		}
	}
	return dirs
}

// read returns a small text file, "" if it cannot be read.
func (m *machine) read(path string) string {
	text, err := os.ReadFile(filepath.Join(m.root, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// number reads a number, -1 for anything else, such as "max".
func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
