package sched

import (
	"github.com/dtask/dtask-scheduler/wire"
)

// listVisits bounds the workers that one page looks at, however few of them
// it shows.
const listVisits = 4 * wire.MaxPage

// pageBytes bounds the size of a page: with one more row it still fits into a
// frame. Only rows of HTTP workers, whose texts are as long as a body may be,
// ever reach it.
const pageBytes = wire.MaxFrame / 2

// listWorkers answers with one page in order of the ids. framed says that the
// page must fit into a frame.
func (s *State) listWorkers(now Time, m *wire.ListWorkers, framed bool) *wire.Workers {
	limit := int(m.Limit)
	if limit == 0 || limit > wire.MaxPage {
		limit = wire.MaxPage
	}
	page := &wire.Workers{Rows: []wire.WorkerInfo{}}
	visits, size, last := 0, 0, ""
	s.order.after(m.After, func(id string) bool {
		if visits == listVisits || len(page.Rows) == limit || size > pageBytes {
			page.Next = last
			return false
		}
		visits++
		last = id
		w := s.workers.at(s.byID[id])
		if (m.State == "" || m.State == w.presence.String()) && hasAll(w.kit.tags, m.Tags) {
			page.Rows = append(page.Rows, s.inform(now, w))
			if framed {
				size += fit(&page.Rows[len(page.Rows)-1])
			}
		}
		return true
	})
	return page
}

func hasAll(have, want []string) bool {
	for _, t := range want {
		found := false
		for _, h := range have {
			found = found || h == t
		}
		if !found {
			return false
		}
	}
	return true
}

// inform describes a worker.
func (s *State) inform(now Time, w *worker) wire.WorkerInfo {
	info := wire.WorkerInfo{
		ID: w.id, Address: w.address(), Tags: w.kit.tags, State: w.presence.String(),
		Slots: w.slots, Taken: w.taken, External: w.external, Incarnation: w.incarnation,
		SeenMS: uint64(max(now-w.seen, 0)), Resources: map[string]int64{}, Flags: []string{},
	}
	wire.EachResource([]byte(w.kit.resources), func(name []byte, amount int64) bool {
		info.Resources[string(name)] = amount
		return true
	})
	if w.http != nil {
		info.Flags = append(info.Flags, "http")
	} else if !w.promised {
		info.Flags = append(info.Flags, "connecting")
	}
	if w.overcommitted() {
		info.Flags = append(info.Flags, "overcommitted")
	}
	return info
}

// rowBytes is more than a row takes beside its texts.
const rowBytes = 128

// fit returns at least the size of a row on the wire. A row that could never
// be sent loses its tags, and says so.
func fit(info *wire.WorkerInfo) int {
	size := rowBytes + len(info.ID) + len(info.Address)
	for name := range info.Resources {
		size += len(name) + 16
	}
	tags := 0
	for _, t := range info.Tags {
		tags += len(t) + 5
	}
	if size+tags > pageBytes {
		info.Tags, tags = nil, 0
		info.Flags = append(info.Flags, "tags_omitted")
	}
	return size + tags
}

// overcommitted reports whether a worker holds more than it has room for: it
// shrank, or runs more outside leases than it has room left.
func (w *worker) overcommitted() bool {
	return uint64(w.taken)+uint64(w.external) > uint64(w.slots)
}

// getWorker answers with one worker and its leases.
func (s *State) getWorker(now Time, m *wire.GetWorker) wire.Message {
	n, ok := s.byID[m.ID]
	if !ok {
		return &wire.Error{Code: wire.CodeNotFound, Field: "worker", Message: "no such worker"}
	}
	w := s.workers.at(n)
	a := &wire.Worker{Info: s.inform(now, w), Leases: []wire.LeaseInfo{}}
	fit(&a.Info)
	for e := w.head; e != 0 && len(a.Leases) < wire.MaxPage; {
		l := s.leases.slots.at(e - 1)
		e = l.next
		a.Leases = append(a.Leases, wire.LeaseInfo{
			Lease: l.id, Task: string(l.task()), Client: s.clients.list[l.client].id,
			Owner: string(l.owner()), Group: string(l.group()), Priority: l.priority,
			State: l.state, AgeMS: uint64(max(now-l.granted, 0)),
		})
	}
	return a
}

// stats answers with the totals of the moment.
func (s *State) stats() *wire.Stats {
	c := &s.count
	st := &wire.Stats{
		Grantor: s.Grantor(),
		Online:  uint32(c.presence[online]), Suspicious: uint32(c.presence[suspicious]), Offline: uint32(c.presence[offline]),
		Slots: uint64(c.slots), Used: uint64(c.used),
		Granted: uint32(c.states[wire.StateGranted]), AskedBack: uint32(c.states[wire.StateAskedBack]),
		Begun: uint32(c.states[wire.StateBegun]), Assumed: uint32(c.states[wire.StateAssumed]),
		Counters: map[string]uint64{
			"granted": c.granted, "repeated": c.repeated, "adopted": c.adopted, "revokes": c.revokes,
			"unavailable": c.unavailable, "infeasible": c.infeasible,
			"heartbeats": c.heartbeats, "stale_reports": c.stale, "superseded": c.superseded, "removed": c.removed,
		},
	}
	for r, n := range c.ends {
		if r != int(wire.ReasonNone) {
			st.Counters["ended_"+wire.Reason(r).String()] = n
		}
	}
	return st
}
