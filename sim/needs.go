package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/sim/offer"
	"github.com/dtask/dtask-scheduler/wire"
)

// needs is what a task asks for beside its tags.
type needs struct {
	resources      map[string]int64
	selector       *offer.Formula
	prefer         *offer.Formula
	notWorkers     []string
	exclusive      bool
	policy, spread string
	broken         string // a selector that nobody can read
}

// group is a batch of tasks.
type group struct {
	tasks          []*task
	gang, distinct bool
}

// ask writes the needs into a request, and lets the judges know the formulas
// by their texts.
func (n *needs) ask(w *World, m *wire.Schedule) {
	m.Resources = wire.AppendResources(nil, n.resources)
	m.NotWorkers = wire.AppendWorkers(nil, n.notWorkers)
	m.Exclusive = n.exclusive
	m.Policy, m.SpreadBy = []byte(n.policy), []byte(n.spread)
	m.Selector = w.write(n.selector)
	m.Prefer = w.write(n.prefer)
	if n.broken != "" {
		m.Selector = []byte(n.broken)
	}
}

func (w *World) write(f *offer.Formula) []byte {
	if f == nil {
		return nil
	}
	text := f.String()
	w.formulas[text] = f
	return []byte(text)
}

// brokenSelectors are texts that must be refused.
var brokenSelectors = []string{"gpu &&", "zone in ()", "cuda<new", "(gpu"}

// need draws what a task asks for beside tags.
func (w *World) need(t *task) {
	n := &t.needs
	if !w.chance(w.manners.needy, 10) {
		return
	}
	n.resources = w.someAmounts()
	if w.chance(1, 4) {
		n.selector = w.formula(2)
	}
	if w.chance(1, 5) {
		n.prefer = w.formula(1)
	}
	if w.chance(1, 8) {
		ids := w.workerIDs()
		for range w.between(1, 3) {
			n.notWorkers = append(n.notWorkers, ids[w.rng.IntN(len(ids))])
		}
	}
	n.exclusive = w.chance(1, 15)
	if w.chance(1, 5) {
		n.policy = []string{"pack", "least-loaded"}[w.rng.IntN(2)]
	}
	if w.chance(1, 60) {
		w.counts[fault.BadRequest]++
		n.broken = brokenSelectors[w.rng.IntN(len(brokenSelectors))]
	}
}

// someAmounts draws amounts, with devices in one of their three ways.
func (w *World) someAmounts() map[string]int64 {
	out := map[string]int64{}
	if w.chance(1, 2) {
		out["cpu"] = int64(w.between(1, 6)) * 500
	}
	if w.chance(1, 3) {
		out["mem"] = int64(w.between(1, 5000))
	}
	if w.chance(1, 10) {
		out["scratch"] = int64(w.between(1, 120))
	}
	if w.chance(1, 60) {
		out["license"] = 1 // which nobody has
	}
	switch w.rng.IntN(6) {
	case 0:
		out[offer.GPUMem] = int64(w.between(1, 12)) * 1000
	case 1:
		out[offer.GPU] = int64(w.between(1, 3))
	case 2:
		out[offer.GPU], out[offer.GPUMem] = int64(w.between(1, 2)), int64(w.between(1, 20))*1024
	}
	return out
}

// someKit draws what a worker has beside tags and slots.
func (w *World) someKit() (map[string]int64, []wire.Device) {
	if w.manners.needy == 0 || w.chance(1, 6) {
		return nil, nil
	}
	resources := map[string]int64{"cpu": int64(w.between(1, 8)) * 1000, "mem": int64(w.between(1, 16)) * 1024}
	if w.chance(1, 3) {
		resources["scratch"] = int64(w.between(0, 200))
	}
	if w.chance(1, 8) {
		delete(resources, "mem")
	}
	return resources, w.someDevices()
}

// otherAmounts draws amounts anew, or cuts those that there are.
func (w *World) otherAmounts(old map[string]int64) map[string]int64 {
	if w.chance(1, 3) {
		resources, _ := w.someKit()
		return resources
	}
	cut := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		cut[name] = int64(w.rng.IntN(int(old[name]) + 1))
	}
	return cut
}

func (w *World) someDevices() []wire.Device {
	var devices []wire.Device
	named := w.chance(3, 4)
	for range max(w.between(-2, 4), 0) {
		d := wire.Device{Model: "T4", Memory: int64(w.between(0, 3)) * 8192}
		if named {
			w.gpus++
			d.UUID = fmt.Sprintf("GPU-%d", w.gpus)
		}
		devices = append(devices, d)
	}
	return devices
}

// formula draws an expression, at most so many operators deep.
func (w *World) formula(depth int) *offer.Formula {
	if depth > 0 && w.chance(1, 2) {
		op := []string{"not", "and", "or"}[w.rng.IntN(3)]
		f := &offer.Formula{Op: op, Args: []*offer.Formula{w.formula(depth - 1)}}
		for range w.between(1, 2) {
			if op != "not" {
				f.Args = append(f.Args, w.formula(depth-1))
			}
		}
		return f
	}
	switch w.rng.IntN(4) {
	case 0:
		ops := []string{"<", "<=", ">", ">=", "=", "!="}
		return &offer.Formula{Op: ops[w.rng.IntN(len(ops))], Key: "cuda", Values: []string{offer.Versions[w.rng.IntN(len(offer.Versions))]}}
	case 1:
		return &offer.Formula{Op: []string{"in", "not in"}[w.rng.IntN(2)], Key: "zone", Values: offer.Zones[:w.between(1, 2)]}
	}
	return &offer.Formula{Op: "has", Key: append([]string{"zone", "cuda"}, allTags...)[w.rng.IntN(2+len(allTags))]}
}
