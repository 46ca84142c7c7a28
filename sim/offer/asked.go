package offer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Asked is how a request looks to the judges: everything in plain Go values.
type Asked struct {
	Tags      []string
	Resources map[string]int64
	Selector  *Formula
	Prefer    *Formula
	Not       []string
	Exclusive bool
	Policy    string
	Spread    string
	Bad       bool
}

// Read reads a request; batch says that it is one of a batch. Selectors are known
// by their texts.
func Read(m *wire.Schedule, batch bool, known func(text string) (*Formula, bool)) Asked {
	q := Asked{Resources: ReadResources(m.Resources), Exclusive: m.Exclusive, Policy: string(m.Policy), Spread: string(m.SpreadBy)}
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
	ok := true
	if len(m.Selector) > 0 {
		q.Selector, ok = known(string(m.Selector))
	}
	if len(m.Prefer) > 0 {
		q.Prefer, _ = known(string(m.Prefer))
	}
	q.Bad = !ok || q.Policy != "spread" && q.Spread != "" || q.Policy == "spread" && (!batch || q.Spread == "")
	return q
}

// Content names all that a request says, whatever the order of its tags and
// amounts: another content under the same task id is a conflict.
func (q *Asked) Content(m *wire.Schedule) string {
	return fmt.Sprintf("%q %d %q %q %v %q %q %q %v %q %q", q.Tags, m.Priority, m.Owner, m.Group, q.Resources, m.Selector, m.Prefer, m.NotWorkers,
		q.Exclusive, q.Policy, q.Spread) + fmt.Sprint(m.OnPreempt)
}

// Needs names what a request needs of its worker, in the bytes that it has: tasks
// with the same needs wait in one request class.
func Needs(m *wire.Schedule) string {
	return fmt.Sprintf("%q %q %q %q %q %v %q %q", m.Tags, m.Resources, m.Selector, m.Prefer, m.NotWorkers, m.Exclusive, m.Policy, m.SpreadBy)
}

// ReadResources reads a raw map; amounts of 0 ask for nothing.
func ReadResources(raw []byte) map[string]int64 {
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
	return q.Suits(k) && !slices.Contains(q.Not, id) && k.Slots > 0
}

// Suits reports whether a kit is what a request means, whoever has it.
func (q *Asked) Suits(k *Kit) bool {
	for _, tag := range q.Tags {
		if !slices.Contains(k.Tags, tag) {
			return false
		}
	}
	if !q.Selector.Holds(k.Tags) {
		return false
	}
	_, ok := k.Tally().Place(q.Resources, false)
	return ok
}

// Same reports whether two kits offer the same.
func (k *Kit) Same(o *Kit) bool {
	return k.Slots == o.Slots && slices.Equal(k.Tags, o.Tags) && maps.Equal(k.Resources, o.Resources) && slices.Equal(k.Devices, o.Devices)
}
