// Package fake is a scheduler in memory, for tests of programs that use the
// client library. It is the scheduler's own core behind a pipe, with workers
// that keep the worker's own accounts, so it places, refuses, asks back and
// forgets exactly as the real one does. It opens no port.
//
//	s := fake.New(t)
//	s.AddWorker("w1", 2, "ssd")
//	c := s.Dial()
//	lease, err := c.Schedule(ctx, client.Task{ID: "t1", Tags: []string{"ssd"}})
//
// AddWorkerWith adds a worker with resources and GPUs; selectors, policies and
// gangs work as they do in the real scheduler.
//
// Its clock stands still: nothing expires by itself. Advance lets time pass at
// once. Workers report all the while unless they are silent; clients renew in
// real time, so to the scheduler they were silent while time was advanced, and
// leases that have not begun are asked back when their TTL is over. A task that
// preempts chooses its victims when time is advanced, by a millisecond at least.
package fake
