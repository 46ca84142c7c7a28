package client

import (
	"fmt"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// This file is what a task says of preemption, by it and of it.

// OnPreempt says what becomes of a task when another of a higher priority wants
// its room. A drain that has waited long enough preempts all tasks but those
// on workers that speak HTTP, whatever they say.
type OnPreempt = wire.OnPreempt

// What becomes of a task that is preempted.
const (
	OnPreemptDefault = wire.OnPreemptDefault // it ends if its own priority is below 0, else it is never preempted
	OnPreemptEnd     = wire.OnPreemptEnd     // it ends
	OnPreemptRequeue = wire.OnPreemptRequeue // it ends, and waits again at its old place: see Client.Requeued
	OnPreemptNever   = wire.OnPreemptNever   // it is never preempted
)

// graceLimit names, among the limits of hello_ok, how long a task that must make
// room may go on, in milliseconds. Schedulers that know no preemption have none.
const graceLimit = "grace_ms"

// grace returns how long the scheduler lets a preempted task go on.
func (c *Conn) grace() time.Duration {
	return time.Duration(c.welcome.Limits[graceLimit]) * time.Millisecond
}

// waitsOut returns an error if a task that preempts does not wait as long as the
// grace of its victims.
func (t *Task) waitsOut(grace time.Duration) error {
	if !t.Preempt || t.Wait >= grace {
		return nil
	}
	return badLimit("wait_ms", uint64(grace/time.Millisecond),
		fmt.Sprintf("the wait %v is less than the grace of %v that this scheduler gives preempted tasks", t.Wait, grace))
}

// Preempted returns a channel that is closed when the scheduler
// preempts the task: it must end within Grace. Its worker gets the notice as
// well and kills it after that, so a program may leave all of this to the worker.
//
// Of a task with OnPreemptRequeue the client hears in any case; of others only
// if Preempted was called before the notice, so call it before the task begins.
// A notice that is sent while there is no connection is not heard.
func (l *Lease) Preempted() <-chan struct{} { return l.book.preemptedSignal(l) }

// Grace returns how long a preempted task may go on; 0 for others, and when the
// time is over.
func (l *Lease) Grace() time.Duration { return l.book.graceOf(l) }
