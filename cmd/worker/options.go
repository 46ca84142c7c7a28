package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/agent/sidecar"
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/cmd/cmdline"
	"github.com/dtask/dtask-scheduler/cmd/logflags"
	"github.com/dtask/dtask-scheduler/wire"
)

// options are the flags.
type options struct {
	id, addr, tags, scheduler string
	idFrom                    string // why the id is what it is, "" if it was given
	maxTasks                  uint
	stateDir                  string
	tasksDie                  bool
	drainTimeout              time.Duration
	heartbeat                 heartbeat
	sidecar                   string
	resources                 resources
	gpus                      int
	devices                   string
	listed                    []wire.Device // what devices says
	visible                   []string      // what CUDA_VISIBLE_DEVICES calls them; nil: their UUIDs or places
	detect                    bool
	detectTags                bool
	detectResources           bool
	version                   bool
	log                       logflags.Options
}

// parse reads the command line. done says that the program ends with code.
func parse(args []string, stdout, stderr io.Writer) (o *options, code int, done bool) {
	o = &options{}
	f := o.flags()
	err := cmdline.Parse(f, args, stderr, "tags", "addr") // it may have no tags; an address is missed below
	if errors.Is(err, flag.ErrHelp) {
		return o, 0, true
	} else if err != nil {
		return o, 2, true
	}
	if o.version {
		fmt.Fprintf(stdout, "worker %s (commit %s, built %s, %s)\n", version, commit, date, runtime.Version())
		return o, 0, true
	}
	if !given(f, "detect-tags") {
		o.detectTags = o.native()
	}
	err = o.identify(given(f, "id"), os.Hostname)
	if err == nil {
		err = o.verify(f)
	}
	if err != nil {
		_ = cmdline.Refuse(f, stderr, err) // the same error
		return o, 2, true
	}
	return o, 0, false
}

// flags declares the flags; parsing them fills o.
func (o *options) flags() *flag.FlagSet {
	o.resources = resources{}
	f := flag.NewFlagSet("worker", flag.ContinueOnError)
	f.StringVar(&o.id, "id", defaultID, "the worker's `id`, unique in the fleet; with dtask:// the default is this host's name")
	f.StringVar(&o.addr, "addr", "localhost:9000", "`address` host:port of your program on this worker, for clients")
	f.StringVar(&o.tags, "tags", "cpu", "comma-separated `tags`")
	f.UintVar(&o.maxTasks, "max-tasks", 30, "slots: `number` of tasks that run at once")
	f.StringVar(&o.scheduler, "scheduler", "http://localhost:8080", "`URL` of the scheduler: http://host:port, or dtask://host:port[,host:port] for the native protocol")
	f.StringVar(&o.stateDir, "state-dir", "", "`directory` that stores begun leases, so that tasks survive a restart of the worker process (dtask:// only)")
	f.BoolVar(&o.tasksDie, "tasks-die-with-agent", false, "end running tasks at the stop, and those of the state directory at a start, and report them as lost")
	f.DurationVar(&o.drainTimeout, "drain-timeout", 0, "`time` that SIGTERM and SIGINT wait until nothing runs, without new tasks; a second signal ends the wait")
	f.Var(&o.heartbeat, "heartbeat", "transport of heartbeats with dtask://, `tcp|udp`; a duration is taken as --heartbeat-interval")
	f.DurationVar(&o.heartbeat.every, "heartbeat-interval", 0, "interval of reports; 0 means the scheduler's, or 3s with http://")
	f.StringVar(&o.sidecar, "sidecar", "", "`address` where programs on this machine begin and end tasks: 127.0.0.1:9700, or unix:/path")
	f.Var(o.resources, "resources", "`amounts` that override detected ones, such as cpu=16,mem=64Gi,scratch=500; cpu=off omits one (dtask:// only)")
	f.IntVar(&o.gpus, "gpus", -1, "`number` of GPUs to count, without names; -1 lists those of CUDA_VISIBLE_DEVICES, or all of nvidia-smi")
	f.StringVar(&o.devices, "devices", "", "`list` of GPUs as MODEL:MEMORY[@UUID], such as A100:40Gi,A100:40Gi, in place of detected ones (dtask:// only)")
	f.BoolVar(&o.detect, "detect", false, "print what is detected, with the evidence, and exit")
	f.BoolVar(&o.detectTags, "detect-tags", false, "announce the detected tags (default true with dtask://)")
	f.BoolVar(&o.detectResources, "detect-resources", true, "announce the detected resources (dtask:// only)")
	o.log.Add(f)
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	return f
}

