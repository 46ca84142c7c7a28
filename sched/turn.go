package sched

import (
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// A message may ask for far more work than its bytes: a selector is compared with
// every distinct set of tags, a batch holds many tasks. Work is counted here, in
// units of about 20 ns: a look at a profile or at a worker, or one term compared
// with one tag. What is more than a first allowance is a Job, which the caller
// carries on in turns, with other messages between them.

// The sizes of turns.
const (
	TurnWork  = 32_768 // units of one turn of a Job
	FirstWork = 49_152 // units that Begin may use: enough for usual requests
	MaxTurns  = 10_000 // of one Job; it is given up then
	taskWork  = 32     // units that a task of a batch counts for beside its search
	parseWork = 8      // units for each byte of a selector that is read

	workerWork = 32 // units that a worker counts for that changes
	leaseWork  = 32 // units that a lease counts for that begins or ends
	planWork   = 16 // units that a task of a gang counts for that is granted what it was before
	lookWork   = 4  // units for a look at a record
	rowWork    = 64 // units for a row of a list
	statsWork  = 256
)

// Job is a Schedule, Batch or Register that is handled in turns. It keeps no byte of
// its message.
type Job struct {
	from    Session
	request uint64
	turns   int
	pinned  map[string]*index.Requirement
	joining *joining // of a registration

	// Of a batch:
	admission admission
	checked   int // tasks that nothing is wrong with, and whose requirements were found out
	placed    int // tasks that have their results
	all       *wire.PlacedAll
	plan      gangPlan
}

// notReady says that what a task requires must be found out in further turns. It
// leaves this package in no answer.
var notReady = &wire.Error{Code: wire.CodeInternal}

// givenUp answers what is not done after MaxTurns.
var givenUp = &wire.Error{Code: wire.CodeSearchLimit, Limit: MaxTurns, RetryAfterMS: searchRetry,
	Message: "what the task requires could not be found out in time"}

// Begin is Apply for a caller that cannot wait long: if the message takes more
// work than FirstWork, it returns a Job to Continue, and the message has no answer
// yet. Of a batch that is no gang some tasks may have been placed.
func (s *State) Begin(now Time, from Session, request uint64, m wire.Message, out *Outbox) *Job {
	_ = s.index.TakeWork() // of others
	s.work, s.turnLeft, s.hasty = 0, s.firstWork, true
	c := caller{from: from, request: request, out: out}
	job := s.handle(now, &c, m)
	if s.work += s.firstWork - s.turnLeft + s.index.TakeWork(); job != nil || s.pinned != nil {
		s.unpin(job)
	}
	return job
}

// Work returns how many units the latest call of Begin, Continue or Pulse took,
// beside what every message takes.
func (s *State) Work() int { return s.work }

// Continue goes on with a job, of which m is the message, for one turn. It reports
// whether the job is over: it was answered, or its session is gone.
func (s *State) Continue(now Time, j *Job, m wire.Message, out *Outbox) bool {
	_ = s.index.TakeWork() // of others
	s.now, s.work = now, 0
	c := caller{s.sessions[j.from], j.from, j.request, out}
	if c.sess == nil {
		return true
	}
	if j.turns++; j.turns > MaxTurns && j.joining == nil {
		s.giveUp(&c, j, m)
		return true
	}
	s.turnLeft, s.hasty, s.pinned = s.turnWork, true, j.pinned
	done := false
	switch m := m.(type) {
	case *wire.Schedule:
		done = s.schedule(&c, m)
	case *wire.Batch:
		done = s.batch(&c, j, m)
	case *wire.Register:
		done = s.joinOn(&c, j, m)
	}
	s.unpin(j)
	s.finish(out)
	s.work += s.turnWork - s.turnLeft + s.index.TakeWork()
	return done
}

// giveUp answers a job that took too long.
func (s *State) giveUp(c *caller, j *Job, m wire.Message) {
	s.log.limited++
	b, ok := m.(*wire.Batch)
	switch {
	case ok && b.AllOrNone:
		all := gangRefused(len(b.Tasks), 0, givenUp)
		s.hint(all)
		c.reply(all)
	case ok && j.all != nil:
		for i := j.placed; i < len(j.all.Results); i++ {
			j.all.Results[i].Refuse(givenUp)
		}
		s.hint(j.all)
		c.reply(j.all)
	default:
		c.reply(givenUp)
	}
}

// late reports whether the present turn is over.
func (s *State) late() bool { return s.hasty && s.turnLeft <= 0 }

// spend takes work from the present turn.
func (s *State) spend(units int) { s.turnLeft -= units }

// unpin leaves what was pinned to the job, if there is one.
func (s *State) unpin(j *Job) {
	if j != nil {
		j.pinned = s.pinned
	}
	s.pinned, s.hasty = nil, false
}

// readied brings a requirement up to date. It returns notReady if the present turn
// does not suffice for that.
func (s *State) readied(req *index.Requirement) *wire.Error {
	if s.hasty && !s.index.Ready(req) && !s.index.Bring(req, &s.turnLeft) {
		return notReady
	}
	return nil
}
