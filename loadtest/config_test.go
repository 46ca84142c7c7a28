package loadtest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/selector"
	"github.com/dtask/dtask-scheduler/wire"
)

// profilesTotal is how many kinds of machines a fleet has.
const profilesTotal = 48

func TestVerify(t *testing.T) {
	for field, spoil := range map[string]func(c *Config){
		"Addr":                     func(c *Config) { c.Addr = "" },
		"Workers":                  func(c *Config) { c.Workers = 0 },
		"Slots":                    func(c *Config) { c.Slots = wire.MaxPage + 1 },
		"Heartbeat":                func(c *Config) { c.Heartbeat = 0 },
		"Clients":                  func(c *Config) { c.Clients = maxClients + 1 },
		"Depth":                    func(c *Config) { c.Depth = -1 },
		"Rate":                     func(c *Config) { c.Rate = math.NaN() },
		"Duration":                 func(c *Config) { c.Duration = 0 },
		"TaskTime":                 func(c *Config) { c.TaskTime = -time.Second },
		"Occupancy":                func(c *Config) { c.Occupancy = math.NaN() },
		"Release":                  func(c *Config) { c.Release = -0.1 },
		"Hold":                     func(c *Config) { c.Hold = 2 },
		"Late":                     func(c *Config) { c.Late = 2 },
		"Repeat":                   func(c *Config) { c.Repeat = math.Inf(1) },
		"Release+Hold+Late+Repeat": func(c *Config) { c.Release, c.Hold = 0.6, 0.6 },
		"Loops":                    func(c *Config) { c.Loops = -1 },
		"Profile":                  func(c *Config) { c.Profile = "all" },
		"Transport":                func(c *Config) { c.Transport = "pigeon" },
		"HTTPAddr":                 func(c *Config) { c.Transport = Mixed },
	} {
		c := DefaultConfig()
		c.Addr = "127.0.0.1:1"
		require.NoError(t, c.Verify())
		spoil(&c)
		var wrong *ConfigError
		require.ErrorAs(t, c.Verify(), &wrong, field)
		require.Equal(t, field, wrong.Field)
		require.Contains(t, wrong.Error(), "loadtest: Config."+field+" must be ")
	}
}

func TestFleet(t *testing.T) {
	require.Len(t, profiles(), profilesTotal)
	fleet := newFleet(rand.New(rand.NewPCG(1, 1)), 5000, 0)
	kinds, places, spot := make(map[string]bool), make(map[string]bool), 0
	for _, s := range fleet {
		require.GreaterOrEqual(t, s.slots, 4)
		require.LessOrEqual(t, s.slots, 64)
		require.LessOrEqual(t, len(s.tags), wire.MaxWorkerTags)
		zone := slices.IndexFunc(s.tags, func(tag string) bool { return len(tag) > 5 && tag[:5] == "zone=" })
		kinds[s.tags[2]+s.tags[zone-1]] = true
		places[s.tags[zone]] = true
		if slices.Contains(s.tags, "spot") {
			spot++
		}
	}
	require.Len(t, kinds, profilesTotal)
	require.Len(t, places, zones)
	require.InDelta(t, spotShare*5000, spot, 250)
	seen := map[kind]int{}
	for p := range shares {
		for _, r := range newRequirements(rand.New(rand.NewPCG(2, 2)), fleet, p) {
			require.LessOrEqual(t, len(r.need.Tags), maxRequired)
			require.Equal(t, r.kind != kindSlot, len(r.takes)+len(r.ask.Selector)+len(r.ask.Prefer) > 0 || r.need.Exclusive, "%+v", r)
			seen[r.kind]++
			if r.kind != kindSelector {
				require.True(t, r.feasible, "%+v has no worker", r.need)
			}
			if len(r.ask.Selector) > 0 { // the judge's reading and the scheduler's are the same
				where, err := selector.Parse(string(r.ask.Selector))
				require.NoError(t, err)
				for i := range fleet[:300] {
					w := judge.Worker{ID: "w", Tags: fleet[i].tags, Slots: 1}
					n := judge.Need{Clauses: r.need.Clauses}
					require.Equal(t, where.Match(fleet[i].tags), n.Could(&w), "%s: %q", r.ask.Selector, fleet[i].tags)
				}
			}
		}
	}
	require.Len(t, seen, int(kindExclusive)+1)
	require.Equal(t, 5000*7, totalSlots(newFleet(rand.New(rand.NewPCG(1, 1)), 5000, 7)))
}

func TestDescriptorsLimitTheWorkers(t *testing.T) {
	for _, c := range []struct {
		name             string
		transport        Transport
		embedded, faults bool
		limit            uint64
		want             int
	}{
		{"enough", TCP, true, false, 20_000, 5000},
		{"one end in this process", TCP, false, false, 1528, 1000},
		{"both ends", TCP, true, false, 2544, 1000},
		{"a proxy between", TCP, false, true, 3560, 1000},
		{"a proxy and both ends", UDP, true, true, 20_000, 4856},
		{"too few for anything", TCP, true, true, 500, 0},
		{"requests by HTTP share connections", HTTP, true, true, 1000, 5000},
		{"too few even for those", HTTP, true, true, 800, 0},
		{"two thirds with connections", Mixed, false, false, 592 + 1000, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := Config{Transport: c.transport, Workers: 5000, Clients: 16, Embedded: c.embedded, Faults: c.faults}
			require.Equal(t, c.want, fitFiles(&config, c.limit))
		})
	}
}

func TestFewerWorkersAreAnnounced(t *testing.T) {
	c := Config{Workers: maxWorkers * 64, Clients: 1}
	var said bytes.Buffer
	n, err := fitWorkers(&c, &said)
	require.NoError(t, err)
	require.Less(t, n, c.Workers)
	require.Regexp(t, `^loadtest: the limit of \d+ descriptors allows \d+ of 67108864 workers; raise it \(ulimit -n\) for more\n$`, said.String())
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 1000001: "1,000,001"} {
		require.Equal(t, want, grouped(n))
	}
}
