package fake

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/wire"
)

// Worker is a worker of the fake. It speaks leases, and reports by itself.
type Worker struct {
	scheduler *Scheduler
	id        string

	// What follows is guarded by the scheduler's lock.
	ledger   *ledger.Ledger
	session  sched.Session // 0: not connected
	external uint32        // tasks outside any lease
	silent   bool
	gone     bool
	began    map[wire.LeaseID]wire.Handover // what runs
	told     map[wire.LeaseID]bool          // what of it is preempted
}

// WorkerOptions say what a worker has; the zero value has nothing.
type WorkerOptions struct {
	Slots     int              // how many tasks it runs at once
	Tags      []string         // such as gpu or zone=a
	Address   string           // where it takes tasks; "" means its id with ":7000"
	Resources map[string]int64 // cpu in millicores, mem in MiB, any other name as you like
	Devices   []wire.Device    // its GPUs; leases name them by their place here
}

// AddWorker registers a worker with this many slots; when it returns, tasks may
// be placed there. Its address is its id with ":7000". An id that is in use, or
// what the protocol does not allow, fails the test.
func (s *Scheduler) AddWorker(id string, slots int, tags ...string) *Worker {
	return s.AddWorkerWith(id, WorkerOptions{Slots: slots, Tags: tags})
}

// AddWorkerWith is AddWorker for a worker with resources and GPUs.
func (s *Scheduler) AddWorkerWith(id string, o WorkerOptions) *Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers[id] != nil {
		s.fatalf("the worker %s is there already", id)
		return nil
	}
	if o.Address == "" {
		o.Address = id + ":7000"
	}
	w := &Worker{scheduler: s, id: id, began: map[wire.LeaseID]wire.Handover{}, told: map[wire.LeaseID]bool{}}
	w.ledger = ledger.New(ledger.Config{
		Worker: id, Address: o.Address, Tags: slices.Clone(o.Tags), Slots: uint32(max(o.Slots, 0)), Incarnation: incarnation(),
		Resources: maps.Clone(o.Resources), Devices: slices.Clone(o.Devices),
	})
	s.workers[id] = w
	s.order = append(s.order, w)
	w.connect()
	if !w.ledger.Connected() {
		s.fatalf("the scheduler refused the worker %s", id)
	}
	return w
}

// Worker returns a worker by its id, nil if there is none.
func (s *Scheduler) Worker(id string) *Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers[id]
}

// incarnation draws a number other than 0.
func incarnation() uint64 { return rand.Uint64() | 1 }

// ID returns the worker's id.
func (w *Worker) ID() string { return w.id }

// Begin is what the program on the worker does with a handover: the task of the
// lease runs from now on. Its errors are those of a real worker: the lease was
// asked back, was granted on another worker or by another scheduler, or there is
// no slot.
func (w *Worker) Begin(h wire.Handover) error {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	m, err := w.ledger.Begin(&h, "")
	if err != nil {
		if refused := w.ledger.Refused(); refused != nil {
			w.send(refused)
		}
		return err
	}
	w.began[h.Lease] = h
	if m != nil {
		w.send(m)
	}
	return nil
}

// End reports that the task of a lease is over; outcome is wire.ReasonOK,
// ReasonFailed, ReasonRefused or ReasonLost.
func (w *Worker) End(id wire.LeaseID, outcome wire.Reason) error {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	return w.end(id, outcome)
}

// end is End; the lock is held.
func (w *Worker) end(id wire.LeaseID, outcome wire.Reason) error {
	m, err := w.ledger.End(id, outcome)
	if err != nil {
		return err
	}
	delete(w.began, id)
	delete(w.told, id)
	if m != nil {
		w.send(m)
		w.ledger.Ended(id)
	}
	return nil
}

// Preempted reports whether a task that runs on the worker is preempted. It should End within the grace; then it is killed, and ends as lost.
func (w *Worker) Preempted(id wire.LeaseID) bool {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	return w.told[id]
}

