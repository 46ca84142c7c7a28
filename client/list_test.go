package client_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/client/fake"
	"github.com/dtask/dtask-scheduler/client/httpapi"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/server"
)

func ids(t *testing.T, c *client.Client, f client.Filter) (list []string) {
	t.Helper()
	for _, w := range collect(t, c.Workers(within(t), f)) {
		list = append(list, w.ID)
	}
	return list
}

func TestWorkersAreListedBySelector(t *testing.T) {
	s := fake.New(t)
	s.AddWorker("w1", 1, "gpu", "cuda=12.4")
	s.AddWorker("w2", 1, "gpu", "cuda=11.8")
	s.AddWorker("w3", 1, "cpu")
	c := s.Dial()
	for text, want := range map[string][]string{
		"": {"w1", "w2", "w3"}, "gpu && cuda>=12": {"w1"}, "!gpu": {"w3"}, "cuda>=13": nil, "gpu || cpu": {"w1", "w2", "w3"},
	} {
		require.Equal(t, want, ids(t, c, client.Filter{Selector: text, Page: 1}), text)
	}
	require.Equal(t, []string{"w2"}, ids(t, c, client.Filter{Tags: []string{"gpu"}, Selector: "cuda<12"}))
	for range c.Workers(within(t), client.Filter{Selector: "gpu"}) {
		break // a loop may end early
	}
	for _, err := range c.Workers(within(t), client.Filter{Selector: "gpu &&"}) {
		var wrong *selector.Error
		require.ErrorIs(t, err, client.ErrBadRequest)
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, 7, wrong.Column)
	}
}

// Nobody knows whether the selector holds for a worker whose tags do not fit into
// a row: it is listed.
func TestAWorkerWithOmittedTagsIsNotLeftOut(t *testing.T) {
	cfg := server.DefaultConfig()
	cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := server.New(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Start())
	t.Cleanup(s.Kill)
	h, err := httpapi.New("http://"+s.HTTPAddr(), nil)
	require.NoError(t, err)
	for id, tags := range map[string][]string{"huge": {strings.Repeat("x", 600<<10), "gpu"}, "small": {"gpu"}, "other": {"cpu"}} {
		require.NoError(t, h.Heartbeat(within(t), httpapi.Heartbeat{Worker: id, Address: "h:1", Tags: tags, MaxTasks: 1}))
	}
	c := dial(t, s.Addr())
	list := ids(t, c, client.Filter{Selector: "gpu"})
	slices.Sort(list)
	require.Equal(t, []string{"huge", "small"}, list)
}
