package server

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
)

// reports registers workers that speak HTTP, straight in the core.
func (f *fixture) reports(n int) {
	f.t.Helper()
	for i := range n {
		require.NoError(f.t, f.core.Report("", &sched.Report{Worker: fmt.Sprintf("w%06d", i), Address: "h:1", Slots: 2, Current: 1}))
	}
}

// While the fleet is read the lock is given back between two slices, so that
// requests come first.
func TestAScanLetsOthersIn(t *testing.T) {
	f := start(t)
	const workers = 8 * sched.ScanVisits
	f.reports(workers)
	var scan sched.FleetScan
	slices := 0
	for done := false; !done; slices++ {
		done = f.core.scanSlice(&scan)
		require.True(t, f.core.mu.TryLock(), "the lock is free between two slices")
		f.core.mu.Unlock()
	}
	require.GreaterOrEqual(t, slices, 8)
	all := f.gather()
	require.Equal(t, 2.0*workers, value(t, all, "dtask_capacity", "resource=slots"))
	require.Equal(t, 1.0*workers, value(t, all, "dtask_taken", "resource=slots"))
	require.Equal(t, 1.0*workers, value(t, all, "dtask_free", "resource=slots"))
	require.Equal(t, 1.0*workers, value(t, all, "dtask_workers", "status=online"))
}

// Scans take a bounded share of the time, however often they are asked for.
func TestAScanIsUsedAgain(t *testing.T) {
	f := start(t)
	f.reports(10)
	require.Equal(t, 10, f.scan().Workers)
	f.scans.mu.Lock()
	f.scans.took = time.Hour
	f.scans.mu.Unlock()
	f.reports(20)
	require.Equal(t, 10, f.scan().Workers, "the latest is used again")
	f.scans.mu.Lock()
	f.scans.took = 0
	f.scans.mu.Unlock()
	require.Equal(t, 20, f.scan().Workers)
}

// Amounts are shown in the units of metrics.
func TestUnitsOfResources(t *testing.T) {
	f := start(t)
	f.equipped(gpus("w1"))
	all := f.gather()
	for resource, want := range map[string]float64{
		"slots": 8, "cpu": 8, "mem": 64 << 30, "gpu": 2, "gpu_mem": 120 << 30,
	} {
		require.Equal(t, want, value(t, all, "dtask_capacity", "resource="+resource), resource)
		require.Equal(t, want, value(t, all, "dtask_free", "resource="+resource), resource)
	}
	require.Len(t, all["dtask_capacity"].Metric, 5)
	require.Zero(t, value(t, all, "dtask_workers_flagged", "flag=connecting"))
}

// A fault of the scheduler itself is counted and told. It is planted behind the
// back of the core, where no message can make one.
func TestABrokenInvariantIsTold(t *testing.T) {
	f := start(t)
	a := f.agent("w1", 2)
	require.Zero(t, value(t, f.gather(), "dtask_invariant_violations_total", "invariant=digest"))
	f.core.mu.Lock()
	worker := reflect.ValueOf(f.core.state).Elem().FieldByName("workers").FieldByName("list").Index(0).Index(0)
	digest := (*uint64)(worker.FieldByName("digest").Addr().UnsafePointer())
	*digest ^= 1
	f.core.mu.Unlock()
	f.scans.mu.Lock()
	f.scans.took = 0
	f.scans.mu.Unlock()
	require.Equal(t, 1.0, value(t, f.gather(), "dtask_invariant_violations_total", "invariant=digest"))
	require.Contains(t, f.log.String(), `level=ERROR msg="an invariant is broken" found="digest: worker \"w1\":`)
	a.alive()
	f.core.mu.Lock()
	*digest ^= 1
	f.core.mu.Unlock()
}
