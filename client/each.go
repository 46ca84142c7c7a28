package client

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"
)

// maxWaits is how many tasks of one ScheduleEach wait for room at once; further
// ones come when some of these are answered.
const maxWaits = 1024

// Result is the answer for one of many tasks: a lease, or why there is none.
type Result struct {
	Lease *Lease
	Err   error
}

// ScheduleEach asks for places for many tasks, up to 1,024 in one frame, and
// yields one result for each as soon as it is settled, with the task's place in
// tasks. Each task is judged for itself, under the rules of Schedule. Those that
// wait for room enter the queue in their order.
//
// Until a lease is yielded the client keeps it alive: TTL and StartWithin count
// from then on. One that is over all the same, because the scheduler has lost it
// or could not be reached in time, is asked for again if its task may still
// wait, and else it is a failure: what is yielded can be begun. Leases with a
// TTL are renewed until the loop ends.
//
// If the loop is left early, tasks that wait are taken out of the queue and
// leases that were not yielded are released. If the context ends, tasks that
// were not answered have its error as their result.
func (c *Client) ScheduleEach(ctx context.Context, tasks []Task) iter.Seq2[int, Result] {
	return func(yield func(int, Result) bool) {
		e := c.startEach(ctx, tasks)
		defer e.end()
		for left := len(tasks); left > 0; {
			if len(e.ready) == 0 {
				e.await(1)
			}
			if e.stale(&e.ready[0]) {
				e.confirm()
			}
			s := e.ready[0]
			e.ready = e.ready[1:]
			if e.askAgain(s.task) {
				continue
			}
			left--
			if !yield(s.task, e.deliver(s.task)) {
				return
			}
		}
	}
}

// ScheduleAll is ScheduleEach that returns when every task is settled: one
// result for each, in order. The error is that of the context or of Close; tasks
// that were not answered then have it as their result.
//
// The places that the first tasks got stay empty until the last one has its own:
// where tasks wait, ScheduleEach makes better use of them.
func (c *Client) ScheduleAll(ctx context.Context, tasks []Task) ([]Result, error) {
	e := c.startEach(ctx, tasks)
	defer e.end()
	for len(e.ready) < len(tasks) {
		e.await(len(tasks) - len(e.ready))
		if slices.ContainsFunc(e.ready, func(s settled) bool { return e.stale(&s) }) {
			e.confirm()
		}
		e.ready = slices.DeleteFunc(e.ready, func(s settled) bool { return e.askAgain(s.task) })
	}
	for _, s := range e.ready {
		e.deliver(s.task)
	}
	e.ready = nil
	return e.results, e.why()
}

// each is one call of ScheduleEach or ScheduleAll.
type each struct {
	client *Client
	ctx    context.Context // of the caller; ends with the call
	stop   context.CancelFunc
	life   context.Context // ends with the call alone
	over   context.CancelFunc
	all    sync.WaitGroup // everything that runs for the call
	slots  chan struct{}  // one for each task that waits
	done   chan settled
	tasks  []Task

	// Of one task these belong to what asks for it until it is settled, and to
	// the caller from then on.
	results []Result
	until   []time.Time // when its wait is over; zero before it began

	ready []settled // The caller's: settled, and not delivered.

	mu     sync.Mutex // Guards what follows.
	kept   []*Lease   // those with a TTL
	failed error      // why tasks were not answered
}

// settled is a task whose result is known.
type settled struct {
	task int
	on   *Conn // the connection on which its lease was last known to live
}

func (c *Client) startEach(ctx context.Context, tasks []Task) *each {
	n := len(tasks)
	e := &each{
		client: c, slots: make(chan struct{}, maxWaits), done: make(chan settled, n),
		// The answer of a frame may come after the caller has gone away.
		tasks: slices.Clone(tasks), results: make([]Result, n), until: make([]time.Time, n),
	}
	e.ctx, e.stop = context.WithCancel(ctx)
	e.life, e.over = context.WithCancel(context.WithoutCancel(ctx))
	e.all.Go(e.ask)
	if ttl := shortestTTL(e.tasks); ttl > 0 {
		e.all.Go(func() { e.keep(ttl) })
	}
	return e
}

