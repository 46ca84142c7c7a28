package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

func row(id, model string, memory int64, uuid string) found {
	return found{wire.Device{Model: model, Memory: memory, UUID: uuid}, id}
}

func TestParseSMI(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		rows     []found
		problems []string // a part of each
	}{
		"two, out of order": {
			text: "1, NVIDIA H100 80GB HBM3, 81559, GPU-2\n0, NVIDIA H100 80GB HBM3, 81559, GPU-1\n",
			rows: []found{row("0", "NVIDIA H100 80GB HBM3", 81559, "GPU-1"), row("1", "NVIDIA H100 80GB HBM3", 81559, "GPU-2")},
		},
		"nothing":                {text: "\n \n"},
		"lines of Windows":       {text: "0, T4, 15360, GPU-1\r\n\r\n1, T4, 15360, GPU-2\r\n", rows: []found{row("0", "T4", 15360, "GPU-1"), row("1", "T4", 15360, "GPU-2")}},
		"no last end of a line":  {text: "0,T4,15360,GPU-1", rows: []found{row("0", "T4", 15360, "GPU-1")}},
		"no memory is known":     {text: "0, NVIDIA GB10, [N/A], GPU-1\n1, X, [Not Supported], GPU-2\n", rows: []found{row("0", "NVIDIA GB10", 0, "GPU-1"), row("1", "X", 0, "GPU-2")}},
		"no UUID is known":       {text: "0, X, 8, [N/A]\n1, X, 8, [N/A]\n", rows: []found{row("0", "X", 8, ""), row("1", "X", 8, "")}},
		"a name with commas":     {text: "0, GRID A100, 1g.5gb, rev 2, 4864, GPU-1\n", rows: []found{row("0", "GRID A100, 1g.5gb, rev 2", 4864, "GPU-1")}},
		"a part of a device":     {text: "0, NVIDIA A100-SXM4-40GB MIG 1g.5gb, 4864, MIG-1\n", rows: []found{row("0", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4864, "MIG-1")}},
		"units and fractions":    {text: "0, X, 40960 MiB, GPU-1\n1, X, 4095.9, GPU-2\n", rows: []found{row("0", "X", 40960, "GPU-1"), row("1", "X", 4095, "GPU-2")}},
		"an odd name":            {text: "0, A\x01B\xff, 8, GPU-1\n", rows: []found{row("0", "AB", 8, "GPU-1")}},
		"a long name":            {text: "0, " + strings.Repeat("ä", 100) + ", 8, GPU-1\n", rows: []found{row("0", strings.Repeat("ä", 64), 8, "GPU-1")}},
		"a broken GPU":           {text: "0, X, [GPU is lost], GPU-1\n1, X, 8, GPU-2\n", rows: []found{row("1", "X", 8, "GPU-2")}, problems: []string{"may be broken"}},
		"a memory that is text":  {text: "0, X, -8, GPU-1\n1, X, 8k, GPU-2\n2, X, 99999999999999, GPU-3\n", problems: []string{"may be broken", "may be broken", "may be broken"}},
		"garbage":                {text: "Failed to initialize NVML\nx, X, 8, GPU-1\n-1, X, 8, GPU-1\n0, X, 8, what\n0, X, 8, GPU 1\n", problems: []string{"is not: index", "the number of a GPU", "the number of a GPU", "a UUID", "a UUID"}},
		"a number or UUID twice": {text: "0, X, 8, GPU-1\n0, X, 8, GPU-2\n1, X, 8, GPU-1\n", rows: []found{row("0", "X", 8, "GPU-1")}, problems: []string{"twice", "twice"}},
		"very much garbage":      {text: strings.Repeat("?\n", 1000), problems: append(strings.Split(strings.Repeat("is not: index|", maxSMIProblems), "|")[:maxSMIProblems], "more lines")},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := parseSMI(c.text)
			require.Equal(t, c.rows, rows)
			require.Len(t, problems, len(c.problems))
			for i := range problems {
				require.Contains(t, problems[i], c.problems[i])
			}
		})
	}
}

func FuzzParseSMI(f *testing.F) {
	for _, s := range []string{"0, A100, 40960, GPU-1\r\n", "0, a, b, [N/A], MIG-1/1/0", "1, X, [GPU is lost], GPU-1", "\x00,\xff,1e9,GPU-", "7,,,"} {
		f.Add(s, "0,GPU-1,MIG-x")
	}
	f.Fuzz(func(t *testing.T, text, visible string) {
		rows, problems := parseSMI(text)
		if len(problems) > maxSMIProblems+1 {
			t.Fatalf("%d problems", len(problems))
		}
		for i := range rows {
			if p := verifyDevice(&rows[i].Device); p != "" || !utf8.ValidString(rows[i].Model) || !isDevice(rows[i].id) {
				t.Fatalf("%+v %s", rows[i], p)
			}
		}
		d := &Detection{}
		d.announce(pickVisible(visible, rows, true))
		cfg := Config{Devices: d.Devices, VisibleDevices: d.VisibleDevices}
		if err := cfg.verifyDevices(); err != nil && len(d.Devices) <= wire.MaxDevices {
			t.Fatal(err)
		}
	})
}

// driver puts a script that claims to be nvidia-smi into the path.
func driver(t *testing.T, script string) {
	dir := t.TempDir()
	if script != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	t.Setenv("PATH", dir)
	t.Setenv(visibleDevices, "")
	require.NoError(t, os.Unsetenv(visibleDevices))
}

// detectWithin asks the program of the path for no longer than this.
func detectWithin(t *testing.T, d time.Duration) *Detection {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return Detect(ctx, -1)
}

func TestTheProgramIsAsked(t *testing.T) {
	driver(t, `[ "$*" = "--query-gpu=index,name,memory.total,uuid --format=csv,noheader,nounits" ] || exit 2
echo "0, NVIDIA H100 80GB HBM3, 81559, GPU-1"
echo "1, NVIDIA H100 80GB HBM3, 81559, GPU-2"`)
	d := detectWithin(t, patience)
	require.Equal(t, []wire.Device{
		{Model: "NVIDIA H100 80GB HBM3", Memory: 81559, UUID: "GPU-1"},
		{Model: "NVIDIA H100 80GB HBM3", Memory: 81559, UUID: "GPU-2"},
	}, d.Devices)
	require.Contains(t, d.String(), "device 1  81559Mi    NVIDIA H100 80GB HBM3 as GPU-2\n")

	t.Setenv(visibleDevices, "1")
	d = detectWithin(t, patience)
	require.Equal(t, []string{"GPU-2"}, d.VisibleDevices)
}

func TestAProgramThatIsOfNoUse(t *testing.T) {
	for name, c := range map[string]struct {
		script, says string
		within       time.Duration
	}{
		"none":    {"", "executable file not found", patience},
		"fails":   {"echo 'NVIDIA-SMI has failed'; exit 9", `exit status 9: "NVIDIA-SMI has failed"`, patience},
		"hangs":   {"exec /bin/sleep 60", "no answer", 100 * time.Millisecond},
		"endless": {"while echo '0, A100, 40960, GPU-1'; do :; done", "more than 65536 bytes", patience},
	} {
		t.Run(name, func(t *testing.T) {
			driver(t, c.script)
			d := detectWithin(t, c.within)
			require.Empty(t, d.Devices)
			require.NotContains(t, d.Tags, "gpu")
			require.Contains(t, strings.Join(d.Warnings, "\n"), c.says)
		})
	}
}
