package sched

import (
	"cmp"
	"slices"

	"github.com/dtask/dtask-scheduler/capacity"
	"github.com/dtask/dtask-scheduler/index"
	"github.com/dtask/dtask-scheduler/wire"
)

// demandsKept is how many demands are remembered that no lease has.
const demandsKept = 4096

// noDemand is the number of the demand of a task that asks for its slot alone.
const noDemand uint32 = 0

// demand is what a task takes beside its slot, shared by all requests and
// leases that ask for it in the same bytes.
type demand struct {
	capacity.Demand
	raw    string
	hash   uint64 // of amounts and memory
	serial uint64 // never given twice, as the number is
	refs   int    // leases
	queued bool   // in demandTable.idle

	// What follows is for the dimensions of the fleet after dimTable.changes
	// became at.
	at    uint64
	known bool // every name is offered by some worker
	needs []index.Need
	mask  uint64 // the dimensions of needs
}

// demandTable numbers the demands.
type demandTable struct {
	list  []demand // by number; 0 is noDemand
	free  []uint32
	byRaw map[string]uint32
	last  uint64   // the last serial
	idle  []uint32 // without leases when they were put here, the longest first
}

func newDemandTable() demandTable {
	return demandTable{list: make([]demand, 1), byRaw: map[string]uint32{}}
}

func (t *demandTable) at(n uint32) *demand { return &t.list[n] }

// find returns the number of the demand with these bytes, noDemand if they ask
// for nothing. It is forgotten unless a lease holds it soon.
func (t *demandTable) find(raw []byte) uint32 {
	if len(raw) == 0 {
		return noDemand
	}
	if n, ok := t.byRaw[string(raw)]; ok {
		return n
	}
	d := demand{raw: string(raw)}
	wire.EachResource(raw, func(name []byte, n int64) bool {
		d.add(string(name), n)
		return true
	})
	if len(d.Amounts) == 0 && d.Memory == 0 {
		return noDemand
	}
	slices.SortFunc(d.Amounts, func(a, b capacity.Amount) int { return cmp.Compare(a.Name, b.Name) })
	d.hash = uint64(d.Memory)
	for _, a := range d.Amounts {
		d.hash = hashBytes(d.hash^uint64(a.Amount), []byte(a.Name))
	}
	t.last++
	d.serial = t.last
	n := uint32(len(t.list))
	if k := len(t.free); k > 0 {
		n, t.free = t.free[k-1], t.free[:k-1]
		t.list[n] = d
	} else {
		t.list = append(t.list, d)
	}
	t.byRaw[d.raw] = n
	t.rest(n)
	return n
}

func (d *demand) add(name string, n int64) {
	switch {
	case n == 0:
		return
	case name == capacity.GPUMem:
		d.Memory = n
		return
	case name == capacity.GPU:
		d.GPUs = n
	}
	d.Amounts = append(d.Amounts, capacity.Amount{Name: name, Amount: n, Dim: capacity.NoDim})
}

// hold counts a lease that has the demand.
func (t *demandTable) hold(n uint32) { t.list[n].refs++ }

// drop counts one lease less.
func (t *demandTable) drop(n uint32) {
	if t.list[n].refs--; n != noDemand && t.list[n].refs == 0 {
		t.rest(n)
	}
}

// rest puts a demand without leases among the idle ones, and forgets the one
// that has been there longest if they are too many.
func (t *demandTable) rest(n uint32) {
	if t.list[n].queued {
		return
	}
	t.list[n].queued = true
	t.idle = append(t.idle, n)
	if len(t.idle) <= demandsKept {
		return
	}
	oldest := t.idle[0]
	t.idle = t.idle[1:]
	d := &t.list[oldest]
	if d.queued = false; d.refs == 0 {
		delete(t.byRaw, d.raw)
		*d = demand{}
		t.free = append(t.free, oldest)
	}
}

// resolve brings the numbers of a demand's dimensions up to date.
func (s *State) resolve(d *demand) {
	if d.at == s.dims.changes+1 {
		return
	}
	d.at, d.known = s.dims.changes+1, true
	d.needs = d.needs[:0]
	for i := range d.Amounts {
		a := &d.Amounts[i]
		dim, ok := s.dims.byName[a.Name]
		if a.Dim = dim; !ok {
			a.Dim, d.known = capacity.NoDim, false
		} else {
			d.needs = append(d.needs, index.Need{Dim: dim, Amount: a.Amount})
		}
	}
	switch {
	case d.Memory == 0:
	case d.GPUs == 0:
		d.needs = append(d.needs, index.Need{Dim: dimShare, Amount: d.Memory})
	default:
		d.needs = append(d.needs, index.Need{Dim: dimWhole, Amount: d.Memory})
	}
	slices.SortFunc(d.needs, func(a, b index.Need) int { return cmp.Compare(a.Dim, b.Dim) })
	d.mask = 0
	for _, n := range d.needs {
		d.mask |= 1 << n.Dim
	}
}
