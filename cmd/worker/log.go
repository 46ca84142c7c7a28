package main

import (
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/dtask/dtask-scheduler/cmd/logflags"
)

// setLog makes the standard loggers write to out as the flags say. The lines of
// the program itself, which scripts look for, come at every level.
func (o *options) setLog(out io.Writer) {
	log.SetOutput(out)
	if !o.log.JSON {
		slog.SetLogLoggerLevel(o.log.Level)
		return
	}
	slog.SetDefault(slog.New(o.log.Handler(out)))
	log.SetFlags(0)
	log.SetOutput(&lines{o.log, out})
}

// lines makes a record of each line of the standard logger.
type lines struct {
	log logflags.Options
	to  io.Writer
}

// Write implements io.Writer.
func (l *lines) Write(line []byte) (int, error) {
	l.log.Say(l.to, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
