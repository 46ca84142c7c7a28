package ledger

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/wire"
)

// gpus are two devices, the second of unknown memory.
var gpus = []wire.Device{{Model: "A100", Memory: 40960}, {Model: "A100"}}

// takes is a lease that takes amounts and devices.
func takes(amounts map[string]int64, devices ...int) *wire.Handover {
	return &wire.Handover{Resources: amounts, Devices: devices}
}

// alone is a lease that has the whole worker.
func alone(devices ...int) *wire.Handover {
	return &wire.Handover{Exclusive: true, Devices: devices}
}

// TestRoom begins leases one after the other; all but the last have room.
func TestRoom(t *testing.T) {
	type amounts = map[string]int64
	for name, c := range map[string]struct {
		offers   amounts
		devices  []wire.Device
		external uint32
		leases   []*wire.Handover
		full     bool
	}{
		"an amount to the last unit":  {offers: amounts{"cpu": 4}, leases: []*wire.Handover{takes(amounts{"cpu": 3}), takes(amounts{"cpu": 1})}},
		"an amount and one unit":      {offers: amounts{"cpu": 4}, leases: []*wire.Handover{takes(amounts{"cpu": 3}), takes(amounts{"cpu": 2})}, full: true},
		"another amount":              {offers: amounts{"cpu": 4, "mem": 4}, leases: []*wire.Handover{takes(amounts{"cpu": 4}), takes(amounts{"mem": 4})}},
		"an offer of none":            {offers: amounts{"cpu": 0}, leases: []*wire.Handover{takes(amounts{"cpu": 1})}, full: true},
		"what is not offered":         {offers: amounts{"cpu": 4}, leases: []*wire.Handover{takes(amounts{"disk": 9})}},
		"counted GPUs":                {offers: amounts{"gpu": 2}, leases: []*wire.Handover{takes(amounts{"gpu": 2}), takes(amounts{"gpu": 1})}, full: true},
		"two shares of one device":    {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu_mem": 40000}, 0), takes(amounts{"gpu_mem": 960}, 0)}},
		"a share too many":            {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu_mem": 40000}, 0), takes(amounts{"gpu_mem": 961}, 0)}, full: true},
		"a share of unknown memory":   {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu_mem": 1}, 1)}, full: true},
		"both devices whole":          {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu": 1}, 0), takes(amounts{"gpu": 1}, 1)}},
		"a device twice":              {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu": 1}, 0), takes(amounts{"gpu": 2}, 0, 1)}, full: true},
		"a share of a whole device":   {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu": 1}, 0), takes(amounts{"gpu_mem": 1}, 0)}, full: true},
		"the whole of a shared one":   {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu_mem": 1}, 0), takes(amounts{"gpu": 1}, 0)}, full: true},
		"whole with a least memory":   {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu": 1, "gpu_mem": 40960}, 0), takes(amounts{"gpu": 1}, 1)}},
		"a device that is not there":  {devices: gpus, leases: []*wire.Handover{takes(amounts{"gpu": 1}, 2)}, full: true},
		"a device of nobody":          {leases: []*wire.Handover{takes(amounts{"gpu": 1}, 0)}, full: true},
		"the whole worker":            {devices: gpus, leases: []*wire.Handover{alone(0, 1)}},
		"beside the whole worker":     {leases: []*wire.Handover{alone(), takes(nil)}, full: true},
		"the whole of a used worker":  {leases: []*wire.Handover{takes(nil), alone()}, full: true},
		"the whole beside a task":     {external: 1, leases: []*wire.Handover{alone()}, full: true},
		"the whole beside very many":  {external: math.MaxUint32, leases: []*wire.Handover{alone()}, full: true},
		"amounts of the largest size": {offers: amounts{"cpu": wire.MaxAmount}, leases: []*wire.Handover{takes(amounts{"cpu": wire.MaxAmount}), takes(amounts{"cpu": wire.MaxAmount})}, full: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := connected(t, Config{Slots: math.MaxUint32, Resources: c.offers, Devices: c.devices})
			l.SetExternal(c.external)
			for i, h := range c.leases {
				begin := handover(uint64(i + 1))
				begin.Resources, begin.Devices, begin.Exclusive = h.Resources, h.Devices, h.Exclusive
				_, err := l.Begin(begin, "p")
				if !c.full || i < len(c.leases)-1 {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, ErrFull)
				require.Equal(t, wire.ReasonRefused, l.Refused().Outcome)
			}
			require.NoError(t, l.Check())
		})
	}
}

// TestRestoredAmountsDoNotOverflow: records of a state directory were not
// checked, and their sum must not become negative.
func TestRestoredAmountsDoNotOverflow(t *testing.T) {
	l := connected(t, Config{Slots: 9, Resources: map[string]int64{"cpu": 4}, Devices: gpus})
	for i, amounts := range []map[string]int64{{"cpu": math.MaxInt64, "gpu_mem": math.MaxInt64}, {"cpu": 2, "gpu_mem": 2}} {
		h := handover(uint64(i + 1))
		h.Resources, h.Devices = amounts, []int{0}
		require.NoError(t, l.Restore(h.Record(), "p"))
	}
	_, err := l.Begin(handover(3), "p")
	require.ErrorIs(t, err, ErrFull)
}

// TestRoomTakesNoMemory: a worker looks for room at every begin.
func TestRoomTakesNoMemory(t *testing.T) {
	l := connected(t, Config{Slots: 9, Resources: map[string]int64{"cpu": 4, "mem": 4}, Devices: gpus})
	h := handover(1)
	h.Resources, h.Devices = map[string]int64{"cpu": 1, "gpu_mem": 1}, []int{0}
	_, err := l.Begin(h, "p")
	require.NoError(t, err)
	r := h.Record()
	require.Zero(t, testing.AllocsPerRun(100, func() { require.True(t, l.hasRoom(&r)) }))
}

// TestRoomAgainstEachDimension draws leases and compares with a sum that is
// built the plain way, dimension by dimension.
func TestRoomAgainstEachDimension(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offers := map[string]int64{"cpu": rapid.Int64Range(0, 4).Draw(t, "cpu"), "mem": rapid.Int64Range(0, 4).Draw(t, "mem")}
		devices := make([]wire.Device, rapid.IntRange(0, 3).Draw(t, "devices"))
		for i := range devices {
			devices[i].Memory = rapid.Int64Range(0, 4).Draw(t, "memory")
		}
		l := New(Config{Worker: "w1", Incarnation: 1, Slots: 100, Resources: offers, Devices: devices})
		l.Register()
		_, ok := l.Registered(&wire.Registered{Handle: 1, Grantor: wire.Grantor{Epoch: 1, Instance: 7}})
		require.True(t, ok)
		var run []*wire.Handover
		for i := range 6 {
			h := handover(uint64(i + 1))
			h.Resources = map[string]int64{}
			for _, name := range []string{"cpu", "mem", "gpu", "gpu_mem"} {
				if n := rapid.Int64Range(0, 2).Draw(t, name); n > 0 {
					h.Resources[name] = n
				}
			}
			h.Devices = capacity.Bits(rapid.Uint64Range(0, 15).Draw(t, "mask"))
			h.Exclusive = rapid.IntRange(0, 9).Draw(t, "exclusive") == 0
			want := plainRoom(offers, devices, append(run, h))
			_, err := l.Begin(h, "p")
			require.Equal(t, want, !errors.Is(err, ErrFull), "%+v beside %d", h, len(run))
			if err == nil {
				run = append(run, h)
			}
		}
	})
}

// plainRoom reports whether leases have room together.
func plainRoom(offers map[string]int64, devices []wire.Device, leases []*wire.Handover) bool {
	for name, has := range offers {
		for _, h := range leases {
			has -= h.Resources[name]
		}
		if has < 0 {
			return false
		}
	}
	shares, users, wholes := map[int]int64{}, map[int]int{}, map[int]int{}
	for _, h := range leases {
		if h.Exclusive && len(leases) > 1 {
			return false
		}
		for _, d := range h.Devices {
			if d >= len(devices) {
				return false
			}
			users[d]++
			if h.Exclusive || h.Resources["gpu"] > 0 {
				wholes[d]++
			} else {
				shares[d] += h.Resources["gpu_mem"]
			}
		}
	}
	for d := range devices {
		if shares[d] > devices[d].Memory || wholes[d] > 0 && users[d] > 1 {
			return false
		}
	}
	return true
}
