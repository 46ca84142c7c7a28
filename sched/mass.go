package sched

import "fmt"

// mass is a time in which a large part of the fleet is silent at once: a switch
// is broken rather than thousands of machines. Each worker is suspicious and
// offline when it would be otherwise, and gets nothing new; but nobody is removed
// for a while, and there are a few events instead of thousands.
type mass struct {
	on    bool
	told  bool // that those who are silent are offline now
	until Time // nobody is removed before
	due   Time // when watchMass must look without a worker that changes; Never afterwards
	gone  int  // workers that became offline in a mass loss and still are
}

// watchMass notes when so many are silent, when they have become offline, and
// when the mass loss is over: they are back, or were kept for as long as it
// keeps them.
func (s *State) watchMass() {
	m, suspects, offs := &s.mass, s.count.presence[suspicious], s.count.presence[offline]
	all := suspects + s.count.presence[online]
	switch {
	case !m.on && suspects >= s.cfg.MassLossLeast && 100*suspects >= s.cfg.MassLossShare*all:
		m.on, m.told = true, false
		m.until = s.now + s.cfg.MassLossHold
		m.due = m.until
		s.log.massLosses++
		s.note(eventMassLoss, "").reason = fmt.Sprintf("%d of %d workers are silent", suspects, all)
	case m.on && (s.few(suspects+m.gone, all+m.gone) || s.now >= m.until && s.few(suspects, all)):
		m.on, m.due = false, Never
		s.note(eventMassLossOver, "").reason = fmt.Sprintf("%d of %d workers are silent, %d are offline", suspects, all, offs)
	case m.on && !m.told && m.gone >= massTold*suspects:
		m.told = true
		s.note(eventMassLossOffline, "").reason = fmt.Sprintf("%d workers are offline, none is removed for now", offs)
	}
}

// massTold is how many workers must be offline for each that is merely silent
// until a mass loss is told to be one of workers that are offline.
const massTold = 9

// few reports whether so few of all workers are silent that it is no mass loss
// any more.
func (s *State) few(silent, all int) bool {
	return silent < s.cfg.MassLossLeast || 400*silent < s.cfg.MassLossShare*all
}

// lose notes whether a worker has become offline in a mass loss and still is.
func (s *State) lose(w *worker, lost bool) {
	switch {
	case lost && !w.lost:
		s.mass.gone++
	case !lost && w.lost:
		s.mass.gone--
	}
	w.lost = lost
}

// tellsOfEach reports whether it is told that one worker is what it was not.
// While many are suspicious it is not told of each that becomes so, or is back:
// else the part of the fleet that is silent before it is a mass loss would drown
// all other events. Of those that a mass loss made offline, lost, it is not told
// either that they are back while many of them are not.
func (s *State) tellsOfEach(was, is presence, lost bool) bool {
	few := s.count.presence[suspicious] <= s.cfg.MassLossTold
	if lost {
		few = s.mass.gone < s.cfg.MassLossTold
	}
	return !s.mass.on && (few || !lost && (was == offline || is == offline))
}
