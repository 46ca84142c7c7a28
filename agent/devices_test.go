package agent

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func TestParseDevices(t *testing.T) {
	for text, want := range map[string][]wire.Device{
		"":                 nil,
		" , ":              nil,
		"A100:40Gi":        {{Model: "A100", Memory: 40960}},
		"A100:40Gi, T4:16": {{Model: "A100", Memory: 40960}, {Model: "T4", Memory: 16}},
		"T4:16G":           {{Model: "T4", Memory: 15258}}, // rounded down
		":0":               {{}},
		"A100:40Gi@GPU-1b2c,1g.5gb:4864@MIG-c/1/0": {
			{Model: "A100", Memory: 40960, UUID: "GPU-1b2c"}, {Model: "1g.5gb", Memory: 4864, UUID: "MIG-c/1/0"},
		},
	} {
		got, err := ParseDevices(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	got, err := ParseDevices(strings.Repeat("A:1,", wire.MaxDevices))
	require.NoError(t, err)
	require.Len(t, got, wire.MaxDevices)
}

func TestParseDevicesNamesTheEntry(t *testing.T) {
	for text, want := range map[string]string{
		"A100":           "entry 1, \"A100\", is not MODEL:MEMORY or MODEL:MEMORY@UUID",
		"A100:1,A100:1@": "entry 2, \"A100:1@\", is not MODEL:MEMORY or MODEL:MEMORY@UUID",
		"A100:":          "entry 1, \"A100:\", has a memory that is not an amount",
		"A100:40Q":       "entry 1, \"A100:40Q\", has a memory that has an unknown unit; the units are Ki Mi Gi Ti Pi k M G T P",
		"A100:-1":        "entry 1, \"A100:-1\", has a memory that is negative",
		"A100:2000000Pi": "entry 1, \"A100:2000000Pi\", has a memory that is more than 1099511627776",
		"A100:1@a b":     "entry 1, \"A100:1@a b\", has a UUID that is not 1 to 128 of the letters A-Z a-z 0-9 . _ : @ / -",
		"A\x01:1":        "entry 1, \"A\\x01:1\", has a model that is not text of at most 128 bytes",
		strings.Repeat("A:1,", wire.MaxDevices+1):   "are more than 64",
		strings.Repeat("A", wire.MaxModel+1) + ":1": fmt.Sprintf("entry 1, %q, has a model that is not text of at most 128 bytes", strings.Repeat("A", 64)),
		"A:1@" + strings.Repeat("u", wire.MaxID+1):  fmt.Sprintf("entry 1, %q, has a UUID that is not 1 to 128 of the letters A-Z a-z 0-9 . _ : @ / -", "A:1@"+strings.Repeat("u", 60)),
	} {
		_, err := ParseDevices(text)
		require.Equal(t, &FieldError{"Devices", want}, err)
	}
}

func TestVerifyDevices(t *testing.T) {
	a, b := wire.Device{Model: "A100", Memory: 8, UUID: "GPU-1"}, wire.Device{Model: "A100", Memory: 8}
	for name, c := range map[string]struct {
		devices []wire.Device
		visible []string
		offers  map[string]int64
		field   string
	}{
		"none":                      {},
		"listed":                    {devices: []wire.Device{b, b, b}},
		"named":                     {devices: []wire.Device{a, b}, visible: []string{"3", "2"}},
		"counted":                   {offers: map[string]int64{"gpu": 2}},
		"too many":                  {devices: make([]wire.Device, wire.MaxDevices+1), field: "Devices"},
		"a UUID twice":              {devices: []wire.Device{a, a}, field: "Devices"},
		"a long model":              {devices: []wire.Device{{Model: strings.Repeat("a", wire.MaxModel+1)}}, field: "Devices"},
		"less than no memory":       {devices: []wire.Device{{Memory: -1}}, field: "Devices"},
		"too much memory":           {devices: []wire.Device{{Memory: wire.MaxAmount + 1}}, field: "Devices"},
		"a UUID that is no id":      {devices: []wire.Device{{UUID: "a b"}}, field: "Devices"},
		"a name too few":            {devices: []wire.Device{a, b}, visible: []string{"3"}, field: "VisibleDevices"},
		"a name without a device":   {visible: []string{"3"}, field: "VisibleDevices"},
		"a name twice":              {devices: []wire.Device{a, b}, visible: []string{"3", "3"}, field: "VisibleDevices"},
		"a name that is none":       {devices: []wire.Device{a}, visible: []string{"all"}, field: "VisibleDevices"},
		"a name that is two":        {devices: []wire.Device{a}, visible: []string{"GPU-1,2"}, field: "VisibleDevices"},
		"counted and listed":        {devices: []wire.Device{a}, offers: map[string]int64{"gpu": 1}, field: "Resources"},
		"counted as 0 and listed":   {devices: []wire.Device{a}, offers: map[string]int64{"gpu": 0}, field: "Resources"},
		"memory that is not listed": {offers: map[string]int64{"gpu_mem": 0}, field: "Resources"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Scheduler: "dtask://h:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true, Devices: c.devices, VisibleDevices: c.visible, Resources: c.offers}
			err := cfg.Verify()
			if c.field == "" {
				require.NoError(t, err)
				return
			}
			var e *FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.field, e.Field)
		})
	}
}

