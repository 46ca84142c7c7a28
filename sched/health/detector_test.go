package health

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dtask/dtask-scheduler/ds"
)

// TestWindowAgainstASlice holds the bits of the last outcomes against a slice.
func TestWindowAgainstASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		var naive []bool
		for _, failed := range rapid.SliceOf(rapid.Bool()).Draw(t, "outcomes") {
			var out, want bool
			w, out = w.add(failed)
			if naive = append(naive, failed); len(naive) > Window {
				want, naive = naive[0], naive[1:]
			}
			failures := 0
			for _, f := range naive {
				if f {
					failures++
				}
			}
			require.Equal(t, want, out)
			require.Equal(t, []int{len(naive), failures}, []int{w.outcomes(), w.failures()})
		}
	})
}

// pair is a Detector beside its twin.
type pair struct {
	*rapid.T
	d    *Detector
	twin *twin
	ids  []string
}

// TestDetectorAgainstATwin drives both with the same outcomes and wants the same
// verdicts.
func TestDetectorAgainstATwin(t *testing.T) {
	seen := map[Event]int{}
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{First: 100, Most: 350, Failures: rapid.IntRange(1, 4).Draw(t, "failures"), Share: 40, Memory: 900, MaxWorkers: 10}
		cfg.Owners = rapid.IntRange(1, min(cfg.Failures, 2)).Draw(t, "owners")
		p := &pair{T: t, d: New(cfg), ids: []string{"a", "b", "c", "d", "e"},
			twin: &twin{cfg: cfg, workers: map[int32]string{}, ids: map[string]*twinID{}, votes: map[uint64][2]int{}}}
		for n := range p.ids {
			p.join(int32(n))
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			seen[p.step()]++
			p.compare()
		}
	})
	for _, e := range []Event{Ejected, Probing, Reinstated} {
		require.True(t, seen[e] > 0 || testing.Short(), "event %d", e) // short runs are few
	}
}

func (p *pair) join(n int32) {
	require.Equal(p, p.twin.join(n, p.ids[n]), p.d.Join(n, p.ids[n]))
}

// often returns the workers; those on which not every task may be placed stand there several times.
func (p *pair) often() (all []int32) {
	for n, id := range p.ids {
		for range 1 + 3*int(p.twin.admission(id)) {
			all = append(all, int32(n))
		}
	}
	return all
}

// step does one thing to both.
func (p *pair) step() Event {
	n := rapid.SampledFrom(p.often()).Draw(p.T, "worker")
	id, known := p.twin.workers[n]
	what := rapid.IntRange(0, 19).Draw(p.T, "what")
	switch {
	case what == 0:
		return p.advance()
	case !known && what == 1:
		p.d.PardonGone(p.ids[n])
		p.twin.pardon(p.ids[n])
	case !known:
		p.join(n)
	case what == 1:
		p.d.Leave(p.twin.now, n)
		p.twin.leave(n)
	case what == 2:
		p.d.Pardon(n)
		p.twin.pardon(id)
	case what == 3:
		p.d.DevicesChanged(n)
		for i := range p.twin.of(id).outcomes {
			p.twin.of(id).outcomes[i].Devices = 0
		}
	case what <= 5, what <= 15 && p.twin.admission(id) == Probe:
		p.probe(n, id)
	default:
		return p.report(n, id)
	}
	return None
}

func (p *pair) advance() Event {
	p.twin.now += ds.Time(rapid.IntRange(1, 300).Draw(p.T, "passes"))
	var got []string
	for p.d.Next() <= p.twin.now {
		p.d.Advance(p.twin.now, rapid.IntRange(1, 3).Draw(p.T, "budget"), func(v Verdict) {
			require.Equal(p, []any{Probing, Probe}, []any{v.Event, v.Admission})
			got = append(got, p.twin.workers[v.Worker])
		})
	}
	slices.Sort(got)
	require.Equal(p, p.twin.expire(), got)
	if len(got) > 0 {
		return Probing
	}
	return None
}

