package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dtask/dtask-scheduler/wire"
)

// stage is an account whose clock a test moves.
type stage struct {
	*Judge
	now time.Duration
}

// newStage has task 1, of class 0, run on w1 as lease 1; it may be preempted and
// requeued.
func newStage() *stage {
	s := &stage{now: time.Minute}
	s.Judge = New([]Worker{{ID: "w1", Tags: []string{"gpu"}, Slots: 2}, {ID: "w2", Slots: 1}}, func() time.Duration { return s.now }, nil)
	s.Incarnation(0, 1)
	s.Incarnation(1, 1)
	grant(s.Judge, 1, "w1")
	s.Yields(id(1), Yield{Class: 0, May: true, Requeue: true})
	s.Began(0, id(1))
	return s
}

// wants has task 2 of a class wait, and preempt.
func (s *stage) wants(class int, tags ...string) {
	s.Asked(task(2), Wait{Class: class}, &Need{Tags: tags})
}

func (s *stage) notice() { s.Noticed(0, id(1), grace, true) }

const grace = 10 * time.Second

// act is something that happens on a stage, and the rule that it breaks, "" for
// none.
type act struct {
	name   string
	broken Rule
	do     func(s *stage)
}

func play(t *testing.T, acts []act) {
	for _, c := range acts {
		t.Run(c.name, func(t *testing.T) {
			s := newStage()
			c.do(s)
			got, n := s.Violations()
			if c.broken == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, 1, n, "%v", got)
			require.Equal(t, c.broken, got[0].Rule)
		})
	}
}

// TestWhoMakesRoom: each rule about it is broken by some act, and held by those
// beside it.
func TestWhoMakesRoom(t *testing.T) {
	play(t, []act{
		{"for a higher class", "", func(s *stage) { s.wants(1, "gpu"); s.notice() }},
		{"for the same class", WrongVictim, func(s *stage) { s.wants(0); s.notice() }},
		{"for nobody", WrongVictim, func(s *stage) { s.notice() }},
		{"for one that does not preempt", WrongVictim, func(s *stage) { s.Asked(task(2), Wait{Class: 2}, nil); s.notice() }},
		{"for one that cannot run there", WrongVictim, func(s *stage) { s.wants(1, "tpu"); s.notice() }},
		{"for one that has just gone", "", func(s *stage) { s.wants(1); s.Settled(task(2), false, true); s.now += slack / 2; s.notice() }},
		{"for one that has gone long ago", WrongVictim, func(s *stage) {
			s.wants(1)
			s.Settled(task(2), false, true)
			s.now += 2 * slack
			s.notice()
		}},
		{"who says never", WrongVictim, func(s *stage) {
			grant(s.Judge, 4, "w2")
			s.Yields(id(4), Yield{Class: 0})
			s.Yields(id(4), Yield{Class: 0, May: true}) // what was said first stays
			s.Began(1, id(4))
			s.wants(1)
			s.Noticed(1, id(4), grace, true)
		}},
		{"of whom nothing is known", "", func(s *stage) {
			begin(s.Judge, 4, "w2")
			s.Noticed(1, id(4), grace, true)
		}},
		{"told twice", ToldTwice, func(s *stage) { s.wants(1); s.notice(); s.notice() }},
		{"told twice, by two schedulers", "", func(s *stage) { s.wants(1); s.notice(); s.Noticed(0, id(1), grace, false) }},
		{"told when it was over", "", func(s *stage) { s.Ended(0, id(1)); s.notice() }},
	})
}

// TestTheGraceAndTheNews: the same for what comes after the notice.
func TestTheGraceAndTheNews(t *testing.T) {
	play(t, []act{
		{"killed in time", "", func(s *stage) { s.wants(1); s.notice(); s.now += grace - slack; s.Killed(0, id(1), true) }},
		{"killed early", KilledEarly, func(s *stage) { s.wants(1); s.notice(); s.now += grace - 2*slack; s.Killed(0, id(1), true) }},
		{"killed early, or the notice was late", "", func(s *stage) { s.wants(1); s.notice(); s.Killed(0, id(1), false) }},
		{"killed without a notice", KilledEarly, func(s *stage) { s.Killed(0, id(1), true) }},
		{"killed when it was over", "", func(s *stage) { s.Ended(0, id(1)); s.Killed(0, id(1), true) }},

		{"heard all of it", "", func(s *stage) {
			s.Heard(id(1), wire.NewsPreempted, true)
			s.Ended(0, id(1))
			s.Heard(id(1), wire.NewsRequeued, true)
		}},
		{"heard twice that it must make room", ToldTwice, func(s *stage) {
			s.Heard(id(1), wire.NewsPreempted, true)
			s.Heard(id(1), wire.NewsPreempted, true)
		}},
		{"requeued twice", WrongRequeue, func(s *stage) {
			s.Ended(0, id(1))
			s.Heard(id(1), wire.NewsRequeued, true)
			s.Heard(id(1), wire.NewsRequeued, false)
		}},
		{"requeued and over", WrongRequeue, func(s *stage) {
			s.Ended(0, id(1))
			s.Heard(id(1), wire.NewsRequeued, true)
			s.Heard(id(1), wire.NewsOver, true)
		}},
		{"requeued while it runs", ToldEnded, func(s *stage) { s.Heard(id(1), wire.NewsRequeued, true) }},
		{"requeued without a wish", WrongRequeue, func(s *stage) {
			grant(s.Judge, 4, "w2")
			s.Yields(id(4), Yield{May: true})
			s.GivenUp(id(4))
			s.Heard(id(4), wire.NewsRequeued, true)
		}},
		{"news of a lease that nobody was given", "", func(s *stage) { s.Heard(id(9), wire.NewsRequeued, true) }},
		{"its next lease is another", "", func(s *stage) {
			s.Ended(0, id(1))
			s.Heard(id(1), wire.NewsRequeued, true)
			another(s.Judge, "w1", 1)
			s.Yields(id(2), Yield{May: true, Requeue: true})
			s.Began(0, id(2))
			s.Ended(0, id(2))
			s.Heard(id(2), wire.NewsRequeued, true)
		}},
	})
}
