// Package capacity holds what the scheduler, its clients and its agents must agree
// on about resources: the names with a meaning, how amounts are written, what a task
// demands, what a worker offers, what is used of it, and which GPU devices a task
// takes. Three questions relate them: CouldEver, FitsNow and Shortfall. It is
// pure: no clock, no I/O, and the same calls give the same answers.
package capacity

// The names with a meaning. Any other name is a custom dimension.
const (
	CPU    = "cpu"     // millicores
	Mem    = "mem"     // MiB
	GPU    = "gpu"     // whole devices
	GPUMem = "gpu_mem" // MiB on one device
)
