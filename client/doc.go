// Package client is the Go library of dtask-scheduler: it asks a scheduler for
// places for tasks and keeps what it was given.
//
// Dial returns a Client. Schedule asks for a place and returns a Lease: the room
// is taken, on the worker that the lease names. The client renews the lease
// until its task has begun there. The program hands the task to the worker
// itself, together with Lease.Hand; the scheduler never sees the task's data.
// From the begin on the worker owns the lease and ends it.
//
//	       Schedule
//	          |
//	          v       Release, or the caller is gone
//	+----- granted ---------------------------------> released
//	|         |  \
//	|  Hand,  |   \  not begun within StartWithin, asked back,
//	|  begin  |    \ or the scheduler forgot it
//	|         v     +-------------------------------> lost
//	|       begun
//	|         |  the worker reports the end
//	|         v
//	+------ ended
//
// A task with OnPreemptRequeue that is preempted waits again when its lease
// has ended: Client.Requeued waits for the end, and returns the next lease.
//
// A Client keeps one connection for all goroutines. It reconnects by itself and
// repeats what was not answered: Schedule is idempotent by client and task id,
// and a release that arrives twice changes nothing. Calls wait for a connection
// as long as their context allows, so give them one that ends.
//
// Conn is the layer below, for programs that speak the protocol themselves.
// Package client/fake is a scheduler in memory for tests, package client/httpapi
// a thin client of the HTTP API. docs/client.md is the guide: it says for each
// call when it is repeated.
package client
