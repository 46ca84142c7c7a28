package sim

import (
	"fmt"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/sim/fault"
	"github.com/dtask/dtask-scheduler/wire"
)

// web is a worker that speaks HTTP: it reports one number, and stands outside
// every claim of exactness.
type web struct {
	w       *World
	id      string
	address string
	tags    []string
	slots   uint32
	running uint32
	skew    int64 // of its clock, in seconds
}

func (w *World) newWeb(slots uint32) *web {
	b := &web{w: w, id: fmt.Sprintf("web%d", len(w.webs)), slots: slots, tags: []string{webTag}}
	b.address = b.id + ":80"
	b.skew = int64(w.between(-100_000, 100_000))
	for _, tag := range allTags {
		if w.chance(1, 2) {
			b.tags = append(b.tags, tag)
		}
	}
	w.webs = append(w.webs, b)
	return b
}

func (w *World) webAt(address string) *web {
	for _, b := range w.webs {
		if b.address == address {
			return b
		}
	}
	return nil
}

// webNamed returns the worker that speaks HTTP with this id, nil if there is none.
func (w *World) webNamed(id string) *web {
	for _, b := range w.webs {
		if b.id == id {
			return b
		}
	}
	return nil
}

// beat reports the number of running tasks, for ever; sometimes late.
func (b *web) beat() {
	w := b.w
	w.after(w.between(2500, 3500), b.beat)
	r := sched.Report{Worker: b.id, Address: b.address, Tags: b.tags, Slots: b.slots, Current: b.running, Timestamp: int64(w.now)/1000 + b.skew}
	if w.healing || !w.chance(1, 10) {
		b.report(&r)
		return
	}
	w.counts[fault.OldNumber]++
	w.after(w.between(1000, 12_000), func() { b.report(&r) })
}

func (b *web) report(r *sched.Report) {
	w := b.w
	w.say("%s -> scheduler  heartbeat over HTTP, current %d", b.id, r.Current)
	w.trace.number(uint64(r.Current))
	h := w.host
	if h.pausedUntil > w.now {
		w.await(h.pausedUntil, func() { b.report(r) })
		return
	}
	if err := h.state.Report(w.now, r, &h.out); err != nil {
		w.fail("the report of %s: %w", b.id, err)
	}
	if w.twin != nil {
		w.twin.Reported(r)
	}
	w.settle(question{})
}

// take runs a task that was placed here.
func (b *web) take(t *task) {
	if b == nil {
		t.drop(t.client.w)
		return
	}
	w := b.w
	t.drop(w)
	w.after(w.around(50), func() {
		b.running++
		w.after(w.around(w.manners.runs), func() { b.running-- })
	})
}

// gateway is the HTTP side of the scheduler: session 0, one request at a time,
// each answered at once.
type gateway struct {
	w       *World
	link    *link
	request uint64
	current *task
	count   int
}

func (w *World) newGateway() *gateway {
	g := &gateway{w: w}
	g.link = &link{host: w.host, peer: g, peerOpen: true, hostOpen: true}
	w.gateway = g
	return g
}

func (g *gateway) name() string                  { return "http" }
func (g *gateway) busyUntil() sched.Time         { return 0 }
func (g *gateway) lost(*link)                    {}
func (g *gateway) tasksOf(*link, uint64) []*task { return []*task{g.current} }

// call asks the scheduler and handles the answer.
func (g *gateway) call(t *task, m wire.Message) {
	w := g.w
	g.current = t
	g.request++
	w.say("http -> scheduler  %s", describe(m))
	w.apply(g.link, g.request, m, nil)
	w.flush(g.link)
	g.current = nil
}

// flush delivers everything that is under way to the gateway.
func (w *World) flush(l *link) {
	for len(l.down) > 0 && w.err == nil {
		w.deliverDown(l)
	}
}

// receive handles an answer.
func (g *gateway) receive(_ *link, request uint64, m wire.Message) {
	if request != g.request {
		g.w.fail("http asked %d and is answered %d: %s", g.request, request, describe(m))
		return
	}
	switch m := m.(type) {
	case *wire.Placed:
		g.current.placed(g.w, m)
	case *wire.Error:
		if m.Code != wire.CodeUnavailable && m.Code != wire.CodeInfeasible && m.Code != wire.CodeOwnerLimit && !(m.Code == wire.CodeBadRequest && g.current.broken()) {
			g.w.fail("http is told: %v", m)
		}
		g.current.drop(g.w)
	}
}

// work asks for a place over HTTP, for ever; sometimes twice with one key.
func (g *gateway) work() {
	w := g.w
	if w.healing {
		return
	}
	w.after(w.around(4*w.manners.rest), g.work)
	if w.host.pausedUntil > w.now {
		return
	}
	g.count++
	t := &task{id: fmt.Sprintf("h%d", g.count)}
	w.dress(t)
	m := t.message(w)
	if w.chance(1, 3) {
		m.Key = []byte(fmt.Sprintf("key%d", g.count))
	}
	g.call(t, m)
	if m.Key != nil && w.chance(1, 3) {
		w.counts[fault.Retry]++
		g.call(t, m)
	}
}
