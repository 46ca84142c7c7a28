package judge

import "time"

// slack is by how much answers may cross each other on their way before the
// order in which tasks got their places is judged.
const slack = time.Second

// Wait is a task that waits for room: what it needs, by number, and how much it
// matters.
type Wait struct {
	Need  int
	Class int // the greater goes first
}

// waiting is the account of one task that waits.
type waiting struct {
	Wait
	since    time.Duration
	passed   time.Duration // when a task of a lower class got a place that this one could have had; 0: never
	preempts *Need         // of one that takes the room of others, else nil
}

// line is the tasks of one need and class in the order in which they came.
// Those that are settled are dropped when they come to the front.
type line struct{ tasks []Task }

// Asked: a task has asked for a place and may wait for it. preempts is what it
// needs if it preempts tasks of lower classes, else nil.
func (j *Judge) Asked(t Task, w Wait, preempts *Need) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, asked := j.waits[t]; asked {
		return // again, on another connection
	}
	j.waits[t] = &waiting{Wait: w, since: j.now(), preempts: preempts}
	l := j.lines[w]
	if l == nil {
		l = &line{}
		j.lines[w] = l
	}
	l.tasks = append(l.tasks, t)
}

// Settled: the task was given a place, or none. It must not come long after one
// that mattered less and needed the same. Call it without judged if the
// scheduler may have forgotten its queue.
func (j *Judge) Settled(t Task, placed, judged bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, asked := j.waits[t]
	if !asked {
		return
	}
	delete(j.waits, t)
	now := j.now()
	j.settledLately(w, now)
	if judged && w.passed > 0 && now-w.passed > slack {
		j.broken(OutOfOrder, "%v, of class %d, was passed over %.3fs ago by one of a lower class that needs the same", t, w.Class, (now - w.passed).Seconds())
	}
	if !placed {
		return
	}
	for class := w.Class + 1; class <= w.Class+2; class++ {
		if first := j.first(Wait{w.Need, class}); first != nil && first.passed == 0 && now-first.since > slack {
			first.passed = now
		}
	}
}

// first returns the task of a line that waits longest, nil if none does.
func (j *Judge) first(w Wait) *waiting {
	l := j.lines[w]
	if l == nil {
		return nil
	}
	for len(l.tasks) > 0 {
		if x := j.waits[l.tasks[0]]; x != nil {
			return x
		}
		l.tasks = l.tasks[1:]
	}
	return nil
}