// end gives back what was not delivered.
func (e *each) end() {
	e.stop()
	e.over()
	e.all.Wait()
	e.drain()
	for _, s := range e.ready {
		l := e.results[s.task].Lease
		if l == nil {
			continue
		}
		e.client.book.letGo(l, time.Now())
		if !l.flags.Repeat() {
			e.client.giveBack(l)
		}
	}
}

// ask asks for all tasks, and then for those that found no room and may wait,
// each for itself. So it does for those that preempt, which a batch cannot carry.
func (e *each) ask() {
	var wait []int
	b := batch{client: e.client, tasks: e.tasks, results: e.results}
	for at := 0; at < len(e.tasks); {
		from := at
		at = b.collect(at)
		err := b.send(e.ctx)
		for i := from; i < at; i++ {
			switch {
			case err != nil && e.results[i] == (Result{}):
				e.fail(i, err)
			case err == nil && e.mayWait(i):
				wait = append(wait, i)
			default:
				e.settle(i)
			}
		}
		if err != nil {
			for ; at < len(e.tasks); at++ {
				e.fail(at, err)
			}
		}
	}
	for _, i := range wait {
		e.wait(i)
	}
}

// mayWait reports whether a task that has no place may get one when it waits.
func (e *each) mayWait(i int) bool {
	t, r := &e.tasks[i], &e.results[i]
	return t.Preempt && *r == (Result{}) || t.Wait > 0 && findsRoomLater(r.Err)
}

// wait has a task wait for room. It returns when the scheduler was asked, so
// that tasks enter the queue in the order of the calls.
func (e *each) wait(i int) {
	select {
	case e.slots <- struct{}{}:
	case <-e.ctx.Done():
		e.fail(i, e.ctx.Err())
		return
	}
	t, now := e.tasks[i], time.Now()
	if e.until[i].IsZero() {
		e.until[i] = now.Add(t.Wait)
	}
	t.Wait = max(e.until[i].Sub(now), time.Millisecond)
	asked := make(chan struct{})
	var once sync.Once
	tell := func() { once.Do(func() { close(asked) }) }
	e.all.Go(func() {
		l, err := e.client.schedule(e.ctx, t, tell)
		tell()
		<-e.slots
		if err != nil && (err == e.ctx.Err() || errors.Is(err, ErrClosed)) {
			e.fail(i, err)
			return
		}
		e.results[i] = Result{l, err}
		e.settle(i)
	})
	<-asked
}

// settle passes a result on. The call holds its lease until it is delivered.
func (e *each) settle(i int) {
	s := settled{task: i}
	if l := e.results[i].Lease; l != nil {
		s.on = e.client.conn.Load()
		e.client.book.hold(l)
		if l.ttl > 0 {
			e.mu.Lock()
			e.kept = append(e.kept, l)
			e.mu.Unlock()
		}
	}
	e.done <- s
}

// fail settles a task that was not answered.
func (e *each) fail(i int, err error) {
	e.mu.Lock()
	if e.failed == nil {
		e.failed = err
	}
	e.mu.Unlock()
	e.results[i] = Result{Err: err}
	e.done <- settled{task: i}
}

// why returns why tasks were not answered, nil if all were.
func (e *each) why() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// await waits until so many more tasks are settled.
func (e *each) await(n int) {
	for range n {
		e.ready = append(e.ready, <-e.done)
	}
	e.drain()
}

// drain takes what is settled already.
func (e *each) drain() {
	for {
		select {
		case s := <-e.done:
			e.ready = append(e.ready, s)
		default:
			return
		}
	}
}

// deliver gives the result of a task to the caller.
func (e *each) deliver(i int) Result {
	if l := e.results[i].Lease; l != nil {
		e.client.book.letGo(l, time.Now())
	}
	return e.results[i]
}

// askAgain looks whether the lease of a task is over before the caller has it.
// If so the task is asked for again, as long as it may wait; otherwise it has
// failed.
func (e *each) askAgain(i int) bool {
	r := &e.results[i]
	if r.Lease == nil {
		return false
	}
	err, give := e.client.book.over(r.Lease, time.Now())
	if err == nil {
		return false
	}
	if give {
		e.client.sendRelease(r.Lease)
	}
	e.client.book.letGo(r.Lease, time.Now())
	*r = Result{Err: err}
	if e.tasks[i].Wait == 0 || e.ctx.Err() != nil || !e.until[i].IsZero() && !time.Now().Before(e.until[i]) {
		return false
	}
	e.all.Go(func() { e.wait(i) })
	return true
}
