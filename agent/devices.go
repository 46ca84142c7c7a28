package agent

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// The variables that name the devices which a CUDA program may use.
const (
	visibleDevices = "CUDA_VISIBLE_DEVICES"
	deviceOrder    = "CUDA_DEVICE_ORDER"
	pciOrder       = "PCI_BUS_ID" // as nvidia-smi counts
)

// ParseDevices reads the GPUs of a worker as a flag gives them, such as
// "A100:40Gi,A100:40Gi@GPU-1b2c": model, memory, and a UUID if it matters.
// Memory is rounded down to MiB. The error is a *FieldError.
func ParseDevices(text string) ([]wire.Device, error) {
	var devices []wire.Device
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(devices) == wire.MaxDevices {
			return nil, tooManyDevices()
		}
		bad := func(format string, a ...any) ([]wire.Device, error) {
			return nil, &FieldError{"Devices", fmt.Sprintf("entry %d, %.64q, ", len(devices)+1, part) + fmt.Sprintf(format, a...)}
		}
		rest, uuid, marked := strings.Cut(part, "@")
		model, memory, ok := strings.Cut(rest, ":")
		if !ok || marked && uuid == "" {
			return bad("is not MODEL:MEMORY or MODEL:MEMORY@UUID")
		}
		mib, err := capacity.Parse(capacity.GPUMem, memory, capacity.Down)
		var amount *capacity.Error
		if errors.As(err, &amount) {
			return bad("has a memory that %s", amount.Message)
		}
		d := wire.Device{Model: model, Memory: mib, UUID: uuid}
		if problem := verifyDevice(&d); problem != "" {
			return bad("%s", problem)
		}
		devices = append(devices, d)
	}
	return devices, nil
}

func tooManyDevices() *FieldError {
	return &FieldError{"Devices", fmt.Sprintf("are more than %d", wire.MaxDevices)}
}

// verifyDevice returns what is wrong with one device, "" if nothing is.
func verifyDevice(d *wire.Device) string {
	switch {
	case len(d.Model) > wire.MaxModel || !plain(d.Model):
		return fmt.Sprintf("has a model that is not text of at most %d bytes", wire.MaxModel)
	case d.Memory < 0 || d.Memory > wire.MaxAmount:
		return fmt.Sprintf("has a memory outside 0..%d MiB", int64(wire.MaxAmount))
	case d.UUID != "" && !wire.ValidID(d.UUID):
		return fmt.Sprintf("has a UUID that is not 1 to %d of the letters A-Z a-z 0-9 . _ : @ / -", wire.MaxID)
	}
	return ""
}

// verifyDevices checks Devices and VisibleDevices. One GPU that stands in the
// list twice would be given to two tasks.
func (c *Config) verifyDevices() error {
	if len(c.Devices) > wire.MaxDevices {
		return tooManyDevices()
	}
	for i := range c.Devices {
		if problem := verifyDevice(&c.Devices[i]); problem != "" {
			return &FieldError{"Devices", fmt.Sprintf("entry %d %s", i+1, problem)}
		}
	}
	if c.VisibleDevices != nil {
		if len(c.VisibleDevices) != len(c.Devices) {
			return &FieldError{"VisibleDevices", fmt.Sprintf("are %d for %d Devices", len(c.VisibleDevices), len(c.Devices))}
		}
		for i, id := range c.VisibleDevices {
			if !isDevice(id) || strings.Contains(id, ",") || slices.Contains(c.VisibleDevices[:i], id) {
				return &FieldError{"VisibleDevices", fmt.Sprintf("contain %.64q, which is no number and no UUID, or is there twice", id)}
			}
		}
	}
	return c.verifyNames()
}

// verifyNames refuses a list in which one GPU may stand twice, under one name or
// two.
func (c *Config) verifyNames() error {
	names := c.names()
	for i := range c.Devices {
		for j := range i {
			switch a, b := c.Devices[j].UUID, c.Devices[i].UUID; {
			case sameName(a, b):
				return &FieldError{"Devices", fmt.Sprintf("entry %d has the UUID %q of another one, entry %d (%q): one GPU would be given to two tasks", i+1, b, j+1, a)}
			case sameName(names[j], names[i]), sameName(names[j], b), sameName(a, names[i]):
				return &FieldError{"Devices", fmt.Sprintf("entries %d and %d are the same GPU for CUDA, %q and %q: it would be given to two tasks; give each its UUID (nvidia-smi -L)", j+1, i+1, names[j], names[i])}
			case (number(names[j]) >= 0) != (number(names[i]) >= 0):
				return &FieldError{"Devices", fmt.Sprintf("entries %d and %d, %q and %q, are named by number and by UUID, so they may be the same GPU; give all of them UUIDs, or none (nvidia-smi -L)", j+1, i+1, names[j], names[i])}
			}
		}
	}
	return nil
}

