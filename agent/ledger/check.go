package ledger

import (
	"fmt"
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Check tests every invariant that can be seen on one state and returns the
// first violation. It visits everything.
func (l *Ledger) Check() error {
	if err := l.checkLeases(); err != nil {
		return err
	}
	if err := l.ended.check(); err != nil {
		return err
	}
	switch {
	case l.cfg.Incarnation == 0:
		return fmt.Errorf("ledger: the incarnation is 0")
	case l.known && l.promised.Instance == 0:
		return fmt.Errorf("ledger: connected without a promise")
	case l.known && l.asked:
		return fmt.Errorf("ledger: connected while a registration is on its way")
	case l.ended.size() > l.cfg.Memory+MaxLeases:
		return fmt.Errorf("ledger: %d leases remembered, at most %d may be", l.ended.size(), l.cfg.Memory+MaxLeases)
	}
	return nil
}

func (l *Ledger) checkLeases() error {
	running, bytes, digest := 0, 0, uint64(0)
	for id, e := range l.leases {
		bytes += recordBytes(&e.record)
		over := e.record.Outcome != wire.ReasonNone
		if !over {
			running++
			digest ^= id.Digest()
		}
		switch {
		case id != e.record.Lease:
			return fmt.Errorf("ledger: the lease %v is filed as %v", e.record.Lease, id)
		case over && !e.record.Outcome.IsOutcome():
			return fmt.Errorf("ledger: the lease %v has ended with %d, no outcome", id, e.record.Outcome)
		case !over && l.ended.has(id):
			return fmt.Errorf("ledger: the lease %v runs and has ended", id)
		}
	}
	switch {
	case running != l.running:
		return fmt.Errorf("ledger: %d leases run, %d are counted", running, l.running)
	case digest != l.digest:
		return fmt.Errorf("ledger: the digest is %x, by the leases %x", l.digest, digest)
	case bytes != l.bytes:
		return fmt.Errorf("ledger: the records take %d bytes, %d are counted", bytes, l.bytes)
	case len(l.leases) > MaxLeases || bytes > MaxListBytes:
		return fmt.Errorf("ledger: %d leases of %d bytes do not fit into one registration", len(l.leases), bytes)
	}
	return nil
}

func (m *memory) check() error {
	n := 0
	for i := range m.grantors {
		c := m.grantors[i].counters
		n += len(c)
		if !slices.IsSorted(c) || len(slices.Compact(slices.Clone(c))) != len(c) {
			return fmt.Errorf("ledger: the remembered leases of %v are out of order", m.grantors[i].grantor)
		}
	}
	if n != m.count {
		return fmt.Errorf("ledger: %d leases are remembered, %d are counted", n, m.count)
	}
	return nil
}
