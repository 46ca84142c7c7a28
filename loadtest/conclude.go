package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/judge"
	"github.com/dtask/dtask-scheduler/wire"
)

// listWindow is how many workers' lists are asked for at once.
const listWindow = 256

// drainBatch workers end their tasks in each millisecond.
const drainBatch = 64

// conclude is the second half of the judgement: everything settles, the
// scheduler's lists are compared with the workers', all tasks end, and the
// slots come back. The error is set only if the context has ended.
func (r *run) conclude(ctx context.Context) error {
	for _, part := range []func(context.Context) error{r.settle, r.agree, r.drain, r.quit, r.listen} {
		if err := part(ctx); err != nil && !errors.Is(err, errTime) {
			return err
		}
	}
	return nil
}

// settle waits until every job has come to its end and every worker is back.
func (r *run) settle(ctx context.Context) error {
	var jobs, away int
	err := r.wait(ctx, settleLimit, func() bool {
		jobs, away = r.jobs(), 0
		r.each(func(s *shard) {
			for _, w := range s.workers {
				if w.stage != stageReady {
					away++
				}
			}
			s.pausing = true
		})
		return jobs == 0 && away == 0
	})
	if errors.Is(err, errTime) {
		r.judge.Broken(judge.Unanswered, "%d jobs did not come to an end in %v, %d workers could not come back", jobs, settleLimit, away)
	}
	return err
}

// jobs returns how many jobs are not over.
func (r *run) jobs() (n int) {
	r.each(func(s *shard) { n += s.living })
	return n
}

// agree asks for the list of every worker until each is what the worker runs.
// No task begins or ends meanwhile; reports may still be on their way.
func (r *run) agree(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, agreeLimit)
	defer cancel()
	var open []int
	for i := range r.fleet {
		if r.fleet[i].over != HTTP { // of those nothing exact is known
			open = append(open, i)
		}
	}
	var differences []string
	err := r.wait(bounded, agreeLimit, func() bool {
		open, differences = r.compare(bounded, open)
		return len(open) == 0
	})
	if err == nil || bounded.Err() == nil || ctx.Err() != nil {
		return err
	}
	for _, d := range differences {
		r.judge.Broken(judge.Forgotten, "%s", d)
	}
	if n := len(open) - len(differences); n > 0 {
		r.judge.Broken(judge.Unanswered, "the lists of %d workers were not answered in %v", n, agreeLimit)
	}
	return nil
}

// compare asks for the lists of some workers and returns those that differ, and
// how, and those that are not known when the context ends.
func (r *run) compare(ctx context.Context, which []int) (open []int, differences []string) {
	for len(which) > 0 {
		some := which[:min(listWindow, len(which))]
		found, told := r.compareSome(ctx, some)
		open, differences = append(open, found...), append(differences, told...)
		which = which[len(some):]
	}
	return open, differences
}

func (r *run) compareSome(ctx context.Context, which []int) (open []int, differences []string) {
	verdicts := make([]chan string, len(which))
	for n, i := range which {
		verdicts[n] = make(chan string, 1)
		r.ask(i, &wire.GetWorker{ID: r.fleet[i].id}, func(m wire.Message) { verdicts[n] <- r.differs(i, m) })
	}
	for n, i := range which {
		select {
		case difference := <-verdicts[n]:
			if difference != "" {
				open, differences = append(open, i), append(differences, difference)
			}
		case <-ctx.Done():
			open = append(open, i)
		}
	}
	return open, differences
}

func (r *run) differs(i int, m wire.Message) string {
	switch m := m.(type) {
	case *wire.Worker:
		return r.judge.Agrees(i, m.Leases)
	case *wire.Error:
		return fmt.Sprintf("the list of %s was refused: %v", r.fleet[i].id, m)
	}
	return fmt.Sprintf("the list of %s was answered with %v", r.fleet[i].id, m.Kind())
}

// ask sends one request of the run itself, over some client. done runs on that
// client's loop.
func (r *run) ask(turn int, m wire.Message, done func(m wire.Message)) {
	s := r.shards[turn%len(r.shards)]
	s.loop.Post(func() {
		c := s.clients[turn/len(r.shards)%len(s.clients)]
		c.send(s.loop.Now(), call{request: m, done: done, step: stepOther})
	})
}

