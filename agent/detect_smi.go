package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// Limits of what nvidia-smi is trusted with.
const (
	smiTimeout     = 5 * time.Second // it hangs when the driver does
	maxSMIOutput   = 64 << 10        // bytes
	maxSMIProblems = 8               // lines that are complained of
)

// smiCommand asks for one line for each GPU.
var smiCommand = []string{"nvidia-smi", "--query-gpu=index,name,memory.total,uuid", "--format=csv,noheader,nounits"}

// errSMIOutput ends a program that writes too much.
var errSMIOutput = fmt.Errorf("nvidia-smi: more than %d bytes of output", maxSMIOutput)

// bounded keeps what is written up to maxSMIOutput.
type bounded struct {
	text []byte
	over bool
}

// Write fails where the limit would be passed.
func (b *bounded) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > maxSMIOutput {
		b.over = true
		return 0, errSMIOutput
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// runSMI returns what nvidia-smi prints. A driver that hangs can make its
// process immortal, so the process is left behind when the time is over.
func runSMI(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, smiCommand[0], smiCommand[1:]...)
	out := &bounded{}
	c.Stdout, c.WaitDelay = out, time.Second
	ended := make(chan error, 1)
	go func() { ended <- c.Run() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		return "", fmt.Errorf("nvidia-smi: no answer: %w", ctx.Err())
	}
	text := string(out.text)
	first, _, _ := strings.Cut(text, "\n")
	switch {
	case out.over:
		return "", errSMIOutput
	case errors.Is(err, exec.ErrNotFound):
		return "", err
	case err != nil:
		return "", fmt.Errorf("nvidia-smi: %w: %.200q", err, strings.TrimSpace(first))
	}
	return text, nil
}

// parseSMI reads the lines of nvidia-smi: the GPUs by number, and what is wrong
// with the lines that are left out.
func parseSMI(text string) (rows []found, problems []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		row, problem := parseSMILine(line)
		twice := func(r found) bool { return r.id == row.id || r.UUID != "" && r.UUID == row.UUID }
		if problem == "" && slices.ContainsFunc(rows, twice) {
			problem = "names a GPU twice"
		}
		switch {
		case problem == "":
			rows = append(rows, row)
		case len(problems) < maxSMIProblems:
			problems = append(problems, fmt.Sprintf("the line %.160q is left out: it %s", line, problem))
		case len(problems) == maxSMIProblems:
			problems = append(problems, "more lines are left out")
		}
	}
	slices.SortFunc(rows, func(a, b found) int { return cmp.Compare(number(a.id), number(b.id)) })
	return rows, problems
}

// parseSMILine reads one line: a number, a name that may contain commas, MiB of
// memory and a UUID. The memory or the UUID may be unknown; a device without
// known memory is given to tasks as a whole only.
func parseSMILine(line string) (row found, problem string) {
	fields := strings.Split(line, ",")
	last := len(fields) - 1
	if last < 3 {
		return row, "is not: index, name, memory, uuid"
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	n, err := strconv.ParseUint(fields[0], 10, 31)
	if err != nil {
		return row, "does not begin with the number of a GPU"
	}
	row.id = strconv.FormatUint(n, 10)
	if name := strings.Join(fields[1:last-1], ", "); !unknown(name) {
		row.Model = modelOf(name)
	}
	if memory := strings.TrimSpace(strings.TrimSuffix(fields[last-1], "MiB")); !unknown(memory) {
		if row.Memory, err = capacity.Parse(capacity.GPUMem, memory+"Mi", capacity.Down); err != nil {
			return row, "tells no memory, so the GPU may be broken"
		}
	}
	switch uuid := fields[last]; {
	case unknown(uuid):
	case !wire.ValidID(uuid) || !strings.HasPrefix(uuid, gpuPrefix) && !strings.HasPrefix(uuid, migPrefix):
		return row, "does not end with a UUID"
	default:
		row.UUID = uuid
	}
	return row, ""
}

// unknown reports whether nvidia-smi says that it cannot tell. Other words in
// brackets, such as [GPU is lost], say that the GPU cannot be used.
func unknown(s string) bool {
	switch strings.ToLower(strings.Trim(s, "[]")) {
	case "", "n/a", "not supported", "not available", "insufficient permissions":
		return true
	}
	return false
}

// modelOf returns the name of a GPU as the protocol can carry it.
func modelOf(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	return strings.TrimSpace(strings.ToValidUTF8(name[:min(len(name), wire.MaxModel)], ""))
}
