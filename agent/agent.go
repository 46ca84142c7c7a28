package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/agent/ledger"
	"github.com/dtask/dtask-scheduler/wire"
)

// Why a begin or an end fails; errors.Is finds them.
var (
	ErrNotPromised    = ledger.ErrNotPromised
	ErrOtherWorker    = ledger.ErrOtherWorker
	ErrOldIncarnation = ledger.ErrOldIncarnation
	ErrOtherInstance  = ledger.ErrOtherInstance
	ErrEnded          = ledger.ErrEnded
	ErrFull           = ledger.ErrFull
	ErrOtherCaller    = ledger.ErrOtherCaller
	ErrMemoryFull     = ledger.ErrMemoryFull
	ErrNotRunning     = ledger.ErrNotRunning
	ErrOutcome        = ledger.ErrOutcome

	// ErrStopped says that the agent has been stopped.
	ErrStopped = errors.New("agent: stopped")
	// ErrNotStored says that a begin could not be written to the state directory:
	// the task must not run, and nothing else begins until the agent is restarted.
	ErrNotStored = errors.New("agent: the begin is not on disk")
	// ErrTasksRemain says that the worker was not deregistered because tasks in
	// other processes go on; the next agent with the same state directory takes
	// them over.
	ErrTasksRemain = errors.New("agent: tasks go on")
)

// watchInterval is how often processes and keep-alives are looked at.
const watchInterval = time.Second

// Agent speaks for one worker. Its methods are safe for concurrent use.
type Agent struct {
	cfg  Config
	log  *slog.Logger
	side side

	cancel context.CancelFunc
	wg     sync.WaitGroup

	poked    chan struct{} // has watch look at the tasks now
	reaping  sync.Mutex    // Allows one look at the processes at a time; taken before mu.
	blind    bool          // guarded by reaping: the last look failed, which was logged
	nextLook time.Duration // guarded by reaping: when the next look that nothing calls for is due

	mu       sync.Mutex // Guards what follows and what side keeps; never held around network I/O.
	tasks    map[key]*Task
	draining bool // nothing new is wanted
	stopped  bool
}

// side is how the agent reports to its kind of scheduler. begin, end, status,
// drain and drained are called with the agent's lock held, the others without.
type side interface {
	// run reports until the context ends.
	run(ctx context.Context)
	// begin takes a task in and returns what settle needs.
	begin(h *wire.Handover, w *watch) (mark uint64, err error)
	// settle returns when the begin is on disk.
	settle(mark uint64) error
	// end gives a task up.
	end(k key, outcome wire.Reason) error
	status(s *Status)
	// drain asks the scheduler for nothing new.
	drain()
	// drained reports whether it is known to have nothing left for the worker.
	drained() bool
	// leave tells the scheduler: that the worker is gone, or what it has not
	// heard yet if tasks remain.
	leave(ctx context.Context, remain bool)
	// close frees what is left after run has returned.
	close() error
}

// Status is what an agent can tell about itself.
type Status struct {
	Connected      bool          // the scheduler knows the worker and may place tasks
	Scheduler      string        // the address, or base URL; "" while there is no connection
	HeartbeatBy    string        // how heartbeats travel now: ByTCP, ByUDP or ByHTTP
	Interval       time.Duration // between heartbeats; 0 while there is no connection
	LastContact    time.Time     // when the scheduler was last heard; zero: never
	Grantor        wire.Grantor  // whose leases are accepted; zero with http://
	Incarnation    uint64        // 0 with http://
	Draining       bool          // the worker is out of service, by Drain
	Running        int           // tasks begun and not ended
	Unacknowledged int           // ends that the scheduler has not acknowledged
	Refused        int           // begins refused for lack of a slot
	LastError      string        // why the last connection or heartbeat failed; "" while connected
}

