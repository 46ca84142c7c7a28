package twin

import (
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Asked is how a request looks to the judges: everything in plain Go values.
type Asked struct {
	Tags      []string
	Resources map[string]int64
	Selector  *Formula
	prefer    *Formula
	Not       []string
	exclusive bool
	policy    string
	spread    string
	bad       bool
}

// readAsked reads a request; b says that it is one of a batch.
func (t *Twin) readAsked(m *wire.Schedule, b bool) Asked {
	q := Asked{Resources: readResources(m.Resources), exclusive: m.Exclusive, policy: string(m.Policy), spread: string(m.SpreadBy)}
	wire.EachTag(m.Tags, func(tag []byte) bool {
		q.Tags = append(q.Tags, string(tag))
		return true
	})
	slices.Sort(q.Tags)
	q.Tags = slices.Compact(q.Tags)
	wire.EachWorker(m.NotWorkers, func(id []byte) bool {
		q.Not = append(q.Not, string(id))
		return true
	})
	known := true
	if len(m.Selector) > 0 {
		q.Selector, known = t.w.Formula(string(m.Selector))
	}
	if len(m.Prefer) > 0 {
		q.prefer, _ = t.w.Formula(string(m.Prefer))
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

// Wants reports whether a worker with a kit is one that a request means, and
// could take it if it were idle.
func (q *Asked) Wants(id string, k *Kit) bool {
	return q.suits(k) && !slices.Contains(q.Not, id) && k.Slots > 0
}

// suits reports whether a kit is what a request means, whoever has it.
func (q *Asked) suits(k *Kit) bool {
	for _, tag := range q.Tags {
		if !slices.Contains(k.Tags, tag) {
			return false
		}
	}
	if !q.Selector.holds(k.Tags) {
		return false
	}
	_, ok := k.Tally().Place(q.Resources, false)
	return ok
}

// Same reports whether two kits offer the same.
func (k *Kit) Same(o *Kit) bool {
	return k.Slots == o.Slots && slices.Equal(k.Tags, o.Tags) && maps.Equal(k.Resources, o.Resources) && slices.Equal(k.Devices, o.Devices)
}