func TestEnv(t *testing.T) {
	a, b, c := wire.Device{UUID: "GPU-a"}, wire.Device{UUID: "GPU-b"}, wire.Device{}
	for name, c := range map[string]struct {
		devices []wire.Device
		visible []string
		lease   []int
		want    string // "-": no variables
	}{
		"a worker without devices":    {lease: []int{0}, want: "-"},
		"a task without devices":      {devices: []wire.Device{a}, want: ""},
		"by UUID":                     {devices: []wire.Device{a, b}, lease: []int{1, 0}, want: "GPU-b,GPU-a"},
		"by UUID where these have it": {devices: []wire.Device{a, c}, lease: []int{0}, want: "GPU-a"},
		"by number":                   {devices: []wire.Device{c, c}, lease: []int{0, 1}, want: "0,1"},
		"as the worker was told":      {devices: []wire.Device{c, c}, visible: []string{"3", "2"}, lease: []int{1}, want: "2"},
		"the names go first":          {devices: []wire.Device{a}, visible: []string{"7"}, lease: []int{0}, want: "7"},
		"a device that is gone":       {devices: []wire.Device{a}, lease: []int{0, 5}, want: "GPU-a"},
		"no such device":              {devices: []wire.Device{c}, visible: []string{"7"}, lease: []int{-1, 1}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			task := &Task{agent: &Agent{cfg: Config{Devices: c.devices, VisibleDevices: c.visible}}, handover: wire.Handover{Devices: c.lease}}
			if c.want == "-" {
				require.Nil(t, task.Env())
				return
			}
			require.Equal(t, []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + c.want}, task.Env())
		})
	}
}

// TestMapDevices: a worker that may use some GPUs only gives tasks no others.
func TestMapDevices(t *testing.T) {
	two, err := ParseDevices("A100:40Gi,A100:40Gi")
	require.NoError(t, err)
	named, err := ParseDevices("A100:40Gi@GPU-1,A100:40Gi@GPU-2")
	require.NoError(t, err)
	for list, want := range map[string][]string{
		"2,3": {"2", "3"}, "GPU-x, GPU-y": {"GPU-x", "GPU-y"}, "5,4,3": {"5", "4"},
		"": nil, "2": nil, "2,-1,3": nil, "2,2": nil, "none": nil,
	} {
		t.Setenv(visibleDevices, list)
		got, err := MapDevices(two)
		require.Equal(t, want, got, list)
		if want == nil {
			var e *FieldError
			require.ErrorAs(t, err, &e, list)
			require.Equal(t, "Devices", e.Field)
			require.Contains(t, e.Problem, fmt.Sprintf("are 2, but CUDA_VISIBLE_DEVICES=%q shows ", list))
		}
		got, err = MapDevices(named)
		require.NoError(t, err)
		require.Nil(t, got, "UUIDs are the same everywhere")
	}
	require.NoError(t, os.Unsetenv(visibleDevices))
	got, err := MapDevices(two)
	require.NoError(t, err)
	require.Nil(t, got)
}

// TestAnHTTPSchedulerKnowsNoDevices: its placements name none, so tasks are not
// kept from them.
func TestAnHTTPSchedulerKnowsNoDevices(t *testing.T) {
	a := startAgent(t, "http://127.0.0.1:1", func(c *Config) { c.Devices = []wire.Device{{Model: "A100"}} })
	task, err := a.Begin(wire.Handover{Task: "t"}, Caller{})
	require.NoError(t, err)
	require.Nil(t, task.Env())
}

