package sched

import "fmt"

// mass is a time in which a large part of the fleet is silent at once: a switch
// is broken rather than thousands of machines. Workers get nothing new as soon
// as they are suspicious, as always; but nobody is given up for a while, and
// there is one event instead of thousands.
type mass struct {
	on    bool
	until Time // nobody becomes offline before
}

// massGivenUp is how long it takes at most, in milliseconds, until all who are
// given up at the end of a mass loss are offline.
const massGivenUp = 1000

// watchMass notes when so many are silent, and when they are not any more.
func (s *State) watchMass() {
	silent := s.count.presence[suspicious]
	all := silent + s.count.presence[online]
	switch m := &s.mass; {
	case !m.on && silent >= s.cfg.MassLossLeast && 100*silent >= s.cfg.MassLossShare*all:
		m.on, m.until = true, s.now+s.cfg.MassLossHold
		s.count.massLosses++
		s.note(eventMassLoss, "").reason = fmt.Sprintf("%d of %d workers are silent", silent, all)
	case m.on && s.now >= m.until && s.now <= m.until+massGivenUp: // they become offline just now, all of them
	case m.on && (silent < s.cfg.MassLossLeast || 400*silent < s.cfg.MassLossShare*all):
		m.on = false
		s.note(eventMassLossOver, "").reason = fmt.Sprintf("%d of %d workers are silent, %d are offline", silent, all, s.count.presence[offline])
	}
}

// tellsOfEach reports whether it is told that one worker is what it was not.
// While many are suspicious it is not told of each that becomes so, or is back:
// else the part of the fleet that is silent before it is a mass loss would drown
// all other events.
func (s *State) tellsOfEach(was, is presence) bool {
	few := s.count.presence[suspicious] <= s.cfg.MassLossTold
	return !s.mass.on && (few || was == offline || is == offline)
}
