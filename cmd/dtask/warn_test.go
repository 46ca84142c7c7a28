package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/dtask/dtask-scheduler/client"
)

// taskOf returns what a command line of schedule asks for, nil if it is none.
func taskOf(line string) (task *client.Task) {
	for _, end := range []string{" #", " |", " &", " >", ";"} {
		if before, _, found := cutOutside(line, end); found {
			line = before
		}
	}
	root := (&app{out: newPrinter(&strings.Builder{})}).root()
	root.Writer, root.ErrWriter = &strings.Builder{}, &strings.Builder{}
	for _, c := range root.Commands {
		c.Action = func(_ context.Context, cmd *cli.Command) error {
			if tasks, err := tasksOf(cmd); err == nil && cmd.Name == "schedule" {
				task = &tasks[0]
			}
			return nil
		}
	}
	_ = root.Run(context.Background(), append([]string{"dtask"}, words(line)...)) // lines with mistakes are none
	return task
}

// cutOutside is strings.Cut that looks outside quotation marks.
func cutOutside(line, at string) (before, after string, found bool) {
	quoted := false
	for i := range line {
		if line[i] == '\'' {
			quoted = !quoted
		}
		if !quoted && strings.HasPrefix(line[i:], at) {
			return line[:i], line[i+len(at):], true
		}
	}
	return line, "", false
}

var (
	scheduleLine = regexp.MustCompile("dtask ((?:--addr \\S+ )?schedule [^`\"\\\\\n]*)")
	gpuRequest   = regexp.MustCompile(`\{[^{}]*"required_tags":\s*\[[^\]]*"gpu"[^\]]*\](?:[^{}]|\{[^{}]*\})*\}`)
	gpuTask      = regexp.MustCompile(`Task\{.*Tags: \[\]string\{"gpu".*`)
	takesGPU     = regexp.MustCompile(`"gpu": ?1|"gpu_mem"|"exclusive":true`)
)

// TestExamplesTakeTheGPUTheyAskFor: whoever copies an example that asks for a
// worker with GPUs gets one.
func TestExamplesTakeTheGPUTheyAskFor(t *testing.T) {
	pages := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "*.go", "../../client/*/doc.go", "../../client/doc.go"} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		pages = append(pages, more...)
	}
	lines := 0
	for _, page := range pages {
		if strings.HasSuffix(page, "_test.go") {
			continue
		}
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range scheduleLine.FindAllStringSubmatch(string(text), -1) {
			if task := taskOf(m[1]); task != nil {
				lines++
				require.False(t, lacksGPU(task), "%s: %s", page, m[0])
			}
		}
		for _, pattern := range []*regexp.Regexp{gpuRequest, gpuTask} {
			for _, request := range pattern.FindAllString(string(text), -1) {
				require.Regexp(t, takesGPU, request, page)
			}
		}
	}
	require.Greater(t, lines, 30) // they were found
}

func TestWhichTasksLackAGPU(t *testing.T) {
	for line, lacks := range map[string]bool{
		"schedule gpu":                            true,
		"schedule gpu cuda-12.0 --cpu 2":          true,
		"schedule 'gpu && cuda>=12'":              true,
		"schedule '(gpu && a) || (gpu && b)'":     true,
		"schedule cpu 'gpu && !spot' --mem 1Gi":   true,
		"schedule 'gpu || cpu'":                   false,
		"schedule '!gpu'":                         false,
		"schedule 'gpu=a100'":                     false,
		"schedule cuda-12.0":                      false,
		"schedule --prefer gpu":                   false,
		"schedule gpu --gpus 1":                   false,
		"schedule 'gpu && cuda>=12' --gpu-mem 1G": false,
		"schedule gpu --resource gpu=1":           false,
		"schedule gpu --exclusive":                false,
	} {
		task := taskOf(line)
		require.NotNil(t, task, line)
		require.Equal(t, lacks, lacksGPU(task), line)
	}
}
