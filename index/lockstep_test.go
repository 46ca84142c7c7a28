package index

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	seedFlag  = flag.Uint64("index.seed", 0, "seed of the random runs; 0 draws one")
	stepsFlag = flag.Int("index.steps", 6000, "steps of each random run")
)

// random returns a source of choices and prints the seed that repeats them.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./index -run '%s' -index.seed=%d -index.steps=%d", t.Name(), seed, *stepsFlag)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestRandomRunsEqualTheTwin drives fleets of several shapes: few workers with many collisions, one
// tag set for everybody, and a tag set for almost every worker, over several groups of the layout.
func TestRandomRunsEqualTheTwin(t *testing.T) {
	shapes := []struct {
		name                 string
		workers, tags, carry int
	}{
		{"small", 12, 6, 3},
		{"shared", 150, 4, 1},
		{"distinct", 700, 24, 6},
	}
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			rng := random(t)
			p := newPair(t, func(_ string, n int) int { return rng.IntN(n) }, s.workers, s.tags, s.carry)
			for range s.workers {
				p.put()
			}
			for i := range *stepsFlag {
				p.step()
				if i%100 == 0 {
					p.check()
				}
			}
			p.check()
		})
	}
}

// TestStateMachineEqualsTheTwin lets rapid look for a short sequence of calls that breaks the law.
func TestStateMachineEqualsTheTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		choose := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		p := newPair(t, choose, 20, 6, 4)
		t.Repeat(map[string]func(*rapid.T){
			"put":      func(*rapid.T) { p.put() },
			"remove":   func(*rapid.T) { p.remove() },
			"load":     func(*rapid.T) { p.setLoad() },
			"give":     func(*rapid.T) { p.give() },
			"undo":     func(*rapid.T) { p.undo() },
			"eligible": func(*rapid.T) { p.setEligible() },
			"ask":      func(*rapid.T) { p.ask() },
			"":         func(*rapid.T) { p.check() },
		})
	})
}

// FuzzIndexEqualsTheTwin reads the calls from bytes.
func FuzzIndexEqualsTheTwin(f *testing.F) {
	f.Add([]byte("a worker joins, another joins, and both are asked for"))
	f.Add([]byte{0, 1, 2, 3, 1, 4, 5, 1, 0, 1, 1, 6, 1, 0, 0, 1, 3, 2, 1, 8, 9, 7, 2, 1, 5, 5, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		choose := func(_ string, n int) int {
			if len(data) == 0 {
				return 0
			}
			c := int(data[0]) % n
			data = data[1:]
			return c
		}
		p := newPair(t, choose, 20, 8, 5)
		for range 400 {
			if len(data) == 0 {
				break
			}
			p.step()
			p.check()
		}
	})
}