// TestOneGPUUnderTwoNames: a list in which one GPU may stand twice is refused,
// by name.
func TestOneGPUUnderTwoNames(t *testing.T) {
	const id = "GPU-6f1d0f5e-9a3b-7c51-2b8e-0d4c1a7e93f2"
	for list, says := range map[string]string{
		"A:1,A:1":                  "",
		"A:1@" + id + ",A:1@GPU-7": "",
		"A:1@5,A:1@6":              "",
		"A:1@MIG-" + id + "/1/0,A:1@MIG-" + id + "/2/0": "",
		"A:1@" + id + ",A:1@" + id:                      "entry 2 has the UUID",
		"A:1@" + id + ",A:1@" + strings.ToUpper(id):     "entry 2 has the UUID",
		"A:1@" + id + ",A:1@gpu-6f1d":                   "entry 2 has the UUID",
		"A:1@GPU-6f1d,A:1@" + id:                        "entry 2 has the UUID",
		"A:1@" + id + ",A:1@MIG-" + id + "/1/0":         "entry 2 has the UUID",
		"A:1@1,A:1":                                     `are the same GPU for CUDA, "1" and "1"`,
		"A:1,A:1@0":                                     `are the same GPU for CUDA, "0" and "0"`,
		"A:1@1,A:1@01":                                  `entry 2 has the UUID "01" of another one, entry 1 ("1")`,
		"A:1@" + id + ",A:1":                            "named by number and by UUID",
		"A:1,A:1@" + id:                                 "named by number and by UUID",
		"A:1@0,A:1@" + id:                               "named by number and by UUID",
	} {
		devices, err := ParseDevices(list)
		require.NoError(t, err, list)
		cfg := Config{Scheduler: "dtask://h:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true, Devices: devices}
		if says == "" {
			require.NoError(t, cfg.Verify(), list)
			continue
		}
		require.ErrorContains(t, cfg.Verify(), says, list)
	}
	cfg := Config{Scheduler: "dtask://h:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true,
		Devices: []wire.Device{{UUID: "GPU-1"}, {UUID: "GPU-2"}}, VisibleDevices: []string{"GPU-2", "GPU-1"}}
	require.ErrorContains(t, cfg.Verify(), "are the same GPU for CUDA")
}

// TestGPUsKeepTheirNumbers: an agent that is started again with fewer GPUs, in
// another order, lists those of running tasks where these name them.
func TestGPUsKeepTheirNumbers(t *testing.T) {
	dir := t.TempDir()
	start := func(uuids ...string) *Config {
		a := &Agent{cfg: Config{Worker: "w1", StateDir: dir}, log: slog.New(slog.DiscardHandler), tasks: map[key]*Task{}}
		for _, id := range uuids {
			a.cfg.Devices = append(a.cfg.Devices, wire.Device{Model: "A100", Memory: 8, UUID: id})
		}
		n, err := newNative(a, nil)
		require.NoError(t, err)
		require.NoError(t, n.close())
		return &a.cfg
	}
	start("GPU-a", "GPU-b", "GPU-c")
	s, _, err := openStore(dir, "w1")
	require.NoError(t, err)
	h := wire.Handover{Lease: wire.LeaseID{Epoch: 1, Instance: 7, Counter: 1}, Worker: "w1", Incarnation: 1, Task: "t", Devices: []int{1}}
	s.begun(&h, &watch{KeepAlive: time.Hour})
	require.NoError(t, s.close())

	cfg := start("GPU-c", "GPU-b")
	require.Equal(t, []string{"GPU-a", "GPU-b", "GPU-c"}, cfg.VisibleDevices)
	require.Equal(t, []bool{true, false, false}, []bool{cfg.Devices[0].Missing, cfg.Devices[1].Missing, cfg.Devices[2].Missing})
	cfg = start("GPU-d", "GPU-c") // the one that is in use is gone
	require.Equal(t, []string{"GPU-d", "GPU-b", "GPU-c"}, cfg.VisibleDevices)
	require.True(t, cfg.Devices[1].Missing)
	cfg = start("GPU-b", "GPU-d") // and is back
	require.Equal(t, "GPU-b", cfg.VisibleDevices[1])
	require.False(t, cfg.Devices[1].Missing)
}
