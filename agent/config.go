package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/wire"
)

// defaultHeartbeat is how often a worker reports if neither Config nor the
// scheduler says otherwise.
const defaultHeartbeat = 3 * time.Second

// Limits of Config.
const (
	// MaxSchedulers bounds the addresses of one dtask:// list.
	MaxSchedulers = client.MaxAddrs
	// MinHeartbeat and MaxHeartbeat bound Config.Heartbeat.
	MinHeartbeat = 10 * time.Millisecond
	MaxHeartbeat = time.Hour
)

// How heartbeats travel.
const (
	ByTCP  = "tcp"
	ByUDP  = "udp"
	ByHTTP = "http" // with an http:// scheduler always
)

// Config describes a worker and where its scheduler is.
type Config struct {
	// Scheduler is dtask://host:port[,host:port...] for the native protocol, the
	// addresses tried in turn and read by client.ParseAddrs, or http://host:port
	// for the HTTP API.
	Scheduler string
	// Token opens a dtask:// scheduler that asks for one.
	Token string

	// Worker is the worker's id, Address the host:port where clients reach it; see
	// wire.AddressProblem.
	Worker, Address string
	// Tags are announced verbatim.
	Tags []string
	// Slots is how many tasks run at once.
	Slots uint32
	// Resources are amounts by name; an http:// scheduler is not told.
	Resources map[string]int64
	// Devices are the worker's GPUs; leases name them by their place here. A
	// worker that lists them must not count gpu in Resources. An http:// scheduler
	// is not told.
	Devices []wire.Device
	// VisibleDevices is what CUDA_VISIBLE_DEVICES calls each of Devices, for
	// Task.Env: numbers in the order of the PCI bus, or UUIDs. nil means by UUID
	// where all have one, else by their places, which is wrong for an agent that
	// runs under such a variable itself: Detect and MapDevices know better.
	VisibleDevices []string

	// Heartbeat is how often the worker reports; 0 leaves it to a dtask://
	// scheduler, which is never asked less often than it wishes, and means 3 s
	// with http://.
	Heartbeat time.Duration
	// HeartbeatBy is how heartbeats travel to a dtask:// scheduler: ByTCP, the
	// default, or ByUDP, as datagrams to the same host and port. Those never wait
	// behind lost bytes, and each compares what runs with what the scheduler
	// knows. Leases stay on TCP, and so do the heartbeats while no datagram gets
	// through.
	HeartbeatBy string
	// StateDir is where leases that have begun are kept, so that tasks in other
	// processes outlive the agent. It belongs to one agent at a time. dtask://
	// needs it or TasksDieWithAgent; http:// takes neither into account.
	StateDir string
	// TasksDieWithAgent says that no task outlives the agent: what a state
	// directory still lists is reported as lost.
	TasksDieWithAgent bool
	// External returns how many tasks run on the worker outside any lease; nil
	// means none. It must be quick.
	External func() uint32
	// Logger gets connections made and lost; nil discards them.
	Logger *slog.Logger

	dial    dialer                        // nil: a net.Dialer
	backoff func(fails int) time.Duration // nil: backoff
}

// dialer connects to a dtask:// scheduler, by tcp or udp.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// FieldError says which field of Config is wrong.
type FieldError struct {
	Field   string
	Problem string
}

func (e *FieldError) Error() string { return "agent: Config." + e.Field + " " + e.Problem }

