package capacity

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// naive is a worker as the documents describe it: amounts by name, and the memory of
// each device that is there. Tasks take from it one after the other.
type naive struct {
	amounts map[string]int64
	devices []int64 // what is left
	whole   []int64 // of an idle one
	missing []bool
}

// fits reports whether a demand is left, by a look at everything.
func (n *naive) fits(d *Demand) bool {
	for _, a := range d.Amounts {
		if a.Name == GPU && len(n.devices) > 0 {
			continue
		}
		if have, ok := n.amounts[a.Name]; !ok || have < a.Amount {
			return false
		}
	}
	if len(n.devices) == 0 {
		return d.Memory == 0
	}
	idle, shares := int64(0), 0
	for i, left := range n.devices {
		switch {
		case n.missing[i]:
		case d.GPUs > 0 && left == n.whole[i] && left >= d.Memory && left >= 0:
			idle++
		case d.GPUs == 0 && left >= d.Memory:
			shares++
		}
	}
	return d.GPUs == 0 && d.Memory == 0 || d.GPUs > 0 && idle >= d.GPUs || d.GPUs == 0 && shares > 0
}

// take takes what a demand needs, and the devices of a mask.
func (n *naive) take(d *Demand, mask uint64) {
	for _, a := range d.Amounts {
		n.amounts[a.Name] -= a.Amount
	}
	for i := range n.devices {
		switch {
		case mask>>i&1 == 0:
		case d.GPUs > 0:
			n.devices[i] = -1
		default:
			n.devices[i] -= d.Memory
		}
	}
}

var dims = map[string]uint8{GPU: 0, CPU: 3, "x": 4}

func drawDemand(t *rapid.T) *Demand {
	d := &Demand{}
	for _, name := range []string{CPU, GPU, Mem, "x"} {
		n := rapid.Int64Range(-2, 3).Draw(t, name)
		if n <= 0 {
			continue
		}
		dim, ok := dims[name]
		if !ok {
			if dim = NoDim; n < 3 { // a name that nobody offers is rare
				continue
			}
		}
		if name == GPU {
			d.GPUs = n
		}
		d.Amounts = append(d.Amounts, Amount{Name: name, Amount: n, Dim: dim})
	}
	if rapid.Bool().Draw(t, "memory?") {
		d.Memory = rapid.Int64Range(1, 8).Draw(t, "memory")
	}
	return d
}

func drawOffer(t *rapid.T) (*Offer, *naive) {
	o, n := &Offer{}, &naive{amounts: map[string]int64{}}
	if rapid.Bool().Draw(t, "devices?") {
		for range rapid.IntRange(1, 4).Draw(t, "devices") {
			m := Memory{MiB: rapid.Int64Range(1, 10).Draw(t, "MiB"), Missing: rapid.IntRange(0, 4).Draw(t, "missing") == 0}
			o.Devices = append(o.Devices, m)
			n.devices, n.whole, n.missing = append(n.devices, m.MiB), append(n.whole, m.MiB), append(n.missing, m.Missing)
		}
	}
	for _, name := range []string{GPU, CPU, "x"} {
		if name == GPU && len(o.Devices) > 0 || rapid.Bool().Draw(t, name) {
			continue
		}
		amount := rapid.Int64Range(1, 9).Draw(t, name)
		o.Limits = append(o.Limits, Limit{dims[name], amount})
		o.Dims |= 1 << dims[name]
		n.amounts[name] = amount
	}
	return o, n
}

// TestFitsAgainstNaive places random tasks on a worker, and compares every answer
// with one that looks at everything.
func TestFitsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, n := drawOffer(t)
		idle := NewUsed(o)
		u := NewUsed(o)
		var scratch [MaxDevices]Device
		var placed []func(by int)
		for range rapid.IntRange(1, 12).Draw(t, "tasks") {
			d := drawDemand(t)
			_, empty := remade(o)
			require.Equal(t, empty.fits(d), CouldEver(o, d), "%+v %+v", o, d)
			require.Equal(t, CouldEver(o, d), FitsNow(o, idle, d, &scratch))
			fits := FitsNow(o, u, d, &scratch)
			require.Equal(t, n.fits(d), fits, "%+v %+v %+v", o, u, d)
			if !CouldEver(o, d) {
				continue
			}
			lack, of := Shortfall(o, u, d)
			require.Equal(t, fits, lack == 0, "%+v %+v %+v", o, u, d)
			require.Positive(t, of)
			if !fits {
				continue
			}
			mask, ok := u.Pick(o, d, &scratch)
			require.True(t, ok)
			n.take(d, mask)
			u.Add(o, d, mask, false, 1)
			placed = append(placed, func(by int) { u.Add(o, d, mask, false, by) })
			require.False(t, u.Overbooked(o))
		}
		for _, task := range placed {
			task(-1)
		}
		require.Equal(t, idle, u, "what is taken comes back")
	})
}

// remade is an idle worker with an offer.
func remade(o *Offer) (*Used, *naive) {
	n := &naive{amounts: map[string]int64{}}
	for name, dim := range dims {
		if o.Dims>>dim&1 != 0 {
			n.amounts[name] = o.Limits[o.place(dim)].Amount
		}
	}
	for _, m := range o.Devices {
		n.devices, n.whole, n.missing = append(n.devices, m.MiB), append(n.whole, m.MiB), append(n.missing, m.Missing)
	}
	return NewUsed(o), n
}

// TestHoldsAgainstPlacing fills an idle worker with tasks of one demand.
func TestHoldsAgainstPlacing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, _ := drawOffer(t)
		d, slots := drawDemand(t), uint32(rapid.IntRange(1, 9).Draw(t, "slots"))
		if !CouldEver(o, d) {
			return
		}
		u, n := NewUsed(o), int64(0)
		var scratch [MaxDevices]Device
		for n < int64(slots) && FitsNow(o, u, d, &scratch) {
			mask, _ := u.Pick(o, d, &scratch)
			u.Add(o, d, mask, false, 1)
			n++
		}
		require.Equal(t, n, o.Holds(slots, d), "%+v %+v", o, d)
	})
}

func TestOverbookedWhereAWorkerShrinks(t *testing.T) {
	o := &Offer{Limits: []Limit{{3, 4}}, Dims: 1 << 3, Devices: []Memory{{MiB: 8}}}
	u := NewUsed(o)
	u.Add(o, &Demand{Amounts: []Amount{{CPU, 3, 3}}, Memory: 8}, 1, false, 1)
	require.False(t, u.Overbooked(o))
	require.True(t, u.Overbooked(&Offer{Limits: []Limit{{3, 2}}, Dims: 1 << 3, Devices: o.Devices}))
	require.True(t, u.Overbooked(&Offer{Limits: o.Limits, Dims: o.Dims, Devices: []Memory{{MiB: 7}}}))
	u.Add(o, &Demand{Amounts: []Amount{{"gone", 1, NoDim}}}, 0, false, 1)
	require.True(t, u.Overbooked(o), "a task takes what is not offered")
	require.EqualValues(t, 8, o.MemoryOn(1))
	require.EqualValues(t, -1, o.MemoryOn(2))
}
