package sched

import (
	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// listVisits bounds the records that one page looks at, however few of them it
// shows, and listWork the units that a page takes.
const (
	listVisits = 4 * wire.MaxPage
	listWork   = TurnWork
)

// pageBytes bounds the size of a page: with one more row of the native protocol
// it still fits into a frame. Only rows of HTTP workers, whose tags are as long
// as a body may be, ever reach it.
const pageBytes = wire.MaxFrame / 2

// listWorkers answers with one page in order of the ids. framed says that every
// row must fit into a frame.
func (s *State) listWorkers(m *wire.ListWorkers, framed bool) *wire.Workers {
	page, p := &wire.Workers{Rows: []wire.WorkerInfo{}}, s.newPager(m.Limit)
	visits, last := 0, ""
	s.order.After(m.After, func(id string) bool {
		if visits == listVisits || p.full() {
			page.Next = last
			return false
		}
		visits++
		last = id
		n := s.byID[id]
		w := s.workers.At(n)
		s.spend(lookWork * (1 + len(m.Tags)))
		if (m.State == "" || m.State == w.presence.String()) && s.index.HasTags(index.Worker(n), m.Tags) {
			page.Rows = append(page.Rows, s.inform(n))
			row := &page.Rows[len(page.Rows)-1]
			s.spend(len(row.Tags) / 8)
			if framed {
				fit(row)
			}
			p.add(sizeOf(row))
		}
		return true
	})
	return page
}

// inform describes a worker.
func (s *State) inform(n int32) wire.WorkerInfo {
	w := s.workers.At(n)
	info := wire.WorkerInfo{
		ID: w.id, Address: w.address(), Tags: w.kit.tags, State: w.presence.String(),
		Slots: w.slots, Taken: w.takenSlots(), External: w.external, Incarnation: w.incarnation,
		SeenMS: age(s.now, w.seen), Resources: map[string]int64{}, Flags: []string{},
	}
	wire.EachResource([]byte(w.kit.resources), func(name []byte, amount int64) bool {
		info.Resources[string(name)] = amount
		return true
	})
	s.informUsed(w, &info)
	if w.http != nil {
		info.Flags = append(info.Flags, "http")
	} else if !w.promised {
		info.Flags = append(info.Flags, "connecting")
	}
	if w.cordon != nil {
		info.Flags = append(info.Flags, w.cordon.flags()...)
		if d := w.cordon.deadline; d != Never && d > s.now {
			info.DeadlineMS = uint64(d - s.now)
		}
		info.CordonReason, info.CordonBy, info.CordonMS = w.cordon.reason, w.cordon.by, age(s.now, w.cordon.since)
	}
	s.informOutcomes(n, &info)
	if w.overcommitted() {
		info.Flags = append(info.Flags, "overcommitted")
	}
	if w.reserved != nil {
		info.HeldBy = s.nameOf(w.reserved.waiter)
	}
	return info
}

// informUsed describes what the leases of a worker take.
func (s *State) informUsed(w *worker, info *wire.WorkerInfo) {
	info.Used, info.Devices = map[string]int64{}, []wire.DeviceInfo{}
	for i, o := range w.kit.Limits {
		n := w.held.Amounts[i]
		if w.exclusive > 0 {
			n = max(n, o.Amount)
		}
		info.Used[s.dims.names[o.Dim]] = n
	}
	if len(w.kit.devices) > 0 {
		info.Used[capacity.GPU], info.Used[capacity.GPUMem] = 0, 0
	}
	for i, d := range w.kit.devices {
		g := &w.held.Devices[i]
		row := wire.DeviceInfo{Model: d.Model, Memory: d.Memory, UUID: d.UUID, Used: g.Shares, Leases: g.Leases, Whole: g.Wholes > 0, Missing: d.Missing}
		if row.Whole {
			row.Used = d.Memory
		}
		if row.Whole && !d.Missing {
			info.Used[capacity.GPU]++
		}
		if !d.Missing {
			info.Used[capacity.GPUMem] += row.Used
		}
		info.Devices = append(info.Devices, row)
	}
}

// rowBytes is more than a row takes beside its texts.
const rowBytes = 128

// pager counts the rows, the bytes and the work of a page.
type pager struct {
	s                *State
	rows, most, size int
	until            int // turnLeft then
}

func (s *State) newPager(asked uint32) *pager {
	p := &pager{s: s, most: int(asked), until: s.turnLeft - listWork}
	if asked == 0 || asked > wire.MaxPage {
		p.most = wire.MaxPage
	}
	return p
}

func (p *pager) full() bool {
	return p.rows == p.most || p.size > pageBytes || p.s.turnLeft <= p.until
}

func (p *pager) add(size int) {
	p.s.spend(rowWork)
	p.rows, p.size = p.rows+1, p.size+size
}

// sizeOf returns at least the size of a row on the wire.
func sizeOf(info *wire.WorkerInfo) int {
	size := rowBytes + len(info.ID) + len(info.Address)
	for name := range info.Resources {
		size += 2 * (len(name) + 16)
	}
	for _, d := range info.Devices {
		size += len(d.Model) + len(d.UUID) + 32
	}
	for _, t := range info.Tags {
		size += len(t) + 5
	}
	return size
}

// fit takes the tags from a row that could never be sent, which says so.
func fit(info *wire.WorkerInfo) {
	if sizeOf(info) > pageBytes {
		info.Tags = nil
		info.Flags = append(info.Flags, "tags_omitted")
	}
}

// getWorker answers with one worker and its leases.
func (s *State) getWorker(m *wire.GetWorker) wire.Message {
	n, ok := s.byID[m.ID]
	if !ok {
		return noSuchWorker
	}
	w := s.workers.At(n)
	a := &wire.Worker{Info: s.inform(n), Leases: []wire.LeaseInfo{}}
	fit(&a.Info)
	for e := w.head; e != 0 && len(a.Leases) < wire.MaxPage; {
		l := s.leases.slots.At(e - 1)
		e = l.next
		s.spend(rowWork / 2)
		a.Leases = append(a.Leases, s.informLease(l))
	}
	return a
}

var noSuchWorker = &wire.Error{Code: wire.CodeNotFound, Field: "worker", Message: "no such worker"}

// informLease describes a live lease.
func (s *State) informLease(l *lease) wire.LeaseInfo {
	resources := map[string]int64{}
	for _, a := range s.demands.at(l.demand).Amounts {
		resources[a.Name] = a.Amount
	}
	if m := s.demands.at(l.demand).Memory; m > 0 {
		resources[capacity.GPUMem] = m
	}
	return wire.LeaseInfo{
		Resources: resources, Devices: l.devices(), Exclusive: l.flags&leaseExclusive != 0, Preempted: l.flags&leasePreempted != 0,
		Lease: l.id, Task: string(l.task()), Client: s.clients.list[l.client].id,
		Owner: string(l.owner()), Group: string(l.group()), Priority: l.priority,
		State: l.state, AgeMS: age(s.now, l.granted), Worker: s.workers.At(l.worker).id,
	}
}

// listLeases answers with one page of live leases, in order of their slots, or
// counts them; the cursor is the number of slots that were looked at.
func (s *State) listLeases(m *wire.ListLeases) *wire.Leases {
	page, p := &wire.Leases{Rows: []wire.LeaseInfo{}}, s.newPager(m.Limit)
	end := min(m.After+listVisits, uint64(s.leases.slots.Len()))
	n := m.After
	for ; n < end && !p.full(); n++ {
		s.spend(lookWork)
		switch l := s.leases.slots.At(int32(n)); {
		case !l.live() || !s.wanted(l, m):
		case m.Count:
			page.Matched++
		default:
			page.Rows = append(page.Rows, s.informLease(l))
			p.add(rowBytes + len(l.body) + wire.MaxID + len(s.workers.At(l.worker).id))
		}
	}
	if n < uint64(s.leases.slots.Len()) {
		page.Next = n
	}
	return page
}

// wanted reports whether a lease passes the filters of a list.
func (s *State) wanted(l *lease, m *wire.ListLeases) bool {
	return (m.Worker == "" || m.Worker == s.workers.At(l.worker).id) &&
		(m.Owner == "" || m.Owner == string(l.owner())) &&
		(m.Group == "" || m.Group == string(l.group())) &&
		(m.Client == "" || m.Client == s.clients.list[l.client].id) &&
		(m.State == wire.StateNone || m.State == l.state)
}

// listTags answers with one page of the fleet's tags, in order.
func (s *State) listTags(m *wire.ListTags) *wire.Tags {
	page, p := &wire.Tags{Rows: []wire.TagInfo{}}, s.newPager(m.Limit)
	s.index.TagsFrom(m.After, func(tag string, workers int) bool {
		if tag == m.After && tag != "" {
			return true
		}
		// HTTP workers may have an empty tag; a page that ended there would be
		// taken for the last.
		if p.full() && page.Rows[len(page.Rows)-1].Tag != "" {
			page.Next = page.Rows[len(page.Rows)-1].Tag
			return false
		}
		page.Rows = append(page.Rows, wire.TagInfo{Tag: tag, Workers: uint32(workers)})
		p.add(len(tag) + rowBytes)
		return true
	})
	return page
}

// stats answers with the totals of the moment.
func (s *State) stats() *wire.Stats {
	c, l := &s.count, &s.log
	st := &wire.Stats{
		Grantor: s.Grantor(),
		Online:  uint32(c.presence[online]), Suspicious: uint32(c.presence[suspicious]), Offline: uint32(c.presence[offline]),
		Slots: uint64(c.slots), Used: uint64(c.used),
		Granted: uint32(s.leases.states[wire.StateGranted]), AskedBack: uint32(s.leases.states[wire.StateAskedBack]),
		Begun: uint32(s.leases.states[wire.StateBegun]), Assumed: uint32(s.leases.states[wire.StateAssumed]),
		Counters: map[string]uint64{
			"granted": l.granted, "repeated": l.repeated, "adopted": l.adopted, "revokes": l.revokes,
			"unavailable": l.unavailable, "infeasible": l.infeasible, "search_limit": l.limited, "owner_limit": l.ownerLimited, "owners_at_limit": uint64(s.queue.list.OwnersAtLimit()),
			"heartbeats": l.beats[OverTCP][BeatOK] + l.beats[OverHTTP][BeatOK], "stale_reports": l.stale, "superseded": l.superseded, "epochs_refused": l.epochsRefused, "removed": l.removed, "device_conflicts": l.deviceConflicts, "identity_conflicts": l.identityConflicts,
			"preempted": l.preempted, "requeued": l.requeued, "preempting": uint64(s.reservations.preemptions),
			"waited": l.waited, "waiting": uint64(s.queue.list.Tasks()), "waiting_groups": uint64(len(s.queue.list.Classes())), "holds": l.holds, "mass_losses": l.massLosses,
			"quarantines": s.health.Ejections(), "quarantined": uint64(s.health.Ejected()),
			"wait_placed": l.waitEnds[waitPlaced], "wait_over": l.waitEnds[waitOver], "wait_cancelled": l.waitEnds[waitCancelled], "wait_closed": l.waitEnds[waitClosed],
			"beats": l.beats[OverUDP][BeatOK], "stale_beats": l.beats[OverUDP][BeatStale], "unknown_beats": l.beats[OverUDP][BeatUnknown],
		},
	}
	for k, n := range s.queue.classed {
		st.Counters["waiting_"+class(k).String()] = uint64(n)
	}
	for r, n := range l.ends {
		if r != int(wire.ReasonNone) {
			st.Counters["ended_"+wire.Reason(r).String()] = n
		}
	}
	return st
}
