package server

import (
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/sched"
)

const (
	// scanShare bounds what scans of the fleet cost, however often they are
	// asked for: the latest is used again until so many times as it took are over.
	scanShare = 20
	// scanPause lets the event loops have the core between two slices.
	scanPause = 100 * time.Microsecond
)

// fleetScans keeps the latest scan of the fleet.
type fleetScans struct {
	mu     sync.Mutex // guards all below; held while a scan runs, so that there is one at a time
	latest sched.FleetScan
	began  time.Duration
	took   time.Duration
	done   bool // latest is one
}

// scan returns totals over the fleet that are recent.
func (s *Server) scan() sched.FleetScan {
	f := &s.scans
	f.mu.Lock()
	defer f.mu.Unlock()
	began := s.core.clock.Since()
	if f.done && began-f.began < scanShare*f.took {
		return f.latest
	}
	var now sched.FleetScan
	for !s.core.scanSlice(&now) {
		time.Sleep(scanPause)
	}
	f.latest, f.began, f.done = now, began, true
	f.took = s.core.clock.Since() - began
	if now.Fault != "" {
		if ok, dropped := s.limiter.allow("invariant"); ok {
			s.log.Error("an invariant is broken", "found", now.Fault, "dropped", dropped)
		}
	}
	return now
}

// scanSlice does one slice of a scan under the lock.
func (c *core) scanSlice(f *sched.FleetScan) (done bool) {
	c.look("scan", "", func(sched.Time) { done = c.state.ScanFleet(f) })
	return done
}

func (s *Server) collectScan(out sink) {
	f := s.scan()
	for i, flag := range sched.Flags {
		out.put(workersFlagged, float64(f.Flags[i]), flag)
	}
	for name, a := range f.Resources {
		unit := baseUnit(name)
		out.put(capacityNow, a.Capacity*unit, name)
		out.put(takenNow, a.Taken*unit, name)
		out.put(freeNow, a.Free*unit, name)
	}
}

// baseUnit is what the unit of a resource's amounts is in that of metrics:
// cores, bytes, and for names of a fleet's own what it means by them.
func baseUnit(name string) float64 {
	switch name {
	case capacity.CPU:
		return 1.0 / 1000
	case capacity.Mem, capacity.GPUMem:
		return 1 << 20
	}
	return 1
}
