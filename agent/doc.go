// Package agent is the library of worker programs: it announces a worker to a
// scheduler, reports that it lives, and keeps account of the tasks that run on
// it. Start makes an Agent, Begin takes over the lease of a task, End reports
// its outcome, Stop leaves.
//
// With a dtask:// scheduler the worker speaks leases: nothing begins that the
// scheduler did not grant, running tasks survive a broken connection and, with
// a state directory, the death of the agent. With an http:// scheduler it
// reports how many tasks run, and no more. The package sidecar offers the same to
// programs in other languages, by HTTP on the machine itself.
//
// Detect finds out what the machine has to offer.
package agent
