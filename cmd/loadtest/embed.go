package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/server"
)

// embedded is a scheduler in this process.
type embedded struct {
	mu     sync.Mutex // Guards server: a restart and the end of the run may meet.
	server *server.Server
	config server.Config
}

// embed starts a scheduler on free ports.
func embed(o *options) (*embedded, error) {
	c := server.DefaultConfig()
	c.Sched.Learning = false // no worker was there before
	c.Addr, c.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	c.Logger = slog.New(slog.DiscardHandler)
	c.Sched.StartTTL = sched.Time(o.startTTL / time.Millisecond)
	c.Sched.PreemptGrace = sched.Time(o.grace / time.Millisecond)
	c.Sched.Heartbeat = sched.Time(o.load.Heartbeat / time.Millisecond)
	e := &embedded{config: c}
	if err := e.start(); err != nil {
		return nil, err
	}
	e.config.Addr, e.config.HTTPAddr = e.server.Addr(), e.server.HTTPAddr()
	return e, nil
}

func (e *embedded) start() error {
	s, err := server.New(e.config)
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("start the embedded scheduler: %w", err)
	}
	e.server = s
	return nil
}

// addrs returns where the native protocol and the HTTP API are served.
func (e *embedded) addrs() (native, http string) { return e.config.Addr, e.config.HTTPAddr }

// Restart implements loadtest.Restarter.
func (e *embedded) Restart(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.Kill()
	return e.start()
}

func (e *embedded) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.Kill()
}