// Running returns what runs on the worker, in no particular order.
func (w *Worker) Running() []wire.Handover {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	var all []wire.Handover
	for _, h := range w.began {
		all = append(all, h)
	}
	return all
}

// SetExternal makes the worker report tasks that run outside any lease.
func (w *Worker) SetExternal(tasks int) {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	w.external = uint32(max(tasks, 0))
	w.report()
}

// Silence makes the worker unreachable: its connection breaks, so that it gets
// nothing new, and it reports nothing until Speak. What runs there goes on.
func (w *Worker) Silence() {
	s := w.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	w.silent = true
	w.hangUp()
}

// Speak ends the silence: the worker registers again, with what it runs.
func (w *Worker) Speak() {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	if w.silent && !w.gone {
		w.silent = false
		w.connect()
	}
}

// Crash ends the program on the worker and starts it again: what ran there is
// lost, and reported so.
func (w *Worker) Crash() {
	s := w.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	w.hangUp()
	for id := range w.began {
		_, _ = w.ledger.End(id, wire.ReasonLost) // it runs, and lost is an outcome
	}
	clear(w.began)
	clear(w.told)
	w.ledger.Superseded(incarnation())
	if !w.silent && !w.gone {
		w.connect()
	}
}

// Remove takes the worker out of the fleet; its leases end as lost.
func (w *Worker) Remove() {
	s := w.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := w.ledger.Deregister(); m != nil {
		w.send(m)
	}
	w.hangUp()
	w.silent, w.gone = true, true
	delete(s.workers, w.id)
	s.order = slices.DeleteFunc(s.order, func(o *Worker) bool { return o == w })
}

// connect opens a session and registers, if the scheduler is up.
func (w *Worker) connect() {
	s := w.scheduler
	if s.down {
		return
	}
	s.sessions++
	w.session = s.sessions
	s.bySess[w.session] = w
	w.send(&wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.Version, Role: wire.RoleAgent, Client: w.id})
	w.send(w.ledger.Register())
}

// hangUp ends the session.
func (w *Worker) hangUp() {
	s := w.scheduler
	if w.session == 0 {
		return
	}
	delete(s.bySess, w.session)
	s.out.Reset()
	s.state.Close(s.now, w.session, &s.out)
	w.session = 0
	w.ledger.Disconnected()
	s.route()
}

// report sends a heartbeat.
func (w *Worker) report() {
	if w.session == 0 {
		return
	}
	if m := w.ledger.Heartbeat(w.external); m != nil {
		w.send(m)
	}
}

// send hands a report to the scheduler as it would travel, so that what the
// protocol does not allow is noticed. What answers it comes back by receive.
func (w *Worker) send(m wire.Message) {
	if w.session == 0 {
		return
	}
	s := w.scheduler
	s.frame = wire.Append(s.frame[:0], 1, m)
	const head = 4 // bytes of length
	read, request, err := s.decoder.Decode(s.frame[head:])
	if err != nil {
		s.fatalf("worker %s: %v", w.id, err)
		return
	}
	s.apply(w.session, request, read)
}

// receive takes a message of the scheduler.
func (w *Worker) receive(m wire.Message) {
	switch m := m.(type) {
	case *wire.Registered:
		answers, ok := w.ledger.Registered(m)
		if !ok {
			w.hangUp()
			return
		}
		for _, a := range answers {
			w.send(a)
		}
	case *wire.Revoke:
		if a := w.ledger.Revoke(m.Lease); a != nil {
			w.send(a)
		}
	case *wire.Preempt:
		if _, runs := w.began[m.Lease]; !runs {
			return
		}
		if w.told[m.Lease] = true; m.GraceMS == 0 {
			_ = w.end(m.Lease, wire.ReasonLost) // it runs, and lost is an outcome
		}
	case *wire.Superseded:
		w.ledger.Superseded(incarnation())
		w.hangUp()
		w.connect()
	}
}
