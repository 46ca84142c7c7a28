package poll

import (
	"math"
	"time"
)

const (
	tick      = int64(time.Millisecond)
	wheelSize = 8192 // slots of one tick each; a power of two
)

// Alarm is what a timer wakes. What tells the timers of one receiver apart.
type Alarm interface {
	Ring(now int64, what uint64)
}

type timer struct {
	at    int64
	alarm Alarm
	what  uint64
}

// wheel holds timers in slots of one tick. A timer beyond the horizon waits in
// the last slot and is put again when its turn comes. Setting one costs an
// append; none can be taken back, so receivers recognise the stale ones.
type wheel struct {
	slots [wheelSize][]timer
	spare []timer
	done  int64 // ticks that were handled
	count int
}

// At rings the alarm at the time at, to the millisecond, or at the next round
// if that is past. The cost is about 20 ns.
func (l *Loop) At(at int64, a Alarm, what uint64) {
	l.timers.add(timer{at, a, what})
}

func (w *wheel) add(t timer) {
	slot := max((t.at+tick-1)/tick, w.done+1)
	slot = min(slot, w.done+wheelSize-1)
	i := slot & (wheelSize - 1)
	w.slots[i] = append(w.slots[i], t)
	w.count++
}

// next returns a time at which advance should run, not later than the first
// timer. It looks only as far as a loop ever sleeps.
func (w *wheel) next(now int64) int64 {
	if w.count == 0 {
		return math.MaxInt64
	}
	for i := w.done + 1; i <= w.done+int64(maxSleep)/tick; i++ {
		if len(w.slots[i&(wheelSize-1)]) > 0 {
			return i * tick
		}
	}
	return now + int64(maxSleep)
}

// advance rings all timers up to now.
func (w *wheel) advance(now int64) {
	for w.done < now/tick {
		w.done++
		i := w.done & (wheelSize - 1)
		due := w.slots[i]
		if len(due) == 0 {
			continue
		}
		w.slots[i] = w.spare[:0]
		w.count -= len(due)
		for _, t := range due {
			if t.at > now {
				w.add(t)
				continue
			}
			t.alarm.Ring(now, t.what)
		}
		clear(due)
		w.spare = due
	}
}
