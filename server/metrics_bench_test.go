package server

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/sched"
)

// BenchmarkMetrics prints what metrics add to a request, from the bytes that
// were read to the bytes that are written. Short blocks with and without them
// follow each other, with the same loop over the same fleet, and the median of
// the differences within the pairs is printed, so that what else runs on the
// machine meets both alike.
func BenchmarkMetrics(b *testing.B) {
	for _, n := range []int{1, 4, 16, 128} {
		b.Run(fmt.Sprintf("%d_in_flight", n), func(b *testing.B) {
			x := newBench(b, 4_000)
			in, releases := scheduleFrames(n), []byte(nil)
			rounds := max(1, 128/n)
			block := func(metered bool) time.Duration {
				x.l.metered = metered
				began := time.Now()
				for range rounds {
					in, releases = x.round(b, n, in, releases)
				}
				return time.Since(began)
			}
			var added, without []time.Duration
			for b.Loop() {
				first := len(added)%2 == 0 // whoever is first meets colder caches
				one := block(first)
				other := block(!first)
				if first {
					added, without = append(added, one-other), append(without, other)
				} else {
					added, without = append(added, other-one), append(without, one)
				}
			}
			slices.Sort(added)
			slices.Sort(without)
			requests := float64(2 * n * rounds)
			b.ReportMetric(float64(added[len(added)/2])/requests, "added-ns/request")
			b.ReportMetric(float64(without[len(without)/2])/requests, "without-ns/request")
		})
	}
}

// BenchmarkScrape is one scrape, with a walk over the fleet of its own each
// time, and the longest time for which it kept others from the core.
func BenchmarkScrape(b *testing.B) {
	for _, workers := range []int{5_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			x := newBench(b, 0)
			for i := range workers {
				r := &sched.Report{Worker: fmt.Sprintf("w%07d", i), Address: "h:1", Slots: 2, Tags: []string{"gpu", fmt.Sprintf("rack-%d", i%40)}}
				require.NoError(b, x.srv.core.Report("", r))
			}
			longest := time.Duration(0)
			for b.Loop() {
				var f sched.FleetScan
				for done := false; !done; {
					began := time.Now()
					done = x.srv.core.scanSlice(&f)
					longest = max(longest, time.Since(began))
					time.Sleep(scanPause)
				}
				x.srv.scans.latest, x.srv.scans.done, x.srv.scans.took = f, true, time.Hour
				x.srv.scrape.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
			}
			b.ReportMetric(float64(longest.Microseconds()), "longest-us")
		})
	}
}
