package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// twoA100 are two equal GPUs, three two of one kind and one of another.
const (
	twoA100 = "0, A100, 40960, GPU-aa\n1, A100, 40960, GPU-bb\n"
	three   = twoA100 + "2, T4, 15360, GPU-ba\n"
)

// gpuCase is one machine, and what is found there.
type gpuCase struct {
	told     int
	visible  *string // CUDA_VISIBLE_DEVICES
	order    string  // CUDA_DEVICE_ORDER
	smi      string  // "" fails
	want     int64
	names    string // of the devices, as tasks are told
	memory   string
	evidence string
	warns    string
}

var gpuCases = map[string]gpuCase{
	"told":                     {told: 3, smi: three, want: 3, evidence: "given"},
	"told none":                {told: 0, smi: three, want: 0, evidence: "given"},
	"no driver":                {told: -1, want: -1, evidence: "not found", warns: "no GPU"},
	"all":                      {told: -1, smi: three, want: 3, names: "GPU-aa GPU-bb GPU-ba", memory: "40960 40960 15360", evidence: "nvidia-smi"},
	"without UUIDs":            {told: -1, smi: "0, A, 8, [N/A]\n2, A, 8, GPU-aa\n", want: 2, names: "0 2", memory: "8 8"},
	"a broken one is left out": {told: -1, smi: "0, A, [GPU is lost], GPU-aa\n1, A, 8, [N/A]\n", want: 1, names: "1", memory: "8", warns: "left out"},
	"no devices":               {told: -1, smi: "No devices were found\n", want: 0, warns: "left out"},

	"one by number":              {told: -1, visible: new("1"), smi: three, order: "PCI_BUS_ID", want: 1, names: "GPU-bb", memory: "40960", evidence: "CUDA_VISIBLE_DEVICES"},
	"in the order of the list":   {told: -1, visible: new("2, 0"), smi: three, order: "PCI_BUS_ID", want: 2, names: "GPU-ba GPU-aa", memory: "15360 40960"},
	"numbers of unlike GPUs":     {told: -1, visible: new("0"), smi: three, want: 1, names: "GPU-aa", memory: "40960", warns: "set CUDA_DEVICE_ORDER=PCI_BUS_ID"},
	"numbers stay numbers":       {told: -1, visible: new("3,2"), smi: "2, A, 8, [N/A]\n3, A, 9, [N/A]\n", want: 2, names: "3 2", memory: "9 8"},
	"by UUID":                    {told: -1, visible: new("GPU-bb,GPU-aa"), smi: twoA100, want: 2, names: "GPU-bb GPU-aa", memory: "40960 40960"},
	"by the beginning of a UUID": {told: -1, visible: new("GPU-a"), smi: twoA100, want: 1, names: "GPU-aa", memory: "40960"},
	"by the beginning of two":    {told: -1, visible: new("GPU-b"), smi: three, order: "PCI_BUS_ID", want: 0},
	"an unknown UUID ends it":    {told: -1, visible: new("GPU-bb,GPU-xx,GPU-aa"), smi: twoA100, want: 1, names: "GPU-bb", memory: "40960"},
	"an unknown number ends it":  {told: -1, visible: new("1,7,0"), smi: twoA100, want: 1, names: "GPU-bb", memory: "40960"},
	"-1 ends it":                 {told: -1, visible: new("1,-1,0"), smi: twoA100, want: 1, names: "GPU-bb", memory: "40960"},
	"none":                       {told: -1, visible: new(""), smi: twoA100, want: 0, evidence: "CUDA_VISIBLE_DEVICES"},
	"no devices by a word":       {told: -1, visible: new("NoDevFiles"), smi: twoA100, want: 0},
	"listed twice":               {told: -1, visible: new("0,0"), smi: twoA100, want: 0},
	"listed in two ways":         {told: -1, visible: new("0,GPU-aa"), smi: twoA100, want: 0},
	"a part of a device":         {told: -1, visible: new("MIG-c/1/0"), smi: twoA100, want: 1, names: "MIG-c/1/0", memory: "0"},
	"numbers without a driver":   {told: -1, visible: new("3,02"), want: 2, names: "3 2", memory: "0 0", warns: "memory of the GPUs is not known"},
	"a beginning without a driver": {told: -1, visible: new("GPU-8f6d1a2b, GPU-8f6d1a2b-0c1d-2e3f-4a5b-6c7d8e9f0a1b"), want: 1,
		names: "GPU-8f6d1a2b-0c1d-2e3f-4a5b-6c7d8e9f0a1b", memory: "0", warns: `"GPU-8f6d1a2b" of CUDA_VISIBLE_DEVICES is left out`},
	"UUIDs without a driver": {told: -1, visible: new("GPU-x, MIG-y"), want: 2, names: "GPU-x MIG-y", memory: "0 0", warns: "memory of the GPUs is not known"},
}

func TestDetectGPUs(t *testing.T) {
	for name, c := range gpuCases {
		t.Run(name, func(t *testing.T) {
			m := built(t, map[string]string{"proc/meminfo": meminfo})
			m.getenv = func(name string) (string, bool) {
				switch {
				case name == visibleDevices && c.visible != nil:
					return *c.visible, true
				case name == deviceOrder:
					return c.order, c.order != ""
				}
				return "", false
			}
			asked := 0
			m.smi = func(context.Context) (string, error) {
				asked++
				if c.smi == "" {
					return "", errors.New("nvidia-smi: not found")
				}
				return c.smi, nil
			}
			d := m.detect(t.Context(), c.told)
			f := d.Findings[len(d.Findings)-1]
			require.Equal(t, c.want, f.Amount)
			require.Contains(t, f.Evidence, c.evidence)
			require.Contains(t, d.String(), f.Evidence)
			require.Equal(t, c.names, strings.Join(d.VisibleDevices, " "))
			memory := []string{}
			for i := range d.Devices {
				memory = append(memory, fmt.Sprint(d.Devices[i].Memory))
				require.Contains(t, d.String(), fmt.Sprintf("device %d ", i))
			}
			require.Equal(t, c.memory, strings.Join(memory, " "))
			require.Equal(t, c.told > 0, d.Resources["gpu"] > 0, "what was told is counted, what was found is listed")
			require.Equal(t, c.want > 0, d.Tags[len(d.Tags)-1] == "gpu")
			require.Equal(t, c.warns != "", len(d.Warnings) > 0, "%v", d.Warnings)
			require.Contains(t, strings.Join(d.Warnings, "\n"), c.warns)
			require.LessOrEqual(t, asked, 1)
			cfg := Config{Scheduler: "dtask://h:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true, Devices: d.Devices, VisibleDevices: d.VisibleDevices, Resources: d.Resources}
			require.NoError(t, cfg.Verify())
		})
	}
}

func TestTooManyGPUsAreCut(t *testing.T) {
	m := built(t, nil)
	text := ""
	for i := range wire.MaxDevices + 6 {
		text += fmt.Sprintf("%d, A100, 40960, GPU-%d\n", i, i)
	}
	m.smi = func(context.Context) (string, error) { return text, nil }
	d := m.detect(t.Context(), -1)
	require.Len(t, d.Devices, wire.MaxDevices)
	require.Equal(t, "GPU-63", d.VisibleDevices[63])
	require.Contains(t, strings.Join(d.Warnings, "\n"), "there are 70 GPUs, of which the first 64 are announced")
}
