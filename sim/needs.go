package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// needs is what a task asks for beside its tags.
type needs struct {
	resources      map[string]int64
	selector       *formula
	prefer         *formula
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

func (w *World) write(f *formula) []byte {
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
		w.counts[FaultBadRequest]++
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
		out[gpuMem] = int64(w.between(1, 12)) * 1000
	case 1:
		out[gpu] = int64(w.between(1, 3))
	case 2:
		out[gpu], out[gpuMem] = int64(w.between(1, 2)), int64(w.between(1, 20))*1024
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

// asked is how a request looks to the judges: everything in plain Go values.
type asked struct {
	tags      []string
	resources map[string]int64
	selector  *formula
	prefer    *formula
	not       []string
	exclusive bool
	policy    string
	spread    string
	bad       bool
}

// readAsked reads a request; b says that it is one of a batch.
func (w *World) readAsked(m *wire.Schedule, b bool) asked {
	q := asked{resources: readResources(m.Resources), exclusive: m.Exclusive, policy: string(m.Policy), spread: string(m.SpreadBy)}
	wire.EachTag(m.Tags, func(tag []byte) bool {
		q.tags = append(q.tags, string(tag))
		return true
	})
	slices.Sort(q.tags)
	q.tags = slices.Compact(q.tags)
	wire.EachWorker(m.NotWorkers, func(id []byte) bool {
		q.not = append(q.not, string(id))
		return true
	})
	known := true
	if len(m.Selector) > 0 {
		q.selector, known = w.formulas[string(m.Selector)]
	}
	if len(m.Prefer) > 0 {
		q.prefer = w.formulas[string(m.Prefer)]
	}
	q.bad = !known || q.policy != "spread" && q.spread != "" || q.policy == "spread" && (!b || q.spread == "")
	return q
}

// readResources reads a raw map; amounts of 0 ask for nothing.
func readResources(raw []byte) map[string]int64 {
	out := map[string]int64{}
	wire.EachResource(raw, func(name []byte, n int64) bool {
		if n != 0 {
			out[string(name)] = n
		}
		return true
	})
	return out
}

// wants reports whether a worker with a kit is one that a request means, and
// could take it if it were idle.
func (q *asked) wants(id string, k *kit) bool {
	return q.suits(k) && !slices.Contains(q.not, id) && k.slots > 0
}

// suits reports whether a kit is what a request means, whoever has it.
func (q *asked) suits(k *kit) bool {
	for _, tag := range q.tags {
		if !slices.Contains(k.tags, tag) {
			return false
		}
	}
	if !q.selector.holds(k.tags) {
		return false
	}
	_, ok := k.tally().place(q.resources, false)
	return ok
}

// same reports whether two kits offer the same.
func (k *kit) same(o *kit) bool {
	return k.slots == o.slots && slices.Equal(k.tags, o.tags) && maps.Equal(k.resources, o.resources) && slices.Equal(k.devices, o.devices)
}
