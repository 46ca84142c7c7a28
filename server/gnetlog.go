package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// gnetLogger passes gnet's own lines on to slog, at most one of a kind for each
// second. What gnet calls information is of use to developers alone, and
// so are the errors with which it ends on request.
type gnetLogger struct {
	log     *slog.Logger
	limiter *limiter
	ending  *atomic.Bool // the engines are being stopped
}

var _ logging.Logger = gnetLogger{}

// Debugf implements logging.Logger.
func (g gnetLogger) Debugf(string, ...any) {}

// Infof implements logging.Logger.
func (g gnetLogger) Infof(format string, args ...any) {
	g.line(slog.LevelDebug, format, args)
}

// Warnf implements logging.Logger.
func (g gnetLogger) Warnf(format string, args ...any) {
	g.line(slog.LevelWarn, format, args)
}

// Errorf implements logging.Logger.
func (g gnetLogger) Errorf(format string, args ...any) {
	g.line(slog.LevelError, format, args)
}

// Fatalf implements logging.Logger. It does not end the process: an engine that
// ends surfaces on Server.Done.
func (g gnetLogger) Fatalf(format string, args ...any) {
	g.line(slog.LevelError, format, args)
}

func (g gnetLogger) line(level slog.Level, format string, args []any) {
	if g.ending.Load() {
		level = slog.LevelDebug
	}
	if !g.log.Enabled(context.Background(), level) {
		return
	}
	if ok, dropped := g.limiter.allow(format); ok {
		g.log.Log(context.Background(), level, "gnet", "line", fmt.Sprintf(format, args...), "dropped", dropped)
	}
}
