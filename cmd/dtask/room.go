package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// This file shows what workers offer and leases take, for people: -o json has
// the units of the protocol.

// capacityOf returns what a worker offers in all, devices among it.
func capacityOf(w *wire.WorkerInfo) map[string]int64 {
	all := map[string]int64{}
	maps.Copy(all, w.Resources)
	if len(w.Devices) > 0 {
		all[capacity.GPU] = 0
	}
	for _, d := range w.Devices {
		if !d.Missing {
			all[capacity.GPU]++
			all[capacity.GPUMem] += d.Memory
		}
	}
	return all
}

// tableOfRoom shows each dimension of a worker.
func (a *app) tableOfRoom(w *wire.WorkerInfo) {
	all := capacityOf(w)
	names := slices.Sorted(maps.Keys(all))
	for _, name := range slices.Sorted(maps.Keys(w.Used)) {
		if _, offered := all[name]; !offered {
			names = append(names, name) // leases of a time when it was
		}
	}
	if len(names) == 0 {
		return
	}
	var rows [][]string
	for _, name := range names {
		used, free := w.Used[name], all[name]-w.Used[name]
		left := capacity.Format(name, max(free, 0))
		if free < 0 {
			left = a.out.in(red, "-"+capacity.Format(name, -free))
		}
		rows = append(rows, []string{name, capacity.Format(name, used), left, capacity.Format(name, all[name])})
	}
	a.out.linef("")
	a.out.table([]string{"RESOURCE", "USED", "FREE", "CAPACITY"}, rows)
}

// maxHolders is how many tasks are named for each device.
const maxHolders = 4

// tableOfDevices shows each GPU of a worker, and which tasks have some of it.
func (a *app) tableOfDevices(w *wire.WorkerInfo, leases []wire.LeaseInfo) {
	if len(w.Devices) == 0 {
		return
	}
	holders := make([][]string, len(w.Devices))
	for i := range leases {
		for _, n := range capacity.Bits(leases[i].Devices) {
			if n < len(holders) {
				holders[n] = append(holders[n], leases[i].Task)
			}
		}
	}
	failed := slices.ContainsFunc(w.Devices, func(d wire.DeviceInfo) bool { return d.Failed > 0 })
	head := []string{"DEVICE", "MODEL", "USED", "MEMORY", "UUID", "TASKS"}
	if failed {
		head = append(head, "FAILED")
	}
	var rows [][]string
	for i, d := range w.Devices {
		used := capacity.Format(capacity.GPUMem, d.Used)
		if d.Whole {
			used = "whole"
		}
		memory := capacity.Format(capacity.GPUMem, d.Memory)
		if d.Missing {
			memory = a.out.in(red, "missing")
		}
		rows = append(rows, []string{
			fmt.Sprint(i), dash(d.Model), used, memory, dash(d.UUID), dash(few(holders[i])),
		})
		if failed {
			rows[i] = append(rows[i], fmt.Sprint(d.Failed))
		}
	}
	a.out.linef("")
	a.out.table(head, rows)
}

// few names the first of a list, and how many there are more.
func few(list []string) string {
	if more := len(list) - maxHolders; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxHolders], " "), more)
	}
	return strings.Join(list, " ")
}

// gpusOf says how many of a worker's GPUs are in use, "-" if it has none.
func gpusOf(w *wire.WorkerInfo) string {
	if len(w.Devices) == 0 {
		if n := w.Resources[capacity.GPU]; n > 0 {
			return fmt.Sprintf("%d/%d", w.Used[capacity.GPU], n)
		}
		return "-"
	}
	busy, all := 0, 0
	for _, d := range w.Devices {
		if d.Missing {
			continue
		}
		if all++; d.Leases > 0 {
			busy++
		}
	}
	return fmt.Sprintf("%d/%d", busy, all)
}

// takes says what a lease takes beside its slot, and whether it must give that
// back, "" for nothing.
func takes(l *wire.LeaseInfo) string {
	var parts []string
	if l.Exclusive {
		parts = append(parts, "exclusive")
	}
	if l.Preempted {
		parts = append(parts, "preempted")
	}
	for _, name := range slices.Sorted(maps.Keys(l.Resources)) {
		parts = append(parts, name+"="+capacity.Format(name, l.Resources[name]))
	}
	return strings.Join(parts, " ")
}

// numbers writes the numbers of devices, "" for none.
func numbers(devices []int) string {
	parts := make([]string, len(devices))
	for i, n := range devices {
		parts[i] = fmt.Sprint(n)
	}
	return strings.Join(parts, ",")
}
