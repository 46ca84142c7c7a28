package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// The variables by which CUDA programs are told which devices they may use.
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
		mib, err := resource.Parse(resource.GPUMem, memory, resource.Down)
		var amount *resource.Error
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
	seen := map[string]bool{}
	for i := range c.Devices {
		d := &c.Devices[i]
		problem := verifyDevice(d)
		if d.UUID != "" && seen[d.UUID] {
			problem = fmt.Sprintf("has the UUID %q of another one", d.UUID)
		}
		if problem != "" {
			return &FieldError{"Devices", fmt.Sprintf("entry %d %s", i+1, problem)}
		}
		seen[d.UUID] = true
	}
	if c.VisibleDevices == nil {
		return nil
	}
	if len(c.VisibleDevices) != len(c.Devices) {
		return &FieldError{"VisibleDevices", fmt.Sprintf("are %d for %d Devices", len(c.VisibleDevices), len(c.Devices))}
	}
	clear(seen)
	for _, id := range c.VisibleDevices {
		if !isDevice(id) || strings.Contains(id, ",") || seen[id] {
			return &FieldError{"VisibleDevices", fmt.Sprintf("contain %.64q, which is no number and no UUID, or is there twice", id)}
		}
		seen[id] = true
	}
	return nil
}

// MapDevices returns what a worker that was started under CUDA_VISIBLE_DEVICES
// must call devices that were listed by hand: the first of the devices that it
// may use itself. It is nil without that variable, and where all devices have
// UUIDs. More devices than the variable shows are a *FieldError: tasks would run
// on GPUs of somebody else.
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
// where all of them have one, else by number. A task without devices on a worker
// that has some is shown none.
func (t *Task) Env() []string {
	c := &t.agent.cfg
	if len(c.Devices) == 0 {
		return nil
	}
	names := c.VisibleDevices
	if names == nil {
		names = make([]string, len(c.Devices))
		uuids := true
		for _, i := range t.handover.Devices {
			uuids = uuids && has(c.Devices, i) && c.Devices[i].UUID != ""
		}
		for i := range names {
			names[i] = strconv.Itoa(i)
			if uuids {
				names[i] = c.Devices[i].UUID
			}
		}
	}
	shown := []string{}
	for _, i := range t.handover.Devices {
		// The lease of an earlier agent may name a device that is gone since.
		if has(c.Devices, i) {
			shown = append(shown, names[i])
		}
	}
	return []string{deviceOrder + "=" + pciOrder, visibleDevices + "=" + strings.Join(shown, ",")}
}

// has reports whether there is a device with this number.
func has(devices []wire.Device, i int) bool { return i >= 0 && i < len(devices) }
