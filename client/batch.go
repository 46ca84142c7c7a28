package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

const (
	// taskOverhead is the most that one task of a batch takes beside its texts,
	// in bytes.
	taskOverhead = 64
	// batchBytes bounds the tasks of one batch frame.
	batchBytes = wire.MaxFrame - 1024
)

// ScheduleGang asks for places for 1 to 1,024 tasks, all or none, in one
// decision of the scheduler; with distinct no two are on the same worker. If
// one finds no place, the error is that of the first such task and no lease is
// held; tasks that held a lease before keep it. The tasks are placed in their
// order: put those that need most first. The error is that of the context if it
// ends first; leases that still come are released.
func (c *Client) ScheduleGang(ctx context.Context, tasks []Task, distinct bool) ([]*Lease, error) {
	if len(tasks) == 0 || len(tasks) > wire.MaxBatch {
		return nil, badLimit("tasks", wire.MaxBatch, fmt.Sprintf("a gang of %d tasks is not 1 to %d", len(tasks), wire.MaxBatch))
	}
	for i := range tasks {
		if err := tasks[i].Check(); err != nil {
			return nil, err
		}
		if err := tasks[i].checkGang(); err != nil {
			return nil, err
		}
	}
	b := batch{client: c, tasks: slices.Clone(tasks), results: make([]Result, len(tasks))}
	b.request.AllOrNone, b.request.Distinct, b.until = true, distinct, tasks[0].waitUntil()
	if at := b.collect(0); at < len(tasks) || len(b.picked) < len(tasks) {
		return nil, c.gangTooLarge(b.results)
	}
	err := b.send(ctx)
	if err == nil {
		err = reason(b.results)
	}
	leases := make([]*Lease, len(tasks))
	for i, r := range b.results {
		leases[i] = r.Lease
	}
	if err == nil {
		return leases, nil
	}
	for _, l := range b.fresh {
		if !l.flags.Repeat() {
			c.giveBack(l)
		}
	}
	return nil, err
}

// gangTooLarge says why not every task of a gang can be asked for.
func (c *Client) gangTooLarge(results []Result) error {
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return badLimit("tasks", batchBytes, "the gang does not fit into one frame")
}

// reason returns why a gang was not placed: the error of the first task that
// did not fail for the sake of another one; nil if none failed.
func reason(results []Result) (failed error) {
	for _, r := range results {
		if r.Err != nil && (failed == nil || errors.Is(failed, ErrAllOrNone)) {
			failed = r.Err
		}
	}
	return failed
}

// batch sends the frames of one call for many tasks.
type batch struct {
	client  *Client
	tasks   []Task
	results []Result
	picked  []int    // the tasks of the present frame
	fresh   []*Lease // what a gang was granted
	request wire.Batch
	until   time.Time // when the wait of a gang is over
}

// collect packs the tasks from the at-th on that fit into one frame, and returns
// where the next frame starts. Tasks that would spoil the frame get their error
// at once.
func (b *batch) collect(at int) int {
	b.picked, b.request.Tasks = b.picked[:0], b.request.Tasks[:0]
	for size := 0; at < len(b.tasks) && len(b.picked) < wire.MaxBatch; at++ {
		t := &b.tasks[at]
		if b.results[at].Err = t.Check(); b.results[at].Err != nil {
			continue
		}
		if b.client.book.full() {
			b.results[at].Err = errFullBook
			continue
		}
		if t.Preempt {
			continue // it is asked for alone: tasks of a batch do not wait there
		}
		var m wire.Schedule
		size += len(t.pack(&m, nil)) + t.choiceBytes() + taskOverhead
		if size > batchBytes {
			break
		}
		b.picked = append(b.picked, at)
		b.request.Tasks = append(b.request.Tasks, m)
	}
	return at
}

