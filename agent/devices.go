package agent

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/resource"
	"github.com/dtask/dtask-scheduler/wire"
)

// ParseDevices reads the GPUs of a worker as a flag gives them, such as
// "A100:40Gi,A100:40Gi@GPU-1b2c": model, memory, and a UUID if it matters.
func ParseDevices(text string) ([]wire.Device, error) {
	var devices []wire.Device
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		rest, uuid, _ := strings.Cut(part, "@")
		model, memory, ok := strings.Cut(rest, ":")
		if !ok {
			return nil, fmt.Errorf("agent: the device %.64q is not MODEL:MEMORY or MODEL:MEMORY@UUID", part)
		}
		mib, err := resource.Parse(resource.GPUMem, memory, resource.Down)
		if err != nil {
			return nil, err
		}
		if len(model) > wire.MaxModel || uuid != "" && !wire.ValidID(uuid) {
			return nil, fmt.Errorf("agent: the device %.64q has a model over %d bytes or a UUID that is no id", part, wire.MaxModel)
		}
		if len(devices) == wire.MaxDevices {
			return nil, fmt.Errorf("agent: more than %d devices", wire.MaxDevices)
		}
		devices = append(devices, wire.Device{Model: model, Memory: mib, UUID: uuid})
	}
	return devices, nil
}

// Env returns the variables by which a CUDA program uses the devices of its
// lease and no others: by UUID where all of them have one, else by number. A
// task without devices on a worker that has some is shown none.
func (t *Task) Env() []string {
	all := t.agent.cfg.Devices
	if len(all) == 0 {
		return nil
	}
	names, uuids := []string{}, true
	for _, i := range t.handover.Devices {
		uuids = uuids && i < len(all) && all[i].UUID != ""
	}
	for _, i := range t.handover.Devices {
		if uuids {
			names = append(names, all[i].UUID)
		} else {
			names = append(names, strconv.Itoa(i))
		}
	}
	return []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", visibleDevices + "=" + strings.Join(names, ",")}
}
