// Package logflags declares --log-format and --log-level, which the scheduler
// and the worker share, and makes the log that they ask for.
package logflags

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"strings"
)

// Options are the two flags. The zero value is text of the level info.
type Options struct {
	JSON  bool
	Level slog.Level
}

// Add declares the flags; parsing them fills o.
func (o *Options) Add(fs *flag.FlagSet) {
	fs.Var((*format)(&o.JSON), "log-format", "how log lines are written, `text|json`")
	fs.Var((*level)(&o.Level), "log-level", "least level of what is logged, `debug|info|warn|error`")
}

// Handler returns what writes a log to w as the flags say.
func (o *Options) Handler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: o.Level}
	if o.JSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// Say writes one of the few lines that scripts look for, whatever the level: as
// it is, or as the message of a JSON record.
func (o *Options) Say(w io.Writer, line string) {
	if o.JSON {
		slog.New(slog.NewJSONHandler(w, nil)).Info(line)
		return
	}
	_, _ = io.WriteString(w, line+"\n")
}

// format is a flag.Value that says whether the log is JSON.
type format bool

// String implements flag.Value.
func (f *format) String() string {
	if f != nil && *f {
		return "json"
	}
	return "text"
}

// Set implements flag.Value.
func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("want text or json")
	}
	*f = s == "json"
	return nil
}

// level is a flag.Value for the levels of slog.
type level slog.Level

// String implements flag.Value.
func (l *level) String() string {
	if l == nil {
		return "info"
	}
	return strings.ToLower(slog.Level(*l).String())
}

// Set implements flag.Value.
func (l *level) Set(s string) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if s == strings.ToLower(known.String()) {
			*l = level(known)
			return nil
		}
	}
	return errors.New("want debug, info, warn or error")
}
