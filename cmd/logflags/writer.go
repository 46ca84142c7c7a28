package logflags

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxPending bounds the log that waits for its reader, in bytes.
	maxPending = 1 << 20
	// maxPendingLines bounds it in lines.
	maxPendingLines = 4096
	// closePatience is how long Close waits for the reader of the log.
	closePatience = time.Second
)

// Writer writes a log in the background. Write never blocks and never fails:
// lines for which there is no space are dropped and counted, and one line says
// how many, where they are missing.
type Writer struct {
	to     io.Writer
	report func(dropped uint64) []byte // the line that tells of dropped ones
	total  atomic.Uint64               // lines that were dropped

	mu      sync.Mutex // guards all below
	lines   [][]byte   // that are not being written yet
	bytes   int        // of lines
	full    bool       // a line was dropped since lines were last taken
	gap     uint64     // lines that are missing and not reported yet
	writing bool       // the goroutine of run lives
	idle    *sync.Cond // writing became false
}

// Writer returns a background writer to w whose own lines follow the flags.
func (o *Options) Writer(w io.Writer) *Writer {
	a := &Writer{to: w}
	a.idle = sync.NewCond(&a.mu)
	report := Options{JSON: o.JSON} // whatever the level: a gap must show
	a.report = func(dropped uint64) []byte {
		var line bytes.Buffer
		slog.New(report.Handler(&line)).Warn("log lines are missing: their reader was too slow or refused them", "dropped", dropped)
		return line.Bytes()
	}
	return a
}

// KeepAlive lets the process live on when the reader of its standard output or
// error goes away: writes fail then, instead of ending the process. Programs
// that it starts are not affected.
func KeepAlive() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// Dropped returns how many lines were dropped since the start.
func (a *Writer) Dropped() uint64 { return a.total.Load() }

// Write implements io.Writer. Each call is one line, or several that belong
// together.
func (a *Writer) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Once a line is missing all are dropped until the earlier ones were taken,
	// so that the report stands where the gap is.
	if a.full || a.bytes+len(line) > maxPending || len(a.lines) >= maxPendingLines {
		a.full = true
		a.gap++
		a.total.Add(1)
		return len(line), nil
	}
	a.lines = append(a.lines, bytes.Clone(line))
	a.bytes += len(line)
	if !a.writing {
		a.writing = true
		go a.run()
	}
	return len(line), nil
}

// run writes until nothing waits.
func (a *Writer) run() {
	refused := uint64(0)
	for {
		a.mu.Lock()
		a.gap += refused
		if len(a.lines) == 0 && (a.gap == 0 || refused > 0) {
			a.writing = false
			a.idle.Broadcast()
			a.mu.Unlock()
			return
		}
		lines, gap := a.lines, a.gap
		a.lines, a.bytes, a.full, a.gap = nil, 0, false, 0
		a.mu.Unlock()
		refused = a.put(lines, gap)
	}
}

// put writes lines and the report of the gap behind them. It returns for how
// many lines the next report must stand.
func (a *Writer) put(lines [][]byte, gap uint64) (refused uint64) {
	for _, line := range lines {
		if _, err := a.to.Write(line); err != nil {
			refused++
		}
	}
	a.total.Add(refused)
	if gap > 0 {
		if _, err := a.to.Write(a.report(gap)); err != nil {
			refused += gap
		}
	}
	return refused
}

// Flush waits until everything is written, for patience at most, and reports
// whether it is.
func (a *Writer) Flush(patience time.Duration) bool {
	late := false
	timer := time.AfterFunc(patience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.idle.Broadcast()
	})
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.writing && !late {
		a.idle.Wait()
	}
	return !a.writing
}

// Close writes what waits, as far as its reader takes it within a second. It
// reports whether everything was written.
func (a *Writer) Close() bool { return a.Flush(closePatience) }
