package agent

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// smiTimeout bounds nvidia-smi, which hangs when the driver does.
const smiTimeout = 5 * time.Second

// visibleDevices is the variable by which CUDA programs are told which devices
// they may use.
const visibleDevices = "CUDA_VISIBLE_DEVICES"

// gpu returns how many GPUs this process may use: what it was told, else what
// CUDA_VISIBLE_DEVICES lists, else what nvidia-smi finds. It looks once.
func (m *machine) gpu(ctx context.Context, told int) Finding {
	f := Finding{Name: "gpu"}
	if told >= 0 {
		f.Amount, f.Evidence = int64(told), "given"
		return f
	}
	if list, ok := m.getenv(visibleDevices); ok {
		f.Amount, f.Evidence = countVisible(list), fmt.Sprintf("%s=%q", visibleDevices, list)
		return f
	}
	text, err := m.smi(ctx)
	if err != nil {
		f.Amount, f.Evidence = -1, err.Error()
		return f
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "GPU ") {
			f.Amount++
		}
	}
	f.Evidence = "nvidia-smi -L"
	if first, _, _ := strings.Cut(text, "\n"); f.Amount > 0 {
		f.Evidence += ": " + first
	}
	return f
}

// countVisible counts the devices of CUDA_VISIBLE_DEVICES. As in CUDA, the list
// ends at the first entry that is no device, and a device that is listed twice
// leaves none.
func countVisible(list string) int64 {
	seen := make(map[string]bool)
	for device := range strings.SplitSeq(list, ",") {
		device = strings.TrimSpace(device)
		if !isDevice(device) {
			break
		}
		if seen[device] {
			return 0
		}
		seen[device] = true
	}
	return int64(len(seen))
}

func isDevice(s string) bool {
	return strings.HasPrefix(s, "GPU-") || strings.HasPrefix(s, "MIG-") || number(s) >= 0
}

// runSMI asks nvidia-smi for the list of devices.
func runSMI(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "nvidia-smi", "-L")
	c.WaitDelay = time.Second
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("nvidia-smi -L: %w", err)
	}
	return string(out), nil
}
