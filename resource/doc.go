// Package resource holds what the scheduler, its clients and its agents must
// agree on about resources: the names with a meaning, how amounts are written,
// and which of a worker's GPU devices a task takes. It is pure: no clock, no
// I/O, and the same calls give the same answers.
package resource

// The names with a meaning. Any other name is a custom dimension.
const (
	CPU    = "cpu"     // millicores
	Mem    = "mem"     // MiB
	GPU    = "gpu"     // whole devices
	GPUMem = "gpu_mem" // MiB on one device
)
