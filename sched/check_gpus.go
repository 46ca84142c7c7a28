package sched

import (
	"fmt"
	"maps"
	"slices"
)

// checkGPUs compares the table of GPUs with what the workers list (I29).
func (s *State) checkGPUs() error {
	want := newGPUTable()
	var err error
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known {
			continue
		}
		w.kit.eachGPU(func(i int, gpu string, missing bool) {
			o, twice := want.offered[gpu]
			switch {
			case missing:
				want.missing[gpu] = append(want.missing[gpu], n)
			case twice:
				err = fmt.Errorf("I29: the GPU %s is offered by workers %q and %q", gpu, s.workers.At(o).id, w.id)
			default:
				want.offered[gpu] = n
			}
		})
	}
	if err != nil {
		return err
	}
	same := func(a, b []int32) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	if !maps.Equal(want.offered, s.gpus.offered) || !maps.EqualFunc(want.missing, s.gpus.missing, same) {
		return fmt.Errorf("I29: workers list the GPUs %v, missing %v; the table has %v and %v", want.offered, want.missing, s.gpus.offered, s.gpus.missing)
	}
	if len(s.conflicts) > conflictMemory {
		return fmt.Errorf("I26: conflicts of %d workers are remembered", len(s.conflicts))
	}
	return nil
}
