package index

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A fleet is what the benchmarks run on: workers with tags and capacities, the requirements that
// are asked for, and the tasks that run.
type fleet struct {
	x            *Index
	slots        []slots  // by Worker
	running      []Worker // a ring of placements, the oldest is released next
	oldest       int
	requirements []*Requirement
	keys         [][]byte
	rng          *rand.Rand
}

// slots are the places for tasks of one worker.
type slots struct{ taken, capacity uint32 }

// load returns the load that the index is told.
func (s slots) load() uint32 { return Load(uint64(s.taken), uint64(s.capacity)) }

// hardware returns one of 48 machine models as tags.
func hardware(model int) []string {
	if model < 24 {
		arch, generations := "amd64", []string{"zen2", "zen3", "zen4", "icelake", "sapphire", "cascade"}
		if model%4 == 3 {
			arch, generations = "arm64", []string{"n1", "v1", "v2", "n2", "ampere", "altra"}
		}
		return []string{"arch=" + arch, "cpu=" + generations[model/4], fmt.Sprintf("disk=%d", model%4), "os=linux"}
	}
	gpus := []string{"t4", "l4", "a10", "a100", "h100", "h200"}
	cudas := []string{"11.8", "12.1", "12.4", "12.6"}
	return []string{
		"arch=amd64", "gpu", "gpu=" + gpus[(model-24)/4], "cuda=" + cudas[model%4], "os=linux",
		[]string{"cpu=zen3", "cpu=zen4", "cpu=sapphire"}[model%3],
	}
}

// sharedTags returns the tags of a worker in a fleet with at most 48*12*2 distinct sets; some models
// and zones are much more frequent than others.
func sharedTags(rng *rand.Rand) []string {
	model := min(rng.IntN(48), rng.IntN(48))
	tags := append(hardware(model), fmt.Sprintf("zone=%d", min(rng.IntN(12), rng.IntN(12))))
	if rng.IntN(4) == 0 {
		tags = append(tags, "spot")
	}
	return tags
}

// ownTags adds four of 600 data sets to the tags, so that almost every worker has a set of its own.
func ownTags(rng *rand.Rand) []string {
	tags := sharedTags(rng)
	for range 4 {
		tags = append(tags, fmt.Sprintf("data=%d", rng.IntN(600)))
	}
	return tags
}

// drawRequirement returns the tags of a request that some workers are likely to meet.
func drawRequirement(rng *rand.Rand, i, distinct int) []string {
	tags := hardware(rng.IntN(48))
	rng.Shuffle(len(tags), func(a, b int) { tags[a], tags[b] = tags[b], tags[a] })
	tags = tags[:1+rng.IntN(2)]
	if distinct > 50 || rng.IntN(3) == 0 {
		tags = append(tags, fmt.Sprintf("zone=%d", rng.IntN(12)))
	}
	if distinct > 50 && i%2 == 0 {
		tags = append(tags, hardware(rng.IntN(48))[1])
	}
	return tags
}

// join puts workers with the given tags into an index.
func join(x *Index, workers int, tagsOf func(*rand.Rand) []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	for w := range Worker(workers) {
		if err := x.Put(w, tagsOf(rng)); err != nil {
			panic(err)
		}
	}
}

// newFleet builds a fleet at half load, each worker running tasks, with a number of distinct
// requirements that at least one worker can meet.
func newFleet(workers, distinct int, tagsOf func(*rand.Rand) []string) *fleet {
	f := &fleet{x: New(Config{CacheSize: 2 * distinct}), rng: rand.New(rand.NewPCG(3, 4))}
	join(f.x, workers, tagsOf)
	for w := range Worker(workers) {
		capacity := uint32(4 << f.rng.IntN(5))
		f.slots = append(f.slots, slots{taken: capacity / 2, capacity: capacity})
		f.running = append(f.running, w)
		f.x.SetEligible(w, true)
	}
	f.rng.Shuffle(workers, func(i, j int) { f.running[i], f.running[j] = f.running[j], f.running[i] })
	for _, w := range f.running {
		f.x.Give(w, f.slots[w].load())
	}
	f.draw(distinct)
	return f
}

// draw interns distinct requirements. When the short ones are used up it draws longer ones.
func (f *fleet) draw(distinct int) {
	seen := make(map[*Requirement]bool)
	for i := 0; len(f.requirements) < distinct; i++ {
		tags := drawRequirement(f.rng, i, distinct)
		if i > 20*distinct {
			tags = append(tags, sharedTags(f.rng)...)[:len(tags)+3]
		}
		key := []byte(strings.Join(tags, ","))
		r := f.x.Intern(key, tags)
		if !seen[r] && f.x.AnyMatch(r) {
			seen[r] = true
			f.requirements, f.keys = append(f.requirements, r), append(f.keys, key)
		}
	}
}

// place chooses a worker and takes a slot of it; false if there is none.
func (f *fleet) place(r *Requirement) (Worker, bool) {
	w, ok := f.x.Least(r)
	if ok {
		f.slots[w].taken++
		f.x.Give(w, f.slots[w].load())
	}
	return w, ok
}

// release gives a slot back.
func (f *fleet) release(w Worker) {
	f.slots[w].taken--
	f.x.SetLoad(w, f.slots[w].load())
}

// placeAndRelease places a task and releases the one that has run for longest.
func (f *fleet) placeAndRelease(r *Requirement) {
	w, ok := f.place(r)
	if !ok {
		return
	}
	f.release(f.running[f.oldest])
	f.running[f.oldest] = w
	if f.oldest++; f.oldest == len(f.running) {
		f.oldest = 0
	}
}
