package health

import (
	"slices"

	"github.com/dtask/dtask-scheduler/ds"
)

// twin is outlier detection in the plainest way: lists of outcomes, and a look at
// all of them for each question.
type twin struct {
	cfg     Config
	now     ds.Time
	workers map[int32]string
	ids     map[string]*twinID
	votes   map[uint64][2]int // of each tenant that fails: failures and successes, lately
}

// twinID is what is known of an id.
type twinID struct {
	outcomes []Outcome // the last ones, the oldest first
	phase    phase
	probe    int32
	backoff  ds.Time
	forgiven ds.Time
	due      ds.Time
}

func (t *twin) known(id string) bool {
	for _, w := range t.workers {
		if w == id {
			return true
		}
	}
	return false
}

func (i *twinID) failures() (all []Outcome) {
	for _, o := range i.outcomes {
		if o.Failed {
			all = append(all, o)
		}
	}
	return all
}

// tenants returns the distinct tenants of some outcomes.
func tenants(outcomes []Outcome) (all []uint64) {
	for _, o := range outcomes {
		if !slices.Contains(all, o.Tenant) {
			all = append(all, o.Tenant)
		}
	}
	return all
}

// failsOn counts the workers on which a tenant has failures.
func (t *twin) failsOn(tenant uint64) (n int) {
	for _, i := range t.ids {
		if slices.Contains(tenants(i.failures()), tenant) {
			n++
		}
	}
	return n
}

// vote counts a failure or success of a tenant.
func (t *twin) vote(tenant uint64, which int) {
	v := t.votes[tenant]
	if v[which]++; v[0]+v[1] > 64 {
		v[0], v[1] = v[0]/2, v[1]/2
	}
	t.votes[tenant] = v
}

// tidy forgets tenants and ids of which nothing is left.
func (t *twin) tidy() {
	for tenant := range t.votes {
		if t.failsOn(tenant) == 0 {
			delete(t.votes, tenant)
		}
	}
	for id, i := range t.ids {
		if !t.known(id) && i.backoff == 0 {
			delete(t.ids, id)
		}
	}
}

func (t *twin) of(id string) *twinID {
	if t.ids[id] == nil {
		t.ids[id] = &twinID{probe: noProbe, due: ds.Never}
	}
	return t.ids[id]
}

func (t *twin) admission(id string) Admission {
	switch i := t.of(id); {
	case i.phase == inService:
		return Open
	case i.phase == onProbation && i.probe == noProbe:
		return Probe
	}
	return Closed
}

func (t *twin) join(n int32, id string) Admission {
	t.workers[n] = id
	if i := t.of(id); i.phase == onProbation {
		i.due = ds.Never
	}
	return t.admission(id)
}

func (t *twin) leave(n int32) {
	i := t.of(t.workers[n])
	delete(t.workers, n)
	if i.outcomes = nil; i.phase == onProbation {
		i.due = t.now + 10*i.backoff
	}
	t.tidy()
}

func (t *twin) report(o Outcome) Event {
	i := t.of(o.ID)
	switch {
	case i.phase != inService && i.probe != o.Task:
		return None
	case i.phase != inService && o.Failed:
		return t.eject(i)
	case i.phase != inService:
		i.phase, i.probe = inService, noProbe
		i.forgiven = t.now + 10*i.backoff
		i.due = i.forgiven
		return Reinstated
	}
	if i.outcomes = append(i.outcomes, o); len(i.outcomes) > Window {
		i.outcomes = i.outcomes[1:]
	}
	if t.tidy(); o.Failed {
		before := i.outcomes[:len(i.outcomes)-1]
		if !slices.Contains(tenants((&twinID{outcomes: before}).failures()), o.Tenant) {
			t.vote(o.Tenant, 0)
		}
		i.due = max(t.now+t.cfg.Memory, i.forgiven)
	} else if t.failsOn(o.Tenant) > 0 {
		t.vote(o.Tenant, 1)
	}
	if len(i.failures()) == 0 && i.backoff == 0 {
		i.due = ds.Never
	}
	return None
}

func (t *twin) judge(id string, online, running int) Event {
	i := t.of(id)
	failed, ended := []Outcome(nil), len(i.outcomes)
	for _, o := range i.failures() {
		if v := t.votes[o.Tenant]; t.failsOn(o.Tenant) > 2 && v[0] > v[1] {
			ended--
			continue
		}
		failed = append(failed, o)
	}
	others, othersFailed, out := running, 0, 0
	for other, o := range t.ids {
		if other != id {
			others += len(o.outcomes)
			othersFailed += len(o.failures())
		}
		if o.phase != inService && t.known(other) {
			out++
		}
	}
	good := others - othersFailed
	switch {
	case i.phase != inService, len(failed) < t.cfg.Failures, len(tenants(failed)) < t.cfg.Owners:
	case others < t.cfg.Failures, 2*good < others, 2*(ended-len(failed))*others >= good*ended:
	case online < 2, out > 0 && 100*(out+1) > t.cfg.Share*online:
	default:
		return t.eject(i)
	}
	return None
}

func (t *twin) eject(i *twinID) Event {
	if i.phase == inService && t.now >= i.forgiven {
		i.backoff = 0
	}
	i.backoff = min(max(2*i.backoff, t.cfg.First), t.cfg.Most)
	i.outcomes, i.phase, i.probe, i.due = nil, ejected, noProbe, t.now+i.backoff
	t.tidy()
	return Ejected
}

func (t *twin) pardon(id string) {
	t.ids[id] = &twinID{probe: noProbe, due: ds.Never}
	t.tidy()
}

// expire handles what is due and returns the ids that may be probed now.
func (t *twin) expire() (probing []string) {
	for id, i := range t.ids {
		switch {
		case i.due > t.now:
		case i.phase == ejected && t.known(id):
			i.phase, i.due = onProbation, ds.Never
			probing = append(probing, id)
		case i.phase == ejected:
			i.phase, i.due = onProbation, max(t.now, i.due)+10*i.backoff
		default:
			t.pardon(id)
		}
	}
	slices.Sort(probing)
	return probing
}
