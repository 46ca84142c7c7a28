package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// perWorker returns the tags of a kind of fleet, so that a benchmark can build it.
type perWorker func(*rand.Rand) []string

// BenchmarkChooseAndRelease is Least, Give and the SetLoad of the release of an older task, at half
// load. The fleets: shared, some hundred tag sets; own, a tag set for almost every worker.
func BenchmarkChooseAndRelease(b *testing.B) {
	for _, c := range []struct {
		name     string
		tags     perWorker
		workers  int
		distinct int
	}{
		{"shared", sharedTags, 5_000, 50},
		{"shared", sharedTags, 5_000, 5_000},
		{"shared", sharedTags, 1_000_000, 50},
		{"shared", sharedTags, 1_000_000, 5_000},
		{"own", ownTags, 5_000, 50},
		{"own", ownTags, 50_000, 50},
		{"own", ownTags, 1_000_000, 50},
	} {
		var f *fleet
		b.Run(fmt.Sprintf("%s/workers=%d/requirements=%d", c.name, c.workers, c.distinct), func(b *testing.B) {
			if f == nil {
				f = newFleet(c.workers, c.distinct, c.tags)
				runtime.GC()
			}
			order := f.rng.Perm(1 << 14)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f.placeAndRelease(f.requirements[order[i%len(order)]%len(f.requirements)])
			}
			b.ReportMetric(float64(f.x.Stats().Profiles), "profiles")
		})
	}
}

// BenchmarkParts is each hot call alone, 5,000 workers and 50 requirements.
func BenchmarkParts(b *testing.B) {
	f := newFleet(5_000, 50, sharedTags)
	for i := range 100_000 {
		f.placeAndRelease(f.requirements[i*31%50])
	}
	order := f.rng.Perm(1 << 14)
	parts := []struct {
		name string
		call func(n int)
	}{
		{"Lookup", func(n int) { f.x.Lookup(f.keys[n%50]) }},
		{"Least", func(n int) { f.x.Least(f.requirements[n%50]) }},
		{"Give", func(n int) { f.x.Give(f.running[n%5_000], f.slots[f.running[n%5_000]].load()) }},
		{"SetLoad", func(n int) { f.x.SetLoad(f.running[n%5_000], uint32(n)<<17) }},
		{"SetLoadUnchanged", func(n int) { f.x.SetLoad(f.running[n%5_000], f.x.LoadOf(f.running[n%5_000])) }},
		{"SetEligible", func(n int) { f.x.SetEligible(f.running[n%5_000], true) }},
	}
	for _, p := range parts {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				p.call(order[i%len(order)])
			}
		})
	}
}

// BenchmarkRareTag chooses and releases among the three of 1,000,000 workers that have a tag.
func BenchmarkRareTag(b *testing.B) {
	f := newFleet(1_000_000, 50, sharedTags)
	for i := range Worker(3) {
		if err := f.x.Put(i*300_000, append(sharedTags(f.rng), "fpga")); err != nil {
			b.Fatal(err)
		}
	}
	r := f.x.Intern([]byte("fpga"), []string{"fpga"})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		w, _ := f.place(r)
		f.release(w)
	}
}

// BenchmarkAllMatchingFull asks for a worker when none of those with the tags has room, in a fleet
// of tag sets of their own.
func BenchmarkAllMatchingFull(b *testing.B) {
	f := newFleet(50_000, 50, ownTags)
	r := f.x.Intern([]byte("zone"), []string{"zone=1"})
	for _, w := range matched(f.x, r).ToArray() {
		f.x.SetLoad(Worker(w), Full)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f.x.Least(r)
	}
}

// BenchmarkTagChurn changes the tags of a worker to a set never seen before, then places and
// releases for one of 50 requirements, which has to catch up with all the changes since its last
// use.
func BenchmarkTagChurn(b *testing.B) {
	f := newFleet(5_000, 50, sharedTags)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		w := Worker(i % 5_000)
		if err := f.x.Put(w, append(sharedTags(f.rng), fmt.Sprintf("build=%d", i))); err != nil {
			b.Fatal(err)
		}
		f.placeAndRelease(f.requirements[i%50])
	}
}

// BenchmarkEvictedRequirement interns a requirement that the cache has just evicted, and places and
// releases with it: what a request costs when far more requirements are in use than the cache keeps.
func BenchmarkEvictedRequirement(b *testing.B) {
	f := newFleet(5_000, 500, sharedTags)
	f.x.cache.size = 100
	for len(f.x.cache.byTags) > 100 {
		f.x.cache.evict(f.x.cache.oldest)
	}
	tags := make([][]string, len(f.requirements))
	for i, r := range f.requirements {
		tags[i] = r.Tags()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		f.placeAndRelease(f.x.Intern(f.keys[i%500], tags[i%500]))
	}
}

// BenchmarkJoin is the time and the memory of one idle worker that joins and may be chosen from
// then on, the tags drawn before.
func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		name    string
		tags    perWorker
		workers int
	}{
		{"shared", sharedTags, 5_000}, {"shared", sharedTags, 1_000_000}, {"own", ownTags, 5_000}, {"own", ownTags, 1_000_000},
	} {
		b.Run(fmt.Sprintf("%s/workers=%d", c.name, c.workers), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			all := make([][]string, c.workers)
			for i := range all {
				all[i] = c.tags(rng)
			}
			b.ResetTimer()
			b.StopTimer()
			for range b.N {
				before := liveBytes()
				x := New(Config{})
				b.StartTimer()
				for w, tags := range all {
					if err := x.Put(Worker(w), tags); err != nil {
						b.Fatal(err)
					}
					x.SetEligible(Worker(w), true)
				}
				b.StopTimer()
				b.ReportMetric(float64(liveBytes()-before)/float64(c.workers), "B/worker")
				runtime.KeepAlive(x)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.workers), "ns/worker")
		})
	}
}

// liveBytes returns the bytes of the heap in use after a collection.
func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
