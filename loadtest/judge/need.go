package judge

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Need is what a task asks of its worker, in terms that need no reading: the
// judge never looks at a selector's text.
type Need struct {
	Tags      []string         // all of them
	Clauses   []Clause         // all of them
	Amounts   map[string]int64 // of resources that are not counted by device
	GPUs      int64            // whole devices
	Memory    int64            // MiB of one device, or of each of GPUs
	Exclusive bool             // the whole worker
	RuledOut  []string         // ids of workers that must not be chosen
}

// Clause holds for a worker that has one of some tags, or with Not for one that
// has none of them.
type Clause struct {
	AnyOf []string
	Not   bool
}

// Could reports whether a worker could ever take the task.
func (n *Need) Could(w *Worker) bool {
	if w.Slots == 0 || slices.Contains(n.RuledOut, w.ID) || !n.tagged(w) || w.Heuristic && n.Exclusive {
		return false
	}
	for name, amount := range n.Amounts {
		if w.Amounts[name] < amount {
			return false
		}
	}
	fit := int64(0)
	for _, memory := range w.Devices {
		if memory >= n.Memory {
			fit++
		}
	}
	return fit >= max(n.GPUs, min(n.Memory, 1))
}

// tagged reports whether a worker has the tags and satisfies the clauses.
func (n *Need) tagged(w *Worker) bool {
	has := func(tag string) bool { return slices.Contains(w.Tags, tag) }
	for _, tag := range n.Tags {
		if !has(tag) {
			return false
		}
	}
	for _, c := range n.Clauses {
		if slices.ContainsFunc(c.AnyOf, has) == c.Not {
			return false
		}
	}
	return true
}

// suits judges a placement by what the worker is and has.
func (j *Judge) suits(t Task, id wire.LeaseID, n *Need, w *Worker, devices uint64) {
	switch {
	case !n.tagged(w):
		j.broken(WrongTags, "%v needs %q and %v, and was given %s, which has %q", t, n.Tags, n.Clauses, w.ID, w.Tags)
	case slices.Contains(n.RuledOut, w.ID):
		j.broken(RuledOut, "%v must not run on %s", t, w.ID)
	case !n.Could(w):
		j.broken(WrongResources, "%v needs %v, %d devices and %d MiB, and was given %s, which has %v and devices %v", t, n.Amounts, n.GPUs, n.Memory, w.ID, w.Amounts, w.Devices)
	}
	want := int(n.GPUs)
	switch {
	case n.Exclusive:
		want = len(w.Devices)
	case n.GPUs == 0 && n.Memory > 0:
		want = 1
	}
	if bits.OnesCount64(devices) != want || bits.Len64(devices) > len(w.Devices) {
		j.broken(WrongDevices, "%v needs %d devices and was given %b of the %d of %s", t, want, devices, len(w.Devices), w.ID)
		return
	}
	for i, memory := range w.Devices {
		if devices>>i&1 != 0 && !n.Exclusive && memory < n.Memory {
			j.broken(WrongDevices, "%v needs %d MiB, and device %d of %s, in lease %v, has %d", t, n.Memory, i, w.ID, id, memory)
		}
	}
}

// taken is what the running tasks of a worker take of it.
type taken struct {
	amounts   map[string]int64
	devices   []deviceTaken
	exclusive int
}

// deviceTaken is what they take of one device.
type deviceTaken struct {
	memory int64
	tasks  int
	wholes int
}

// add counts a task that begins, or with -1 one that ends.
func (k *taken) add(l *lease, by int) {
	n := l.need
	if n == nil {
		return
	}
	for name, amount := range n.Amounts {
		k.amounts[name] += int64(by) * amount
	}
	if n.Exclusive {
		k.exclusive += by
	}
	for i := range k.devices {
		switch d := &k.devices[i]; {
		case l.devices>>i&1 == 0:
		case n.Exclusive || n.GPUs > 0:
			d.tasks, d.wholes = d.tasks+by, d.wholes+by
		default:
			d.tasks += by
			d.memory += int64(by) * n.Memory
		}
	}
}

// within looks for the first thing of which more is taken than there is.
func (j *Judge) within(at *worker, id wire.LeaseID, t Task) {
	say := func(r Rule, format string, args ...any) {
		j.broken(r, "%s, the last is lease %v of %v: %s", at.ID, id, t, fmt.Sprintf(format, args...))
	}
	k := &at.taken
	for name, n := range k.amounts {
		if n > at.Amounts[name] {
			say(OverAmount, "of %d %s %d are taken", at.Amounts[name], name, n)
		}
	}
	for i, d := range k.devices {
		switch {
		case d.wholes > 0 && d.tasks > 1:
			say(DeviceTwice, "device %d is taken whole by one of %d tasks", i, d.tasks)
		case d.memory > at.Devices[i]:
			say(OverAmount, "of %d MiB of device %d %d are taken", at.Devices[i], i, d.memory)
		}
	}
	if k.exclusive > 0 && len(at.running) > 1 {
		say(NotAlone, "%d tasks run, one of them wants to be alone", len(at.running))
	}
}
