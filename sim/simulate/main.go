// Simulate runs seed after seed of the simulator until the time is over or a
// seed fails, and says how often each fault was hit.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dtask/dtask-scheduler/sim"
	"github.com/dtask/dtask-scheduler/sim/fault"
)

func main() {
	seed := flag.Uint64("seed", 0, "run this one `seed`; 0: those from 1 on")
	seeds := flag.Int("seeds", 0, "run so many seeds; 0: as many as the time allows")
	limit := flag.Duration("for", time.Minute, "stop after this time")
	trace := flag.Bool("trace", false, "print everything that happens")
	flag.Parse()
	var out io.Writer
	if *trace {
		out = os.Stdout
	}
	first, last := uint64(1), uint64(*seeds)
	if *seed != 0 {
		first, last = *seed, *seed+uint64(max(*seeds, 1))-1
	}
	if err := simulate(first, last, *limit, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// twiceEvery is how many seeds lie between two that run twice.
const twiceEvery = 100

// simulate runs the seeds from first to last, or without end if last is 0.
func simulate(first, last uint64, limit time.Duration, out io.Writer) error {
	start := time.Now()
	var total sim.Result
	runs := 0
	for seed := first; (last == 0 || seed <= last) && (time.Since(start) < limit || runs == 0); seed++ {
		r, err := sim.Run(seed, out)
		if err == nil && seed%twiceEvery == 0 {
			err = again(seed, r)
		}
		total.Add(&r)
		runs++
		if err != nil {
			report(runs, &total, time.Since(start))
			return fmt.Errorf("%w\nrepeat it with: go run ./sim/simulate -seed %d -trace", err, seed)
		}
	}
	report(runs, &total, time.Since(start))
	return nil
}

// again runs a seed a second time: the two must be the same.
func again(seed uint64, first sim.Result) error {
	second, err := sim.Run(seed, nil)
	if err == nil && second.Hash != first.Hash {
		err = fmt.Errorf("seed %d ran twice and differs: %x, %x", seed, first.Hash, second.Hash)
	}
	return err
}

// report prints what was simulated.
func report(runs int, r *sim.Result, took time.Duration) {
	fmt.Printf("%d seeds, %d events (%.0f/s), %d leases, %d tasks begun, %v of virtual time\n",
		runs, r.Events, float64(r.Events)/took.Seconds(), r.Granted, r.Begun, (time.Duration(r.Virtual) * time.Millisecond).Round(time.Second))
	for f, n := range r.Faults {
		fmt.Printf("  %-20s %d\n", fault.Kind(f), n)
	}
}
