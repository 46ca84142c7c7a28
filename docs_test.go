package house

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/internal/ports"
	"github.com/dtask/dtask-scheduler/wire"
)

// documents are the texts for people.
func documents(t *testing.T) []string {
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return append(files, "README.md", "CHANGELOG.md")
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

var link = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)

// TestLinksLeadSomewhere looks at the files and at the sections of links.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			target := file
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(file), m[1])
			}
			_, err := os.Stat(target)
			require.NoError(t, err, "%s links to %s", file, m[1])
			if m[2] != "" {
				require.Contains(t, anchors(read(t, target)), m[2], "%s links to %s%s", file, m[1], m[2])
			}
		}
	}
}

// anchors returns what links to the headings of a document look like, as
// GitHub makes them.
func anchors(text string) (list []string) {
	for _, m := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(text, -1) {
		dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, "#"+strings.ReplaceAll(dropped, " ", "-"))
	}
	for _, m := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		list = append(list, "#"+m[1])
	}
	return list
}

// TestErrorsAreExplained: docs/errors.md has a row for each code with its number
// and sentinel, and a row for each reason with its number.
func TestErrorsAreExplained(t *testing.T) {
	text, sentinels := read(t, "docs/errors.md"), read(t, "client/errors.go")
	row := regexp.MustCompile("(?m)^\\| ([0-9]+ \\| `[a-z_]+`) \\| `(Err[A-Za-z]+)` \\|")
	explained := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		explained[m[1]] = true
		require.Contains(t, sentinels, m[2], "the sentinel of %s", m[1])
	}
	for c := wire.CodeOK + 1; c <= wire.CodeWorkerInUse; c++ {
		require.True(t, explained[fmt.Sprintf("%d | `%s`", c, c)], "docs/errors.md does not explain %s", c)
	}
	for r := wire.ReasonNone; r <= wire.ReasonPreempted; r++ {
		require.Contains(t, text, fmt.Sprintf("| %d | `%s` |", r, r))
	}
}

// TestSchedulerFlagsAreDocumented compares the flags that the scheduler prints
// with the table of docs/operating.md.
func TestSchedulerFlagsAreDocumented(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binaries")
	}
	bin := binaries(t)
	usage, _ := exec.Command(filepath.Join(bin, "scheduler"), "-h").CombinedOutput()
	row := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|")
	documented := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/operating.md"), -1) {
		documented[m[1]] = true
	}
	has := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(string(usage), -1) {
		has[m[1]] = true
	}
	require.NotEmpty(t, has)
	require.Equal(t, has, documented)
}

// binaries builds the commands into a folder of the test.
func binaries(t *testing.T) string {
	dir := t.TempDir()
	for _, name := range []string{"scheduler", "worker", "dtask", "loadtest"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return dir
}

// TestDocumentedCommandsRun runs the shell blocks of the documents, each
// document as one session of a new user, on ports that are free.
func TestDocumentedCommandsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binaries and runs them")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is missing")
	}
	bin := binaries(t)
	for _, file := range []string{"docs/operating.md", "docs/runbooks.md", "docs/loadtest.md"} {
		t.Run(file, func(t *testing.T) { runSession(t, bin, shellBlocks(read(t, file))) })
	}
}

// TestQuickstartsRunToTheirEnd pastes the blocks of the README and the quickstart
// as they are. Beside ports and make nothing is replaced: they wait for what needs
// a moment, run a task to its end, and leave nothing behind.
func TestQuickstartsRunToTheirEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binaries and runs them")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is missing")
	}
	bin := binaries(t)
	for _, file := range []string{"README.md", "docs/quickstart.md"} {
		t.Run(file, func(t *testing.T) {
			lines := shellBlocks(read(t, file))
			dir, out := runSession(t, bin, append(lines, `test -z "$(jobs -r)"`))
			require.Regexp(t, `(?m)^worker-001 ready$`, out)
			require.Regexp(t, `"status":"begun",.*"task_id":"task-001",.*"CUDA_VISIBLE_DEVICES"`, out)
			require.Regexp(t, `(?m)^[0-9a-f-]+ +task-001 +worker-001 +ok +worker `, out)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, 1, "bin alone is left: %v", left)
		})
	}
}

// shellBlocks returns the lines of all blocks that are marked sh.
func shellBlocks(text string) (lines []string) {
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "```sh":
			inside = true
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inside = false
		case inside:
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// runSession runs commands one after the other. Servers go to the background
// and are waited for; targets of make are only looked up.
func runSession(t *testing.T, bin string, lines []string) (dir, output string) {
	require.NotEmpty(t, lines)
	root, err := os.Getwd()
	require.NoError(t, err)
	dir = t.TempDir()
	require.NoError(t, os.Symlink(bin, filepath.Join(dir, "bin")))
	http := ports.Row(t, 3)
	native := fmt.Sprint(http + 1)
	script := "set -eu\nexport DTASK_ADDR=127.0.0.1:" + native + "\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
	for _, line := range lines {
		line = strings.NewReplacer("8080", fmt.Sprint(http), "8081", native, "9700", fmt.Sprint(http+2)).Replace(line)
		script += "echo '$ " + strings.ReplaceAll(line, "'", "") + "'\n" + command(line, root) + "\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir, string(out)
}

// command returns what the test runs for a line.
func command(line, root string) string {
	foreground := strings.TrimSpace(strings.TrimSuffix(line, "&"))
	switch {
	case strings.HasPrefix(line, "make "):
		target, _, _ := strings.Cut(strings.TrimPrefix(line, "make "), "#")
		return "make -C " + root + " -n " + target + " >/dev/null"
	case strings.Contains(line, "=$!"): // waits for itself
		return line
	case strings.HasPrefix(line, "bin/scheduler "):
		return foreground + " 2>scheduler.log &\nuntil grep -q 'listening on port' scheduler.log; do sleep 0.05; done"
	case strings.HasPrefix(line, "bin/worker "):
		return foreground + " 2>worker.log &\nuntil bin/dtask workers --quiet | grep -q worker-001; do sleep 0.05; done"
	}
	return line
}