// probe places a task on a worker on probation, or ends it without an outcome.
func (p *pair) probe(n int32, id string) {
	i := p.twin.of(id)
	task := rapid.Int32Range(0, 2).Draw(p.T, "task")
	switch p.twin.admission(id) {
	case Probe:
		i.probe = task
		require.Equal(p, Closed, p.d.Placed(n, task))
	case Open:
		require.Equal(p, Open, p.d.Placed(n, task))
	case Closed:
		is := i.phase == onProbation && i.probe == task
		require.Equal(p, is, p.d.Ended(n, task))
		if is {
			i.probe = noProbe
		}
	}
}

func (p *pair) report(n int32, id string) Event {
	o := Outcome{Worker: n, ID: id, Task: max(p.twin.of(id).probe, 0), How: "told",
		Failed: rapid.IntRange(0, 5).Draw(p.T, "fails") <= int(n), Tenant: rapid.Uint64Range(1, 4).Draw(p.T, "tenant"),
		Devices: rapid.Uint64Range(0, 7).Draw(p.T, "devices")}
	want := p.twin.report(o)
	v := p.d.Report(p.twin.now, &o)
	require.Equal(p, want, v.Event)
	if o.Failed {
		online, running := len(p.twin.workers), rapid.IntRange(0, 20).Draw(p.T, "running")
		if judged := p.twin.judge(id, online, running); judged != None || want == None {
			v = p.d.Judge(p.twin.now, n, online, func() int { return running })
			require.Equal(p, judged, v.Event)
			want = judged
		}
	}
	if want != None {
		require.Equal(p, n, v.Worker)
		require.Equal(p, p.twin.admission(id), v.Admission)
		require.NotEmpty(p, v.Reason)
	}
	return want
}

// compare compares all that can be asked of both.
func (p *pair) compare() {
	require.NoError(p, p.d.Check())
	out := 0
	for n, id := range p.twin.workers {
		i, st := p.twin.of(id), p.d.Status(n)
		require.Equal(p, []int{len(i.outcomes), len(i.failures())}, []int{st.Outcomes, st.Failures}, id)
		require.Equal(p, p.twin.admission(id), st.Admission, id)
		if i.phase != inService {
			out++
			require.Equal(p, i.due, st.ProbeAt)
		}
		var devices [Devices]uint32
		for _, o := range i.failures() {
			for b := range devices {
				devices[b] += uint32(o.Devices >> b & 1)
			}
		}
		require.Equal(p, devices, p.d.DeviceFailures(n))
	}
	require.Equal(p, out, p.d.Ejected())
	due := ds.Never
	for _, id := range p.ids {
		i := p.twin.ids[id]
		require.Equal(p, i != nil && i.phase != inService, p.d.IsEjected(id), id)
		if i != nil {
			due = min(due, i.due)
		}
	}
	require.LessOrEqual(p, p.d.Next(), due)
	require.Equal(p, len(p.twin.votes) > 0, p.d.Failing())
}

// TestReasonsNameTheDevice: the reason of an ejection says what people ask next.
func TestReasonsNameTheDevice(t *testing.T) {
	d := New(Config{First: 1, Most: 1, Failures: 3, Owners: 2, Share: 10, Memory: 100, MaxWorkers: 10})
	d.Join(0, "a")
	for n := range 3 {
		d.Report(0, &Outcome{ID: "a", Failed: true, How: "failed", Tenant: uint64(n % 2), Devices: 1<<3 | 1<<n})
	}
	v := d.Judge(0, 0, 5, func() int { return 9 })
	require.Equal(t, Verdict{Ejected, 0, Closed, "failed 3 of its last 3 tasks, of 2 owners or groups, 3 of them on device 3; the others fail 0 %"}, v)
	d.Advance(10, 9, func(v Verdict) { require.Equal(t, Probing, v.Event, fmt.Sprint(v)) })
	d.Placed(0, 7)
	v = d.Report(10, &Outcome{ID: "a", Task: 7, How: "ok"})
	require.Equal(t, Verdict{Reinstated, 0, Open, "its probe ended as ok"}, v)
}
