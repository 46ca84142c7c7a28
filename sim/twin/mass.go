package twin

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// massLoss is that so many workers are silent that it is one event.
type massLoss struct {
	on   bool
	told bool       // that they are offline
	due  bool       // its end is still to come
	end  sched.Time // nobody is removed before
}

// note predicts an event of a worker's presence or of a mass loss.
func (t *Twin) note(what, worker, reason string) {
	t.notes = append(t.notes, fmt.Sprintf("%s %s %s", what, worker, reason))
}

// setPresence notes what a worker is now.
func (t *Twin) setPresence(w *worker, p string) {
	was, lost := w.presence, w.lost
	w.presence, w.spared = p, 0
	w.lost = p == presenceOffline && t.mass.on
	t.watchMass()
	untold := lost && t.count((*worker).isLost) >= t.cfg.MassLossTold
	if untold {
		t.w.Hit(fault.BackUntold)
	}
	if t.mass.on || untold {
		return
	}
	if was != presenceOffline && p != presenceOffline && t.count((*worker).isSuspicious) > t.cfg.MassLossTold {
		t.w.Hit(fault.Untold)
		t.unordered = true
		return
	}
	if p == presenceOnline {
		p = "back"
	}
	t.note(p, w.id, "")
}

func (w *worker) isLost() bool       { return w.lost } // became offline in a mass loss
func (w *worker) isSuspicious() bool { return w.presence == presenceSuspicious }
func (w *worker) isOffline() bool    { return w.presence == presenceOffline }

// count counts workers.
func (t *Twin) count(is func(*worker) bool) (n int) {
	for _, w := range t.workers {
		if w != nil && is(w) {
			n++
		}
	}
	return n
}

// watchMass predicts the three events of a mass loss. It is over when few are
// silent, or when its minute is over and the silent ones are offline.
func (t *Twin) watchMass() {
	m, silent, offline, lost := &t.mass, t.count((*worker).isSuspicious), t.count((*worker).isOffline), t.count((*worker).isLost)
	all := t.count(func(*worker) bool { return true }) - offline
	few := func(silent, all int) bool {
		return silent < t.cfg.MassLossLeast || 400*silent < t.cfg.MassLossShare*all
	}
	switch {
	case !m.on && silent >= t.cfg.MassLossLeast && 100*silent >= t.cfg.MassLossShare*all:
		*m = massLoss{on: true, due: true, end: t.w.Now() + t.cfg.MassLossHold}
		t.unordered = true
		t.w.Hit(fault.MassLoss)
		t.note("mass_loss", "", fmt.Sprintf("%d of %d workers are silent", silent, all))
	case m.on && (few(silent+lost, all+lost) || few(silent, all) && t.w.Now() >= m.end):
		m.on, m.due = false, false
		t.note("mass_loss_over", "", fmt.Sprintf("%d of %d workers are silent, %d are offline", silent, all, offline))
	case m.on && !m.told && 10*lost >= 9*(silent+lost):
		m.told = true
		t.w.Hit(fault.MassOffline)
		t.note("mass_loss_offline", "", fmt.Sprintf("%d workers are offline, none is removed for now", offline))
	}
}

// predicted are the events that the twin predicts.
var predicted = []string{presenceSuspicious, presenceOffline, "back", "mass_loss", "mass_loss_over", "mass_loss_offline"}

// restarted is why the cordon of an agent itself ends when it comes back.
const restarted = "its agent was restarted"

// judgeEvents reads the events that are new, and compares those of presence, and
// of cordons that end with their agents, with those predicted, in whatever order
// they happened at this moment.
func (t *Twin) judgeEvents() {
	var got, want []string
	for {
		m, ok := t.w.Ask(&wire.ListEvents{After: t.events}).(*wire.Events)
		if !ok || m.Missed != 0 {
			t.w.Fail("the events after %d: %+v", t.events, m)
			return
		}
		if len(m.Rows) == 0 {
			break
		}
		for i := range m.Rows {
			e := &m.Rows[i]
			if t.events++; e.Number != t.events {
				t.w.Fail("the event %d follows %d", e.Number, t.events-1)
			}
			if slices.Contains(predicted, e.What) || e.What == "uncordoned" && e.Reason == restarted {
				got = append(got, fmt.Sprintf("%s %s %s", e.What, e.Worker, e.Reason))
			}
		}
	}
	want, t.notes = t.notes, nil
	for _, all := range [][]string{got, want} {
		for i, e := range all {
			var what string
			if fmt.Sscan(e, &what); t.unordered && what == presenceSuspicious {
				all[i] = what
			}
		}
		slices.Sort(all)
	}
	t.unordered = false
	if !slices.Equal(got, want) {
		t.w.Fail("the scheduler has recorded %q, its twin %q", got, want)
	}
}
