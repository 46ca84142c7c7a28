package ledger

import (
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// memory is a set of lease ids. Thousands of ledgers live in one process, so it
// takes 8 bytes for a lease: the counters of each grantor in order.
type memory struct {
	grantors []grants
	count    int
}

// grants are the remembered leases of one grantor.
type grants struct {
	grantor  wire.Grantor
	counters []uint64 // ascending
}

func (m *memory) size() int { return m.count }

func (m *memory) of(id wire.LeaseID) *grants {
	g := wire.Grantor{Epoch: id.Epoch, Instance: id.Instance}
	for i := range m.grantors {
		if m.grantors[i].grantor == g {
			return &m.grantors[i]
		}
	}
	return nil
}

func (m *memory) has(id wire.LeaseID) bool {
	g := m.of(id)
	if g == nil {
		return false
	}
	_, found := slices.BinarySearch(g.counters, id.Counter)
	return found
}

func (m *memory) add(id wire.LeaseID) {
	g := m.of(id)
	if g == nil {
		m.grantors = append(m.grantors, grants{grantor: wire.Grantor{Epoch: id.Epoch, Instance: id.Instance}})
		g = &m.grantors[len(m.grantors)-1]
	}
	at, found := slices.BinarySearch(g.counters, id.Counter)
	if !found {
		g.counters = slices.Insert(g.counters, at, id.Counter)
		m.count++
	}
}
