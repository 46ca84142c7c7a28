package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/cmd/cmdline"
	"github.com/dtask/dtask-scheduler/loadtest"
	"github.com/dtask/dtask-scheduler/wire"
)

// options are the flags.
type options struct {
	load     loadtest.Config
	startTTL time.Duration
	grace    time.Duration
	json     bool
}

// flags returns the flags, which set o.
func (o *options) flags() *flag.FlagSet {
	o.load = loadtest.DefaultConfig()
	c := &o.load
	fs := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	fs.StringVar(&c.Addr, "addr", "", "host:port of the native protocol of a scheduler without other workers; by default a scheduler is embedded")
	fs.StringVar(&c.HTTPAddr, "http-addr", "", "host:port of that scheduler's HTTP API, for the transports http and mixed")
	fs.StringVar((*string)(&c.Transport), "transport", string(c.Transport), "how workers report: tcp, udp (heartbeats as datagrams), http (one number, no leases; a tenth of the tasks is placed by HTTP as well), or mixed (a third each)")
	fs.StringVar((*string)(&c.Profile), "profile", string(c.Profile), "what tasks ask for: slots (a slot and tags), resources (amounts, GPUs, selectors, policies, whole workers), gangs (the same, many of them in gangs), or overload (more tasks than the fleet can run, which wait and preempt: three priorities, five owners)")
	fs.IntVar(&c.Workers, "workers", c.Workers, "simulated workers, fewer if descriptors run out: all but those that report by HTTP hold a connection; 100 with the profile overload and no --slots")
	fs.IntVar(&c.Slots, "slots", c.Slots, "tasks that each worker takes at once; 0: 4 to 64, by its machine, 4 with the profile overload and no --workers")
	fs.DurationVar(&c.Heartbeat, "heartbeat", c.Heartbeat, "time between two reports of a worker, give or take a tenth")
	fs.BoolVar(&c.Burst, "burst", false, "have all workers report at the same moments")
	fs.IntVar(&c.Clients, "clients", c.Clients, "client connections")
	fs.IntVar(&c.Depth, "depth", c.Depth, "schedule requests that each client has in flight in a closed loop; 0: 2, 16 with --faults, 128 with the profile overload")
	fs.Float64Var(&c.Rate, "rate", c.Rate, "schedule requests per second, sent at drawn times (open loop); 0: none, the workers only report; -1: closed loop")
	fs.DurationVar(&c.Duration, "duration", c.Duration, "how long the load lasts")
	fs.DurationVar(&c.TaskTime, "task-time", c.TaskTime, "mean time that a task runs")
	fs.Float64Var(&c.Occupancy, "occupancy", c.Occupancy, "share of all slots that a closed loop keeps taken at most; from 1 on requests are refused")
	fs.Float64Var(&c.Release, "release", c.Release, "share of leases that are released instead of handed over")
	fs.Float64Var(&c.Hold, "hold", c.Hold, "share of leases that are kept by renewals for a while before they are handed over")
	fs.Float64Var(&c.Late, "late", c.Late, "share of leases that are handed over after their time to live, without renewals")
	fs.Float64Var(&c.Repeat, "repeat", c.Repeat, "share of tasks that are asked for again while they have a lease")
	fs.BoolVar(&c.Faults, "faults", false, "inject faults: a network that delays, breaks, repeats, loses and reorders; a tenth of the workers is killed, and the embedded scheduler")
	fs.IntVar(&c.Loops, "loops", c.Loops, "event loops of workers and clients; 0: half the processors")
	fs.Uint64Var(&c.Seed, "seed", 0, "seed of the fleet, the tasks and the faults; 0: drawn, and printed in the report")
	fs.DurationVar(&o.startTTL, "start-ttl", 10*time.Second, "of the embedded scheduler: time that a lease lives after its last renewal, until it begins")
	fs.DurationVar(&o.grace, "preempt-grace", 2*time.Second, "of the embedded scheduler: time that a preempted task may go on; with more than 5s no task preempts")
	fs.BoolVar(&o.json, "json", false, "print the report as JSON")
	return fs
}

// parse reads the flags. It has told the user what is wrong when it returns an
// error.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := o.flags()
	if err := cmdline.Parse(fs, args, stderr); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		flag        string
		value       time.Duration
		least, most int64 // milliseconds
	}{{"--start-ttl", o.startTTL, 1, wire.MaxTTL}, {"--preempt-grace", o.grace, 0, wire.MaxGrace}} {
		if ms := f.value.Milliseconds(); ms < f.least || ms > f.most || f.value < 0 {
			least, most := time.Duration(f.least)*time.Millisecond, time.Duration(f.most)*time.Millisecond
			return nil, cmdline.Refuse(fs, stderr, fmt.Errorf("%s must be in %v..%v, not %v", f.flag, least, most, f.value))
		}
	}
	if o.load.Addr != "" {
		addrs, err := client.ParseAddrs(o.load.Addr)
		if err == nil && len(addrs) > 1 {
			err = errors.New("one scheduler is loaded at a time")
		}
		if err != nil {
			return nil, cmdline.Refuse(fs, stderr, fmt.Errorf("--addr: %w", err))
		}
		o.load.Addr = addrs[0]
	}
	o.settle(fs)
	return o, nil
}

// The fleet of the profile overload, unless the flags say otherwise: its clients
// ask for several times as much, on any machine.
const (
	overloadWorkers = 100
	overloadSlots   = 4
)

// settle fills in what the flags leave open.
func (o *options) settle(fs *flag.FlagSet) {
	if o.load.Seed == 0 {
		o.load.Seed = rand.Uint64()
	}
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.load.Profile == loadtest.ProfileOverload && !set["workers"] && !set["slots"] {
		o.load.Workers, o.load.Slots = overloadWorkers, overloadSlots
	}
}

// named says which flags a field of the configuration, or the sum of several,
// comes from, and what they must be.
func named(e *loadtest.ConfigError) string {
	var flags []string
	for field := range strings.SplitSeq(e.Field, "+") {
		flag := "--"
		for i, r := range strings.Replace(field, "HTTP", "Http", 1) {
			if unicode.IsUpper(r) && i > 0 {
				flag += "-"
			}
			flag += string(unicode.ToLower(r))
		}
		flags = append(flags, flag)
	}
	return strings.Join(flags, " + ") + " must be " + e.Want
}