// given reports whether a flag stands on the command line.
func given(f *flag.FlagSet, name string) (found bool) {
	f.Visit(func(g *flag.Flag) { found = found || g.Name == name })
	return found
}

func (o *options) native() bool { return strings.HasPrefix(o.scheduler, "dtask://") }

// flagError says which flag is wrong.
type flagError struct{ flag, problem string }

func (e *flagError) Error() string { return e.flag + " " + e.problem }

// flagOf names the flag behind a field of the agent's configuration.
var flagOf = map[string]string{
	"Scheduler": "--scheduler", "Worker": "--id", "Address": "--addr", "Tags": "--tags", "Slots": "--max-tasks",
	"Resources": "--resources", "Devices": "--devices", "StateDir": "--state-dir",
	"Heartbeat": "--heartbeat-interval", "HeartbeatBy": "--heartbeat",
}

// named makes the flag of an error out of the field.
func named(err error) error {
	var e *agent.FieldError
	if errors.As(err, &e) && flagOf[e.Field] != "" {
		return &flagError{flagOf[e.Field], e.Problem}
	}
	return err
}

// verify finds what makes no sense on the command line.
func (o *options) verify(f *flag.FlagSet) error {
	if o.stateDir != "" && !o.native() {
		return &flagError{"--state-dir", "needs a dtask:// scheduler: http:// knows of no leases"}
	}
	if o.sidecar != "" {
		if err := checkSidecar(o.sidecar); err != nil {
			return err
		}
		if o.native() && o.stateDir == "" && !o.tasksDie {
			return &flagError{"--sidecar", "needs --state-dir, which keeps what runs across a restart, or --tasks-die-with-agent if you see to it that nothing outlives the worker"}
		}
	}
	if o.drainTimeout < 0 {
		return &flagError{"--drain-timeout", fmt.Sprintf("%v is negative", o.drainTimeout)}
	}
	if o.maxTasks > wire.MaxSlots {
		return &flagError{"--max-tasks", fmt.Sprintf("%d is over %d", o.maxTasks, wire.MaxSlots)}
	}
	if o.gpus < -1 || o.gpus > wire.MaxDevices {
		return &flagError{"--gpus", fmt.Sprintf("%d is outside -1..%d", o.gpus, wire.MaxDevices)}
	}
	if err := o.list(f); err != nil {
		return err
	}
	c := o.announced()
	c.Resources = (&agent.Detection{}).AddResources(o.resources)
	return named(c.Verify())
}

// checkSidecar says what is wrong with the address of a sidecar.
func checkSidecar(addr string) error {
	if _, _, err := sidecar.ParseAddr(addr); err != nil {
		return &flagError{"--sidecar", strings.TrimPrefix(err.Error(), "sidecar: ")}
	}
	return nil
}

// list reads --devices.
func (o *options) list(f *flag.FlagSet) (err error) {
	switch {
	case o.devices == "":
		return nil
	case given(f, "gpus"):
		return &flagError{"--devices", "and --gpus exclude each other: the list says how many GPUs there are"}
	case !o.native():
		return &flagError{"--devices", "needs a dtask:// scheduler: http:// knows of no devices"}
	}
	if o.listed, err = agent.ParseDevices(o.devices); err != nil {
		return named(err)
	}
	o.visible, err = agent.MapDevices(o.listed)
	return named(err)
}

// announced is the configuration without what is detected.
func (o *options) announced() agent.Config {
	return agent.Config{
		Scheduler: o.scheduler,
		Worker:    o.id, Address: o.addr, Tags: splitTags(o.tags), Slots: uint32(o.maxTasks),
		Devices: o.listed, VisibleDevices: o.visible,
		Heartbeat: o.heartbeat.every, HeartbeatBy: o.heartbeat.by,
		StateDir: o.stateDir, TasksDieWithAgent: o.tasksDie || o.stateDir == "",
		Logger: slog.Default(),
	}
}

