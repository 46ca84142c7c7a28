package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/dtask/dtask-scheduler/agent"
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/client"
	"github.com/dtask/dtask-scheduler/selector"
)

// warn prints what is allowed and probably not meant.
func warn(w io.Writer, text string) { fmt.Fprintln(w, "dtask: warning:", clean(text)) }

// noGPU is the warning for a task that asks for a worker with GPUs and takes none.
const noGPU = "the task asks for a worker with the tag " + agent.TagGPU + " and takes no GPU, so it sees none there (CUDA_VISIBLE_DEVICES is empty); " +
	"take whole ones with --gpus 1, or a share of one with --gpu-mem 20Gi"

// lacksGPU reports whether a task must run on a worker with the tag of GPUs and
// gets none of them.
func lacksGPU(t *client.Task) bool {
	if t.Exclusive || t.Resources[capacity.GPU] > 0 || t.Resources[capacity.GPUMem] > 0 {
		return false
	}
	if slices.Contains(t.Tags, agent.TagGPU) {
		return true
	}
	where, err := selector.Parse(t.Selector)
	return err == nil && where.Requires(agent.TagGPU)
}