// drain ends all tasks and waits until every end is acknowledged and no slot is
// taken.
func (r *run) drain(ctx context.Context) error {
	r.each(func(s *shard) {
		s.pausing = false
		s.loop.At(0, (*drainer)(s), 0)
	})
	ttl := time.Duration(0)
	r.each(func(s *shard) { ttl = max(ttl, time.Duration(s.clients[0].ttl)) })
	var last atomic.Pointer[wire.Stats]
	asking := new(atomic.Bool)
	limit := 3*ttl + drainLimit
	err := r.wait(ctx, limit, func() bool {
		if !asking.Swap(true) {
			r.ask(0, &wire.GetStats{}, func(m wire.Message) {
				if stats, is := m.(*wire.Stats); is {
					last.Store(stats)
				}
				asking.Store(false)
			})
		}
		return r.free(last.Load()) && r.live.Load() == 0 && r.unacknowledged() == 0 && r.followed() == 0 && r.jobs() == 0
	})
	if errors.Is(err, errTime) {
		r.notDrained(limit, last.Load())
	}
	return err
}

// free reports whether no slot is taken, by anything, and all workers are back.
func (r *run) free(t *wire.Stats) bool {
	return t != nil && t.Used == 0 && t.Granted == 0 && t.AskedBack == 0 && t.Begun == 0 && int(t.Online) == len(r.workers)
}

// unacknowledged returns how many ends the scheduler has not acknowledged.
func (r *run) unacknowledged() (n int) {
	r.each(func(s *shard) {
		for _, w := range s.workers {
			n += w.link.unacknowledged()
		}
	})
	return n
}

func (r *run) notDrained(limit time.Duration, t *wire.Stats) {
	if n := r.unacknowledged(); n > 0 {
		r.judge.Broken(judge.Unanswered, "%d ends of tasks are not acknowledged after %v", n, limit)
	}
	if n := r.followed(); n > 0 {
		r.judge.Broken(judge.Unanswered, "of %d tasks that may be requeued the clients did not hear the end in %v", n, limit)
	}
	if t == nil {
		r.judge.Broken(judge.Unanswered, "the statistics were not answered in %v", limit)
		return
	}
	if r.free(t) {
		return
	}
	r.judge.Broken(judge.NotDrained, "%v after all tasks ended %d slots are taken: %d leases granted, %d asked back, %d begun; %d of %d workers are online",
		limit, t.Used, t.Granted, t.AskedBack, t.Begun, t.Online, len(r.workers))
}

// drainer ends the tasks of a shard's workers, a batch in each millisecond, so
// that the ends do not arrive as one wave.
type drainer shard

// Ring implements poll.Alarm; what is the first worker of the batch.
func (d *drainer) Ring(now int64, what uint64) {
	s := (*shard)(d)
	last := min(int(what)+drainBatch, len(s.workers))
	for _, w := range s.workers[what:last] {
		for _, t := range w.running {
			w.end(now, t)
		}
	}
	if last < len(s.workers) {
		s.loop.At(now+int64(time.Millisecond), d, uint64(last))
	}
}

// quit deregisters all workers, so that a scheduler that goes on does not keep
// them.
func (r *run) quit(ctx context.Context) error {
	r.each(func(s *shard) {
		for _, w := range s.workers {
			w.link.quit()
		}
	})
	err := r.wait(ctx, quitLimit, func() bool { return r.gone.Load() == int64(len(r.workers)) })
	if errors.Is(err, errTime) {
		r.judge.Broken(judge.Unanswered, "%d of %d workers could not deregister in %v", int64(len(r.workers))-r.gone.Load(), len(r.workers), quitLimit)
	}
	return err
}

// listen waits a while for the datagrams that may still be acknowledged.
func (r *run) listen(ctx context.Context) error {
	return r.wait(ctx, listenLimit, func() bool {
		n := 0
		r.each(func(s *shard) {
			for _, w := range s.workers {
				n += w.link.unanswered()
			}
		})
		return n == 0
	})
}
