package server

import (
	"fmt"
	"slices"
	"testing"
	"time"
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