// Verify returns a *FieldError for the first field that is wrong.
func (c *Config) Verify() error {
	p, err := parseScheduler(c.Scheduler)
	if err != nil {
		return err
	}
	if c.Heartbeat != 0 && (c.Heartbeat < MinHeartbeat || c.Heartbeat > MaxHeartbeat) {
		return &FieldError{"Heartbeat", fmt.Sprintf("is outside %v..%v", MinHeartbeat, MaxHeartbeat)}
	}
	if c.HeartbeatBy != "" && c.HeartbeatBy != ByTCP && c.HeartbeatBy != ByUDP {
		return &FieldError{"HeartbeatBy", fmt.Sprintf("is %q, neither tcp nor udp", c.HeartbeatBy)}
	}
	if c.Slots > wire.MaxSlots {
		return &FieldError{"Slots", fmt.Sprintf("is over %d", wire.MaxSlots)}
	}
	if p.base != "" {
		if c.Worker == "" {
			return &FieldError{"Worker", "is missing"}
		}
		if c.HeartbeatBy == ByUDP {
			return &FieldError{"HeartbeatBy", "is udp, which needs a dtask:// scheduler"}
		}
		return nil
	}
	if c.StateDir == "" && !c.TasksDieWithAgent {
		return &FieldError{"StateDir", "is missing: say where begun leases are kept, or set TasksDieWithAgent"}
	}
	return c.verifyNative()
}

// verifyNative checks what the native protocol limits.
func (c *Config) verifyNative() error {
	switch {
	case !wire.ValidID(c.Worker):
		return &FieldError{"Worker", fmt.Sprintf("must be 1 to %d of the letters A-Z a-z 0-9 . _ : @ / -", wire.MaxID)}
	case len(c.Address) > wire.MaxAddress || !plain(c.Address):
		return &FieldError{"Address", fmt.Sprintf("must be text of at most %d bytes", wire.MaxAddress)}
	case wire.AddressProblem(c.Address) != "":
		return &FieldError{"Address", addressProblem(c.Address)}
	case len(c.Token) > wire.MaxToken:
		return &FieldError{"Token", fmt.Sprintf("is over %d bytes", wire.MaxToken)}
	case len(c.Tags) > wire.MaxWorkerTags:
		return &FieldError{"Tags", fmt.Sprintf("are more than %d", wire.MaxWorkerTags)}
	case len(c.Devices) > 0 && offers(c.Resources, capacity.GPU), offers(c.Resources, capacity.GPUMem):
		return &FieldError{"Resources", "count gpu or gpu_mem, which are counted by device: list Devices"}
	case len(c.Resources) > wire.MaxResources:
		return &FieldError{"Resources", fmt.Sprintf("are more than %d", wire.MaxResources)}
	}
	for _, tag := range c.Tags {
		if tag == "" || len(tag) > wire.MaxTag || !plain(tag) {
			return &FieldError{"Tags", fmt.Sprintf("contain %q, which is not text of 1 to %d bytes", tag, wire.MaxTag)}
		}
	}
	for name, amount := range c.Resources {
		if !wire.ValidID(name) || amount < 0 || amount > wire.MaxAmount {
			return &FieldError{"Resources", fmt.Sprintf("contain %q=%d: the name must be an id and the amount within 0..%d", name, amount, int64(wire.MaxAmount))}
		}
	}
	return c.verifyDevices()
}

// offers reports whether a name stands among resources, with whatever amount.
func offers(resources map[string]int64, name string) bool {
	_, ok := resources[name]
	return ok
}

// plain reports whether s is text without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// place is where schedulers are: a base URL, or addresses.
type place struct {
	base  string
	addrs []string
}

// parseScheduler reads Config.Scheduler.
func parseScheduler(s string) (place, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case ok && scheme == "dtask":
		return parseAddrs(rest)
	case ok && (scheme == "http" || scheme == "https"):
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return place{}, &FieldError{"Scheduler", fmt.Sprintf("%q is not a URL of the form http://host:port", s)}
		}
		return place{base: strings.TrimRight(s, "/")}, nil
	}
	return place{}, &FieldError{"Scheduler", fmt.Sprintf("%q must start with dtask:// or http://", s)}
}

func parseAddrs(list string) (place, error) {
	// A slash behind the whole list is the end of the URL.
	addrs, err := client.ParseAddrs(strings.TrimRight(list, "/"))
	if err != nil {
		return place{}, &FieldError{"Scheduler", "is not dtask://host:port[,host:port]: " + err.Error()}
	}
	return place{addrs: addrs}, nil
}
