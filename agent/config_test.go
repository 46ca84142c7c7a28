package agent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerifyNamesTheField(t *testing.T) {
	for name, c := range map[string]struct {
		field string
		spoil func(*Config)
	}{
		"no scheduler":        {"Scheduler", func(c *Config) { c.Scheduler = "" }},
		"another scheme":      {"Scheduler", func(c *Config) { c.Scheduler = "ftp://h:1" }},
		"a port out of range": {"Scheduler", func(c *Config) { c.Scheduler = "dtask://h:99999" }},
		"no host":             {"Scheduler", func(c *Config) { c.Scheduler = "dtask://:8081" }},
		"an empty address":    {"Scheduler", func(c *Config) { c.Scheduler = "dtask://a:1,,b:2" }},
		"too many addresses":  {"Scheduler", func(c *Config) { c.Scheduler = "dtask://a" + strings.Repeat(",a", MaxSchedulers) }},
		"a query":             {"Scheduler", func(c *Config) { c.Scheduler = "http://h:1/?x=1" }},
		"http without a host": {"Scheduler", func(c *Config) { c.Scheduler = "http://" }},
		"no id":               {"Worker", func(c *Config) { c.Worker = "" }},
		"http without an id":  {"Worker", func(c *Config) { c.Scheduler, c.Worker = "http://h:1", "" }},
		"an id with blanks":   {"Worker", func(c *Config) { c.Worker = "a b" }},
		"a long address":      {"Address", func(c *Config) { c.Address = strings.Repeat("a", 257) }},
		"no address":          {"Address", func(c *Config) { c.Address = "" }},
		"no port":             {"Address", func(c *Config) { c.Address = "localhost" }},
		"port 0":              {"Address", func(c *Config) { c.Address = "localhost:0" }},
		"all interfaces":      {"Address", func(c *Config) { c.Address = "0.0.0.0:9000" }},
		"a control character": {"Tags", func(c *Config) { c.Tags = []string{"a\nb"} }},
		"an empty tag":        {"Tags", func(c *Config) { c.Tags = []string{""} }},
		"too many tags":       {"Tags", func(c *Config) { c.Tags = make([]string, 65) }},
		"a negative amount":   {"Resources", func(c *Config) { c.Resources = map[string]int64{"cpu": -1} }},
		"too many slots":      {"Slots", func(c *Config) { c.Slots = 1 << 31 }},
		"a tiny interval":     {"Heartbeat", func(c *Config) { c.Heartbeat = 1 }},
		"a long token":        {"Token", func(c *Config) { c.Token = strings.Repeat("a", 513) }},
		"nothing to keep in":  {"StateDir", func(c *Config) { c.TasksDieWithAgent = false }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Scheduler: "dtask://h:1", Worker: "w1", Address: "h:1", TasksDieWithAgent: true}
			require.NoError(t, cfg.Verify())
			c.spoil(&cfg)
			var e *FieldError
			require.ErrorAs(t, cfg.Verify(), &e)
			require.Equal(t, c.field, e.Field)
		})
	}
}

func TestSchedulerAddresses(t *testing.T) {
	for text, want := range map[string]place{
		"dtask://h:1":           {addrs: []string{"h:1"}},
		"dtask://h":             {addrs: []string{"h:8081"}},
		"dtask://h:":            {addrs: []string{"h:8081"}},
		"dtask://[::1]":         {addrs: []string{"[::1]:8081"}},
		"dtask://[::1]:9/":      {addrs: []string{"[::1]:9"}},
		"dtask://a:1, b,c:3":    {addrs: []string{"a:1", "b:8081", "c:3"}},
		"http://h:8080/":        {base: "http://h:8080"},
		"https://h/dtask//":     {base: "https://h/dtask"},
		"http://localhost:8080": {base: "http://localhost:8080"},
	} {
		got, err := parseScheduler(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestDoubtfulAddresses(t *testing.T) {
	for _, c := range []struct {
		scheduler, addr string
		warns           bool
	}{
		{"dtask://127.0.0.1:1", "localhost:9000", false},
		{"dtask://localhost", "127.0.0.1:9000", false},
		{"dtask://h:1", "h2:9000", false},
		{"dtask://h:1", "localhost:9000", true},
		{"dtask://h:1", "[::1]:9000", true},
		{"dtask://10.0.0.1:1,10.0.0.2:1", "127.0.0.1:9000", true},
		{"http://localhost:8080", "localhost:9000", false},
		{"http://h:8080", "localhost:9000", true},
		{"http://h:8080", "", true},
		{"http://h:8080", "0.0.0.0:9000", true},
		{"http://h:8080", "h2:9000", false},
	} {
		cfg := Config{Scheduler: c.scheduler, Worker: "w1", Address: c.addr, TasksDieWithAgent: true}
		require.NoError(t, cfg.Verify(), c)
		p, err := parseScheduler(c.scheduler)
		require.NoError(t, err)
		w := cfg.addressWarning(p)
		require.Equal(t, c.warns, w != "", c)
		if c.warns {
			require.Contains(t, w, "--addr", c)
			require.Contains(t, w, "such as", c)
		}
	}
}