// sameName reports whether two names may mean one GPU: equal numbers or UUIDs,
// one the beginning of the other, or a GPU and a part of it (MIG-GPU-.../1/0).
func sameName(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if m, n := number(a), number(b); m >= 0 || n >= 0 {
		return m == n
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) || isPart(a, b) || isPart(b, a)
}

// isPart reports whether a names a part of the GPU b.
func isPart(a, b string) bool {
	of, part := strings.CutPrefix(a, strings.ToLower(migPrefix))
	return part && (of == b || strings.HasPrefix(of, b+"/"))
}

// names returns what CUDA_VISIBLE_DEVICES calls each device.
func (c *Config) names() []string {
	if c.VisibleDevices != nil {
		return c.VisibleDevices
	}
	uuids := allHaveUUIDs(c.Devices)
	names := make([]string, len(c.Devices))
	for i := range names {
		if names[i] = strconv.Itoa(i); uuids || c.Devices[i].UUID != "" {
			names[i] = c.Devices[i].UUID
		}
	}
	return names
}

// arrange gives the GPUs that were found the places by which the leases that
// still run name them, and keeps the list for the next agent. A worker that
// counts its GPUs lists none; the kept list waits for one that does.
func (n *native) arrange(left map[wire.LeaseID]bool) error {
	c, s := &n.agent.cfg, n.store
	held := uint64(0)
	for id, k := range s.leases {
		if k.outcome == wire.ReasonNone && (left[id] || !n.isDead(k)) {
			r := k.handover.Record()
			held |= r.Devices
		}
	}
	if offers(c.Resources, capacity.GPU) && held != 0 {
		return nil
	}
	now := make([]ledger.Known, len(c.Devices))
	for i, d := range c.Devices {
		now[i] = ledger.Known{Device: d, Name: c.VisibleDevices[i]}
	}
	known := s.known
	if len(known) == 0 {
		known = now // kept by an agent that knew no better
	}
	all := ledger.Arrange(known, now, held)
	c.Devices, c.VisibleDevices = make([]wire.Device, len(all)), make([]string, len(all))
	for i, d := range all {
		c.Devices[i], c.VisibleDevices[i] = d.Device, d.Name
		if d.Missing {
			n.agent.log.Warn("a GPU is missing: nothing new gets it, and tasks that run keep it", "device", i, "uuid", d.UUID, "name", d.Name)
		}
	}
	s.known = all
	return s.rewrite()
}

// MapDevices returns what a worker that was started under CUDA_VISIBLE_DEVICES
// must call devices that were listed by hand: the first of the devices that it
// may use itself. It is nil without that variable, and where all devices have
// UUIDs. More devices than the variable shows are a *FieldError: tasks would run
// on GPUs that this process may not use.
func MapDevices(devices []wire.Device) ([]string, error) {
	list, set := os.LookupEnv(visibleDevices)
	if !set || len(devices) == 0 || allHaveUUIDs(devices) {
		return nil, nil
	}
	shown := pickVisible(list, nil, false)
	if len(shown) < len(devices) {
		return nil, &FieldError{"Devices", fmt.Sprintf("are %d, but %s=%.200q shows %d", len(devices), visibleDevices, list, len(shown))}
	}
	names := make([]string, len(devices))
	for i := range names {
		names[i] = shown[i].id
	}
	return names, nil
}

func allHaveUUIDs(devices []wire.Device) bool {
	for i := range devices {
		if devices[i].UUID == "" {
			return false
		}
	}
	return true
}

// Env returns the variables by which a CUDA program uses the devices of its
// lease and no others: by what Config.VisibleDevices calls them, else by UUID
// where all have one, else by number. A task without devices on a worker that has
// some is shown none.
func (t *Task) Env() []string {
	c := &t.agent.cfg
	if len(c.Devices) == 0 {
		return nil
	}
	names := c.names()
	shown := []string{}
	for _, i := range t.handover.Devices {
		// The lease of an earlier agent may name a device that nothing is known of.
		if has(c.Devices, i) && names[i] != "" {
			shown = append(shown, names[i])
		}
	}
	return []string{deviceOrder + "=" + pciOrder, visibleDevices + "=" + strings.Join(shown, ",")}
}

// has reports whether there is a device with this number.
func has(devices []wire.Device, i int) bool { return i >= 0 && i < len(devices) }
