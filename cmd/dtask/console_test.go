package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/capacity"
)

// TestConsoles types what the documents show at a prompt, each document as one
// session, and compares what is printed. A line of three dots stands for any
// lines; ids of leases and durations may differ.
func TestConsoles(t *testing.T) {
	for _, file := range []string{"resources.md", "selectors.md"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile("../../docs/" + file)
			require.NoError(t, err)
			addr, stop, err := embed()
			require.NoError(t, err)
			t.Cleanup(stop)
			t.Setenv("DTASK_ADDR", addr)
			s := session{t: t, addr: addr}
			commands := consoles(string(text))
			require.NotEmpty(t, commands)
			for _, c := range commands {
				shown := s.enter(c.command)
				require.Regexp(t, pattern(c.output), alike(shown), "$ %s\n%s", c.command, shown)
			}
		})
	}
}

// typed is one command of a document with the output that it shows.
type typed struct{ command, output string }

// consoles returns the commands of the blocks that are marked console.
func consoles(text string) (list []typed) {
	for i, block := range strings.Split(text, "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "console\n") {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimPrefix(block, "console\n"), "\n$ ") {
			command, output, _ := strings.Cut(strings.TrimPrefix(part, "$ "), "\n")
			list = append(list, typed{command, strings.TrimRight(output, "\n")})
		}
	}
	return list
}

var (
	anyLease    = regexp.MustCompile(`\b1-[0-9a-f]+-[0-9a-f]+\b`)
	anyDuration = regexp.MustCompile(`\b(\d+m)?\d+m?s\b`)
	anyBlanks   = regexp.MustCompile(` +`)
)

// alike makes outputs equal that differ in what changes from run to run.
func alike(output string) string {
	output = anyDuration.ReplaceAllString(anyLease.ReplaceAllString(output, "LEASE"), "TIME")
	return strings.TrimSpace(anyBlanks.ReplaceAllString(output, " "))
}

// pattern returns what an output must match.
func pattern(output string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(alike(output)), `\.\.\.`, "(?s:.*)") + "$")
}

// session is the terminal that the commands are typed into.
type session struct {
	t    *testing.T
	addr string
	code int // exit code of the last command
}

// enter runs one command and returns what it prints.
func (s *session) enter(line string) string {
	switch args := words(line); args[0] {
	case "bin/worker":
		s.worker(args[1:])
		return ""
	case "bin/dtask":
		ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
		defer cancel()
		var out strings.Builder
		s.code = run(ctx, append([]string{"dtask"}, args[1:]...), &out, &out)
		return out.String()
	case "echo":
		require.Equal(s.t, "echo $?", line)
		return fmt.Sprint(s.code)
	}
	s.t.Fatalf("nobody knows how to run %s", line)
	return ""
}

// worker starts an agent as bin/worker would on a machine of 16 cores and 64 GiB.
func (s *session) worker(args []string) {
	var cfg agent.Config
	var tags, devices, scheduler string
	var slots uint
	f := flag.NewFlagSet("worker", flag.ContinueOnError)
	f.StringVar(&cfg.Worker, "id", "", "")
	f.StringVar(&cfg.Address, "addr", "", "")
	f.StringVar(&tags, "tags", "", "")
	f.StringVar(&devices, "devices", "", "")
	f.StringVar(&scheduler, "scheduler", "", "")
	f.UintVar(&slots, "max-tasks", 0, "")
	require.NoError(s.t, f.Parse(args))
	require.Equal(s.t, []string{"&"}, f.Args())
	var err error
	cfg.Devices, err = agent.ParseDevices(devices)
	require.NoError(s.t, err)
	cfg.Resources, err = capacity.ParseList("cpu=16,mem=64Gi", capacity.Down)
	require.NoError(s.t, err)
	cfg.Scheduler, cfg.Slots, cfg.TasksDieWithAgent = "dtask://"+s.addr, uint32(slots), true
	cfg.Tags = append(strings.Split(tags, ","), "arch=amd64", "os=linux")
	a, err := agent.Start(s.t.Context(), cfg)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = a.Stop(context.Background()) })
	require.NoError(s.t, waitEligible(s.addr, cfg.Worker))
}
