package ledger

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// Known is a GPU as its worker knows it over restarts: by its UUID, or by Name
// where it has none.
type Known struct {
	wire.Device
	Name string // what CUDA_VISIBLE_DEVICES calls it
}

// same reports whether two descriptions are of one GPU.
func (k *Known) same(o *Known) bool {
	if k.UUID != "" || o.UUID != "" {
		return strings.EqualFold(k.UUID, o.UUID)
	}
	return k.Name == o.Name
}

// Arrange returns the GPUs that a new process has found in an order in which the
// devices of leases keep their places: leases name devices by place. known is
// what the process before had, held are the places that leases which still run
// take. A GPU that such a lease has and that is gone is listed as missing, and so
// are gaps before it. With nothing held the order is that of now. What finds no
// place among wire.MaxDevices is left out.
func Arrange(known, now []Known, held uint64) []Known {
	if held == 0 {
		return now
	}
	now = withhold(known, now, held)
	var all [wire.MaxDevices]Known
	var placed uint64
	rest := make([]Known, 0, len(now))
	for _, d := range now {
		i := slices.IndexFunc(known, func(k Known) bool { return k.same(&d) })
		if i < 0 || i >= len(all) || placed>>i&1 != 0 {
			rest = append(rest, d)
			continue
		}
		all[i] = d
		placed |= 1 << i
	}
	used := placed | held
	for _, d := range rest {
		if i := bits.TrailingZeros64(^used); i < len(all) {
			all[i] = d
			placed, used = placed|1<<i, used|1<<i
		}
	}
	end := bits.Len64(used)
	for i := range end {
		if placed>>i&1 != 0 {
			continue
		}
		if i < len(known) {
			all[i] = known[i]
		}
		all[i].Missing = true
	}
	return slices.Clone(all[:end])
}

// withhold marks GPUs as missing that may be one which a lease still has, under
// another name. Without a UUID the name is a number, which means another GPU as
// soon as one vanishes.
func withhold(known, now []Known, held uint64) []Known {
	same := slices.EqualFunc(known, now, func(a, b Known) bool {
		return a.same(&b) && a.Model == b.Model && a.Memory == b.Memory
	})
	if same {
		return now
	}
	unnamed, lost := false, false // a held GPU has no UUID; one that has is gone
	for i := range known {
		if i >= wire.MaxDevices || held>>i&1 == 0 {
			continue
		}
		if known[i].UUID == "" {
			unnamed = true
		} else if !slices.ContainsFunc(now, func(d Known) bool { return d.same(&known[i]) }) {
			lost = true
		}
	}
	now = slices.Clone(now)
	for i := range now {
		if unnamed || lost && now[i].UUID == "" {
			now[i].Missing = true
		}
	}
	return now
}