// send sends the collected tasks until they are answered, and those again whose
// earlier lease has just been released.
func (b *batch) send(ctx context.Context) error {
	for len(b.picked) > 0 {
		conn, err := b.client.connected(ctx)
		if err != nil {
			return err
		}
		if b.leaveOut(conn); len(b.picked) == 0 {
			return nil
		}
		if b.request.AllOrNone {
			b.request.Tasks[0].WaitMS = leftOf(b.until)
		}
		call := &placingAll{client: b.client, tasks: b.tasks, picked: b.picked, results: make([]Result, len(b.picked)), ready: make(chan struct{})}
		err = call.once(ctx, conn, &b.request)
		if b.client.again(err) {
			continue
		}
		if err != nil && !call.refused {
			return b.client.final("schedule", err)
		}
		if b.request.AllOrNone {
			b.fresh = append(b.fresh, call.fresh...)
			if refusal := reason(call.results); refusal != nil {
				err := b.client.rest(ctx, refusal, b.until)
				if err == nil {
					continue
				}
				if err != refusal {
					return err
				}
			}
		}
		if err := b.sort(ctx, call.results); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut takes the tasks out of the frame that the scheduler of this
// connection is too old for.
func (b *batch) leaveOut(conn *Conn) {
	kept := 0
	for i, at := range b.picked {
		err := conn.knows(&b.tasks[at])
		if err == nil && b.request.AllOrNone {
			err = conn.knowsField("all_or_none", "selector")
		}
		if err != nil {
			b.results[at].Err = err
			continue
		}
		b.picked[kept], b.request.Tasks[kept] = at, b.request.Tasks[i]
		kept++
	}
	b.picked, b.request.Tasks = b.picked[:kept], b.request.Tasks[:kept]
}

// sort writes the answers down and keeps the tasks that must be asked again. A
// gang is asked for as a whole: what of it has a place keeps it.
func (b *batch) sort(ctx context.Context, answers []Result) error {
	var again []int // of the frame
	var failed error
	for i, r := range answers {
		if r.Err == nil {
			r.Lease, r.Err = b.client.usable(ctx, r.Lease)
			if r.Err != nil && r.Err == ctx.Err() {
				failed = r.Err
			}
		}
		if r == (Result{}) {
			again = append(again, i)
			continue
		}
		b.results[b.picked[i]] = r
	}
	if b.request.AllOrNone && len(again) > 0 {
		return failed
	}
	for kept, i := range again {
		b.picked[kept], b.request.Tasks[kept] = b.picked[i], b.request.Tasks[i]
	}
	b.picked, b.request.Tasks = b.picked[:len(again)], b.request.Tasks[:len(again)]
	return failed
}

// placingAll is one batch frame in flight.
type placingAll struct {
	client  *Client
	tasks   []Task
	picked  []int
	ready   chan struct{} // closed when answered
	state   atomic.Int32
	results []Result
	fresh   []*Lease
	err     error
	refused bool // the whole frame was refused, and the results say so
}

// once sends the frame and waits for its answer.
func (p *placingAll) once(ctx context.Context, conn *Conn, m *wire.Batch) error {
	p.picked = slices.Clone(p.picked) // the caller's is used again
	err := conn.Start(ctx, m, p.answer)
	if err == nil {
		select {
		case <-p.ready:
			err = p.err
		case <-ctx.Done():
			p.client.leaving.add()
			if p.state.CompareAndSwap(callWaiting, callAbandoned) {
				if m.AllOrNone {
					cancelWait(conn, &p.tasks[p.picked[0]])
				}
				return ctx.Err()
			}
			p.client.leaving.done()
			<-p.ready
			err = p.err
		}
	}
	if p.client.again(err) {
		if gone := p.client.lose(ctx, conn, "schedule batch"); gone != nil {
			return gone
		}
	}
	return err
}

// answer runs on the connection's reader.
func (p *placingAll) answer(m wire.Message, err error) {
	switch m := m.(type) {
	case nil:
		p.refuse(err)
	case *wire.PlacedAll:
		p.take(m)
	default:
		p.refuse(unexpected(m))
	}
	if p.state.CompareAndSwap(callWaiting, callAnswered) {
		close(p.ready)
		return
	}
	for _, l := range p.fresh {
		p.client.giveBack(l)
	}
	p.client.leaving.done()
}

// refuse gives every task of the frame the same error, if it is one of the
// scheduler's.
func (p *placingAll) refuse(err error) {
	p.err = err
	if _, ok := err.(*wire.Error); !ok {
		return
	}
	p.refused = true
	for i, at := range p.picked {
		p.results[i].Err = explain("schedule "+p.tasks[at].ID, err)
	}
}

// take writes the placements into the book.
func (p *placingAll) take(m *wire.PlacedAll) {
	if len(m.Results) != len(p.picked) {
		p.err = refused("schedule", &wire.Error{Code: wire.CodeProtocol, Message: fmt.Sprintf("%d tasks were answered by %d results", len(p.picked), len(m.Results))})
		return
	}
	now := time.Now()
	for i := range m.Results {
		t, r := &p.tasks[p.picked[i]], &m.Results[i]
		if r.Code != wire.CodeOK {
			p.results[i].Err = refused("schedule "+t.ID, refusalOf(r, m.RetryAfterMS))
			continue
		}
		l, fresh := p.client.book.grant(t, &r.Placed, now)
		p.results[i].Lease = l
		if fresh {
			p.fresh = append(p.fresh, l)
		}
	}
}

// refusalOf is the refusal of a task of a batch. retryMS, if it is not 0, says when
// those make sense again that lack room.
func refusalOf(r *wire.BatchResult, retryMS uint32) *wire.Error {
	e := &wire.Error{Code: r.Code, Message: r.Sentence()}
	switch r.Code {
	case wire.CodeUnavailable, wire.CodeSearchLimit, wire.CodeQueueFull:
		e.RetryAfterMS = retryMS
	}
	return e
}
