package loadtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

const (
	zones        = 12
	spotShare    = 0.25
	scratchShare = 0.3 // workers that offer a disk for scratch data, counted in GiB
)

// spec is one simulated worker.
type spec struct {
	id, address string
	tags        []string
	slots       int
	over        Transport // never Mixed
	resources   map[string]int64
	devices     []wire.Device
}

// profile is a kind of machine.
type profile struct {
	tags    []string
	slots   int
	cores   int
	devices []wire.Device
}

// profiles returns the kinds of machines: processors of eight kinds, without a
// graphics card or with one of five, in the way that nvidia-smi and lscpu
// name them.
func profiles() []profile {
	cpus := []struct {
		arch, model string
		cores       int
	}{
		{"amd64", "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", 64},
		{"amd64", "Intel(R) Xeon(R) Platinum 8480+", 112},
		{"amd64", "Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz", 32},
		{"amd64", "AMD EPYC 7543 32-Core Processor", 64},
		{"amd64", "AMD EPYC 9654 96-Core Processor", 192},
		{"amd64", "AMD Ryzen 9 7950X 16-Core Processor", 32},
		{"arm64", "Neoverse-N1", 80},
		{"arm64", "Neoverse-V2", 72},
	}
	gpus := []struct {
		model  string
		memory int64 // MiB
		count  int
	}{
		{}, {"NVIDIA H100 80GB HBM3", 81_559, 8}, {"NVIDIA A100-SXM4-80GB", 81_920, 8}, {"NVIDIA L4", 23_034, 4},
		{"Tesla T4", 15_360, 4}, {"NVIDIA GeForce RTX 4090", 24_564, 2},
	}
	var out []profile
	for _, c := range cpus {
		for g, gpu := range gpus {
			tags := []string{"cpu", c.arch, "cpu:" + c.model, fmt.Sprintf("cores-%d", c.cores), "linux"}
			if gpu.count > 0 {
				tags = append(tags, "gpu", "gpu:"+gpu.model, fmt.Sprintf("cuda=12.%d", g))
			}
			devices := slices.Repeat([]wire.Device{{Model: gpu.model, Memory: gpu.memory}}, gpu.count)
			out = append(out, profile{tags, min(max(c.cores/(2+g), 4), 64), c.cores, devices})
		}
	}
	return out
}

// newFleet draws n workers. slots overrides those of the profiles unless it
// is 0.
func newFleet(rng *rand.Rand, n, slots int) []spec {
	kinds := profiles()
	fleet := make([]spec, n)
	for i := range fleet {
		p := kinds[rng.IntN(len(kinds))]
		tags := append(slices.Clone(p.tags), fmt.Sprintf("zone=%d", rng.IntN(zones)+1))
		if rng.Float64() < spotShare {
			tags = append(tags, "spot")
		}
		fleet[i] = spec{
			id:        fmt.Sprintf("load-%05d", i),
			address:   fmt.Sprintf("10.%d.%d.%d:9000", i>>16&255, i>>8&255, i&255),
			tags:      tags,
			slots:     p.slots,
			resources: map[string]int64{"cpu": int64(p.cores) * 1000, "mem": int64(p.cores) * 4096},
			devices:   p.devices,
		}
		if rng.Float64() < scratchShare {
			fleet[i].resources["scratch"] = 500
		}
		if slots > 0 {
			fleet[i].slots = slots
		}
	}
	return fleet
}

func totalSlots(fleet []spec) int {
	n := 0
	for i := range fleet {
		n += fleet[i].slots
	}
	return n
}
