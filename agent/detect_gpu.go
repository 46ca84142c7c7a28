package agent

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// found is one GPU that this process may use.
type found struct {
	wire.Device
	id string // that CUDA_VISIBLE_DEVICES knows it by, if the UUID is not used
}

// gpus finds the GPUs that this process may use: the number of its configuration, which
// then are counted alone, else those that CUDA_VISIBLE_DEVICES lists, else all
// that nvidia-smi knows.
func (d *Detection) gpus(ctx context.Context, m *machine, told int) {
	if told >= 0 {
		d.add(Finding{capacity.GPU, int64(told), "given"})
		return
	}
	list, mapped := m.getenv(visibleDevices)
	evidence := "nvidia-smi"
	if mapped {
		evidence = fmt.Sprintf("%s=%.200q", visibleDevices, list)
		if len(pickVisible(list, nil, false)) == 0 {
			d.add(Finding{capacity.GPU, 0, evidence})
			return
		}
	}
	text, err := m.smi(ctx)
	rows, problems := parseSMI(text)
	for _, p := range problems {
		d.Warnings = append(d.Warnings, "nvidia-smi: "+p)
	}
	all := rows
	switch {
	case mapped && err != nil:
		d.Warnings = append(d.Warnings, "the memory of the GPUs is not known, so tasks can only have whole ones: "+err.Error())
		all = d.leaveOutAbbreviated(pickVisible(list, nil, false))
	case mapped:
		all = pickVisible(list, rows, true)
		d.warnOfOrder(m, rows)
	case err != nil:
		d.add(Finding{capacity.GPU, -1, err.Error()})
		return
	}
	if len(all) > wire.MaxDevices {
		d.Warnings = append(d.Warnings, fmt.Sprintf("there are %d GPUs, of which the first %d are announced: a worker has no more", len(all), wire.MaxDevices))
		all = all[:wire.MaxDevices]
	}
	d.announce(all)
	d.add(Finding{capacity.GPU, int64(len(all)), evidence})
}

// fullUUID is the length of a UUID behind its prefix.
const fullUUID = 36

// leaveOutAbbreviated leaves out GPUs that are named by the beginning of a UUID, where
// nvidia-smi does not tell the whole: the scheduler could not see that another worker
// offers them.
func (d *Detection) leaveOutAbbreviated(all []found) []found {
	return slices.DeleteFunc(all, func(f found) bool {
		rest, is := strings.CutPrefix(f.UUID, gpuPrefix)
		if is = is && len(rest) < fullUUID && strings.Trim(rest, "0123456789abcdefABCDEF-") == ""; is {
			d.Warnings = append(d.Warnings, fmt.Sprintf("the GPU %.80q of %s is left out: its UUID is abbreviated, and nvidia-smi does not tell the whole", f.UUID, visibleDevices))
		}
		return is
	})
}

// announce lists devices, named by their UUIDs if all of them have one.
func (d *Detection) announce(all []found) {
	for i := range all {
		d.Devices = append(d.Devices, all[i].Device)
		d.VisibleDevices = append(d.VisibleDevices, all[i].id)
	}
	if allHaveUUIDs(d.Devices) {
		for i := range all {
			d.VisibleDevices[i] = all[i].UUID
		}
	}
}

// warnOfOrder says that numbers may not mean what nvidia-smi means by them:
// where GPUs differ CUDA counts the fastest first by default.
func (d *Detection) warnOfOrder(m *machine, rows []found) {
	order, _ := m.getenv(deviceOrder)
	differ := slices.ContainsFunc(rows, func(r found) bool { return r.Model != rows[0].Model })
	if differ && order != pciOrder {
		d.Warnings = append(d.Warnings, "the GPUs differ: numbers in "+visibleDevices+" are read in the order of the PCI bus; set "+deviceOrder+"="+pciOrder)
	}
}

// pickVisible returns the devices that CUDA_VISIBLE_DEVICES lists, in its order.
// As in CUDA, the list ends at the first entry that is no device, and a device
// that is listed twice leaves none. Without known rows every entry of the right
// form is a device.
func pickVisible(list string, rows []found, known bool) []found {
	var picked []found
	for entry := range strings.SplitSeq(list, ",") {
		f, ok := resolve(strings.TrimSpace(entry), rows, known)
		if !ok {
			break
		}
		if slices.ContainsFunc(picked, func(p found) bool { return p.id == f.id }) {
			return nil
		}
		picked = append(picked, f)
	}
	return picked
}

// resolve finds the device that one entry names: by its number, its UUID or the
// beginning of that which no other has, or as a part of a device (MIG), of which
// nvidia-smi tells no memory.
func resolve(entry string, rows []found, known bool) (found, bool) {
	if !isDevice(entry) {
		return found{}, false
	}
	n := number(entry)
	if n >= 0 {
		entry = strconv.FormatInt(n, 10)
	}
	matches := []found{}
	for _, r := range rows {
		switch {
		case n >= 0 && r.id == entry, r.UUID != "" && r.UUID == entry:
			return r, true
		case n < 0 && strings.HasPrefix(r.UUID, entry):
			matches = append(matches, r)
		}
	}
	part := strings.HasPrefix(entry, migPrefix)
	switch {
	case len(matches) == 1:
		return matches[0], true
	case known && !part:
		return found{}, false
	case n >= 0:
		return found{id: entry}, true
	}
	f := found{id: entry}
	if part {
		f.Model = "MIG"
	}
	if wire.ValidID(entry) {
		f.UUID = entry
	}
	return f, true
}

// How UUIDs of devices and of parts of devices begin.
const (
	gpuPrefix = "GPU-"
	migPrefix = "MIG-"
)

// isDevice reports whether s has the form of an entry of CUDA_VISIBLE_DEVICES.
func isDevice(s string) bool {
	return strings.HasPrefix(s, gpuPrefix) || strings.HasPrefix(s, migPrefix) || number(s) >= 0
}
