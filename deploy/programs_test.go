package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is a process that the test started, and ends.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string // file of what it prints
	done chan struct{}
}

// launch starts a program whose output goes to a file. The end of the test, or
// of ctx, ends it.
func launch(ctx context.Context, t *testing.T, name, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.CommandContext(ctx, path, args...), done: make(chan struct{}),
		log: filepath.Join(t.TempDir(), name+".log")}
	log, err := os.Create(p.log)
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
		_ = log.Close()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.printed())
		}
	})
	return p
}

// stopPatience is how long a program may take to end by itself.
const stopPatience = 10 * time.Second

// stop ends the program as an operator does, and by force if it does not listen.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		p.kill()
	}
}

// kill ends the program without a chance to say good-bye.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ended reports whether the program has ended.
func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// printed returns what the program has printed so far.
func (p *program) printed() string {
	text, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return string(text)
}

// await waits until the program has printed something that pattern matches, and
// returns the groups of the match.
func (p *program) await(pattern string) []string {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	deadline := time.Now().Add(stopPatience)
	for {
		if m := want.FindStringSubmatch(p.printed()); m != nil {
			return m
		}
		require.False(p.t, p.ended(), "%s ended: %s", p.cmd.Path, p.printed())
		require.True(p.t, time.Now().Before(deadline), "no %q in: %s", pattern, p.printed())
		time.Sleep(20 * time.Millisecond)
	}
}

// build builds commands into a folder of the test.
func build(ctx context.Context, t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), "../cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return dir
}