// config adds what is detected, if it is wanted.
func (o *options) config(ctx context.Context) (agent.Config, error) {
	c := o.announced()
	detectResources := o.detectResources && o.native()
	d := &agent.Detection{}
	if detectResources || o.detectTags {
		d = agent.Detect(ctx, o.told())
		for _, w := range d.Warnings {
			slog.Warn("detection", "result", w)
		}
	}
	if !detectResources {
		d.Resources, d.Devices, d.VisibleDevices = nil, nil, nil
	}
	warnOfMore(d.Resources, o.resources)
	c.Resources = d.AddResources(o.resources)
	switch {
	case len(o.listed) > 0:
		delete(c.Resources, capacity.GPU) // counted by device
	case len(d.Devices) > 0:
		c.Devices, c.VisibleDevices = d.Devices, d.VisibleDevices
	}
	own := len(c.Tags)
	if o.detectTags {
		c.Tags = d.AddTags(c.Tags)
	}
	if !o.native() {
		return c, nil
	}
	return c, errors.Join(tooMany("--tags", "--detect-tags=false", c.Tags[:own], c.Tags[own:], wire.MaxWorkerTags),
		tooMany("--resources", "--detect-resources=false, or NAME=off in --resources", o.givenAmounts(), o.detectedAmounts(c.Resources), wire.MaxResources))
}

// givenAmounts lists the resources of the command line that are not off.
func (o *options) givenAmounts() []string {
	names := slices.Sorted(maps.Keys(o.resources))
	return slices.DeleteFunc(names, func(name string) bool { return o.resources[name] < 0 })
}

// detectedAmounts lists the resources that the command line does not name.
func (o *options) detectedAmounts(all map[string]int64) []string {
	names := slices.Sorted(maps.Keys(all))
	return slices.DeleteFunc(names, func(name string) bool { _, own := o.resources[name]; return own })
}

// tooMany refuses more tags or resources than a worker may have, where the
// detected ones break the limit: it names them, and the flag that leaves them out.
func tooMany(flag, off string, own, detected []string, limit int) error {
	over := len(own) + len(detected) - limit
	if over <= 0 {
		return nil
	}
	return &flagError{flag, fmt.Sprintf("has %d entries and %d were detected (%s), together over the limit of %d: drop %d of %s, or give %s",
		len(own), len(detected), strings.Join(detected, ", "), limit, over, flag, off)}
}

// told is how many GPUs the user says that there are, -1 if nothing is said.
func (o *options) told() int {
	if len(o.listed) > 0 {
		return len(o.listed)
	}
	if n, ok := o.resources[capacity.GPU]; ok {
		return int(max(n, 0))
	}
	return o.gpus
}

// warnOfMore tells of amounts of the user that are larger than what was found:
// that may be meant, or the unit may be wrong.
func warnOfMore(found, own map[string]int64) {
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if has := found[name]; has > 0 && own[name] > has {
			slog.Warn("--resources announces more than was detected", "resource", name,
				"announced", capacity.Format(name, own[name]), "detected", capacity.Format(name, has))
		}
	}
}

// heartbeat is the value of --heartbeat.
type heartbeat struct {
	by    string // "" is the default
	every time.Duration
}

func (h *heartbeat) String() string { return cmp.Or(h.by, agent.ByTCP) }

// Set reads how heartbeats travel, or how often.
func (h *heartbeat) Set(s string) error {
	if s == agent.ByTCP || s == agent.ByUDP {
		h.by = s
		return nil
	}
	every, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want tcp, udp, or a duration such as 5s")
	}
	h.every = every
	return nil
}

// splitTags cuts a list at its commas, trims the tags and drops empty ones.
func splitTags(list string) []string {
	tags := []string{}
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// resources is the value of --resources; -1 stands for off.
type resources map[string]int64

func (r resources) String() string { return "" }

// Set reads name=amount pairs, rounding amounts down.
func (r resources) Set(list string) error {
	own := resources{}
	var amounts []string
	for pair := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); strings.TrimSpace(text) != "off" {
			amounts = append(amounts, pair)
		} else if _, twice := own[name]; twice {
			return &capacity.Error{Name: name, Text: pair, Message: "names the resource twice"}
		} else {
			own[name] = -1
		}
	}
	parsed, err := capacity.ParseList(strings.Join(amounts, ","), capacity.Down)
	if err != nil {
		return err
	}
	for name, amount := range parsed {
		if _, off := own[name]; off {
			return &capacity.Error{Name: name, Text: list, Message: "names the resource twice"}
		}
		own[name] = amount
	}
	for name := range own {
		if !wire.ValidID(name) {
			return &capacity.Error{Name: "resources", Text: name, Message: fmt.Sprintf("is no name: 1 to %d of the letters A-Z a-z 0-9 . _ : @ / -", wire.MaxID)}
		}
	}
	maps.Copy(r, own)
	return nil
}