// Start announces the worker and goes on reporting until Stop. It does not wait
// for the scheduler. The context bounds the agent's life: when it ends the agent
// falls silent without leaving; use Stop to leave.
func Start(ctx context.Context, cfg Config) (*Agent, error) {
	if err := cfg.Verify(); err != nil {
		return nil, err
	}
	p, err := parseScheduler(cfg.Scheduler)
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, log: cfg.Logger, tasks: make(map[key]*Task), poked: make(chan struct{}, 1)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.cfg.dial == nil {
		a.cfg.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if a.cfg.backoff == nil {
		a.cfg.backoff = backoff
	}
	if w := cfg.addressWarning(p); w != "" {
		a.log.Warn("clients may not reach this worker", "result", w)
	}
	if p.base != "" {
		a.cfg.TasksDieWithAgent = true
		a.cfg.Devices, a.cfg.VisibleDevices = nil, nil // no lease names any
		a.side = newGateway(a, p.base)
	} else if a.side, err = newNative(a, p.addrs); err != nil {
		return nil, err
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.wg.Go(func() { a.side.run(ctx) })
	a.wg.Go(func() { a.watch(ctx) })
	return a, nil
}

// Begin takes over the task of a lease. When it returns without an error the
// task may run: the lease is the worker's, on disk if there is a state
// directory. A caller that asks again with its token gets the task that runs,
// watched as it now says.
func (a *Agent) Begin(h wire.Handover, c Caller) (*Task, error) {
	w, err := c.watch()
	if err != nil {
		return nil, err
	}
	t, fresh, mark, err := a.begin(h, w)
	if err != nil {
		return nil, err
	}
	if err := a.side.settle(mark); err != nil {
		a.log.Error("a begin could not be stored", "task", h.Task, "error", err)
		if fresh {
			_ = t.Leave(wire.ReasonRefused) // the caller does not start it
		}
		return nil, fmt.Errorf("%w: %w", ErrNotStored, err)
	}
	return t, nil
}

// begin takes the task in; fresh says that it did not run before, mark is what
// settle waits for.
func (a *Agent) begin(h wire.Handover, w watch) (t *Task, fresh bool, mark uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, false, 0, ErrStopped
	}
	old := a.tasks[keyOf(&h)]
	if fresh = old == nil; !fresh {
		if old.ending != wire.ReasonNone {
			return nil, false, 0, ErrEnded
		}
		w.Begun = old.watch.Begun
	}
	if mark, err = a.side.begin(&h, &w); err != nil {
		return nil, false, 0, err
	}
	return a.add(h, w), fresh, mark, nil
}

// add notes a task that runs, or returns the one that does; the lock is held.
func (a *Agent) add(h wire.Handover, w watch) *Task {
	k := keyOf(&h)
	t := a.tasks[k]
	if t == nil {
		t = &Task{agent: a, handover: h, over: make(chan struct{}), preempted: make(chan struct{}), killed: make(chan struct{})}
		a.tasks[k] = t
	}
	if t.tree == nil || t.tree.root != w.process {
		t.tree = newTree(&w)
	}
	t.watch, t.deadline = w, time.Time{}
	t.touch(time.Now())
	return t
}

// End reports the outcome of the task of a lease; see Task.End.
func (a *Agent) End(lease wire.LeaseID, outcome wire.Reason) error {
	return a.endWhole(key{lease: lease}, outcome)
}

// end gives a task and its lease up; the lock is held.
func (a *Agent) end(k key, outcome wire.Reason) error {
	if !outcome.IsOutcome() {
		return ErrOutcome
	}
	t := a.tasks[k]
	if t == nil {
		return ErrNotRunning
	}
	if err := a.side.end(k, outcome); err != nil {
		return err
	}
	delete(a.tasks, k)
	close(t.over)
	return nil
}

// Tasks returns the tasks that run, those of an earlier agent among them.
func (a *Agent) Tasks() []*Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	tasks := make([]*Task, 0, len(a.tasks))
	for _, t := range a.tasks {
		tasks = append(tasks, t)
	}
	return tasks
}

// Find returns the task of a lease that runs, nil if none does. An HTTP
// scheduler may have placed a task without a lease: it is found by its task id,
// with a zero lease.
func (a *Agent) Find(lease wire.LeaseID, task string) *Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tasks[keyOf(&wire.Handover{Lease: lease, Task: task})]
}

// Config returns what the agent was started with.
func (a *Agent) Config() Config { return a.cfg }

// Status returns where the agent stands.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{Running: len(a.tasks), Draining: a.draining}
	a.side.status(&s)
	return s
}

// Stop leaves. Tasks inside this process are reported as lost; with
// TasksDieWithAgent those in other processes as well, which are ended first. The
// worker is deregistered, unless tasks in other processes go on: then Stop leaves it
// registered and returns an error that is ErrTasksRemain. The context bounds how
// long the scheduler is waited for.
func (a *Agent) Stop(ctx context.Context) error {
	a.mu.Lock()
	if a.stopped {
		a.mu.Unlock()
		return ErrStopped
	}
	a.stopped = true
	a.mu.Unlock()
	deadline, bounded := ctx.Deadline()
	before := time.Now()
	a.endAll()
	if bounded { // the time for the scheduler is not spent on the tasks
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(time.Since(before)))
		defer cancel()
	}
	a.mu.Lock()
	remain := len(a.tasks)
	a.mu.Unlock()

	a.side.leave(ctx, remain > 0)
	a.cancel()
	a.wg.Wait()
	if err := a.side.close(); err != nil {
		return err
	}
	if remain > 0 {
		return fmt.Errorf("%w: %d of worker %s", ErrTasksRemain, remain, a.cfg.Worker)
	}
	return nil
}

// external returns the load outside any lease.
func (a *Agent) external() uint32 {
	if a.cfg.External == nil {
		return 0
	}
	return a.cfg.External()
}
