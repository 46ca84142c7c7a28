package wire

import "math"

// Flags of Placed.
const (
	PlacedRepeat     = 1 << 0 // the task held this lease already
	PlacedBegun      = 1 << 1 // and it has begun
	PlacedAskedBack  = 1 << 2 // and it was asked back: the agent decides
	PlacedBestEffort = 1 << 3 // the worker speaks HTTP: its load is a heuristic
)

// Placed answers Schedule with a lease.
type Placed struct {
	Lease       LeaseID `wire:"lease lease"`
	Target      []byte  `wire:"worker string; address string"` // raw msgpack of two strings, the worker's id and address; see AppendTarget and ReadTarget
	Incarnation uint64  `wire:"incarnation uint64"`            // of the worker the lease was granted to; Begin names it
	TTLMS       uint32  `wire:"ttl_ms uint32"`                 // how long the lease lives without a renewal
	Flags       uint8   `wire:"flags uint8"`                   // sum of PlacedRepeat and its like
	Devices     uint64  `wire:"devices uint64?"`               // the GPU devices that the lease takes: bit i stands for the worker's device i
}

func (*Placed) Kind() Kind { return KindPlaced }

const placedRequired = 6 // fields of a placement that must be there

var placedFields = describe[Placed]()

func readPlaced(d *Decoder, n int) Message {
	d.r.placed(&d.placed, n)
	return &d.placed
}

// placed reads the n fields of a placement.
func (r *reader) placed(p *Placed, n int) {
	*p = Placed{
		Lease:       r.lease("lease"),
		Target:      r.target(),
		Incarnation: r.uint("incarnation", math.MaxUint64),
		TTLMS:       r.uint32("ttl_ms"),
		Flags:       uint8(r.uint("flags", math.MaxUint8)),
	}
	if n > placedRequired {
		p.Devices = r.uint("devices", math.MaxUint64)
	}
}

// target reads a worker's id and address, and returns the bytes of both. A
// worker that came over HTTP may have an id that no native worker can have.
func (r *reader) target() []byte {
	from := r.pos
	r.foreign("worker")
	r.foreign("address")
	if r.err != nil {
		return nil
	}
	return r.b[from:r.pos:r.pos]
}

func (m *Placed) append(dst []byte, request uint64) []byte {
	return m.appendFields(appendHead(dst, m.used(), KindPlaced, request))
}

// used returns how many fields must be written.
func (m *Placed) used() int {
	if m.Devices != 0 {
		return placedRequired + 1
	}
	return placedRequired
}

// appendFields appends the fields that used counts.
func (m *Placed) appendFields(dst []byte) []byte {
	dst = appendLease(dst, m.Lease)
	if len(m.Target) == 0 {
		dst = AppendTarget(dst, "", "")
	}
	dst = append(dst, m.Target...)
	dst = appendUint(dst, m.Incarnation)
	dst = appendUint(dst, uint64(m.TTLMS))
	dst = appendUint(dst, uint64(m.Flags))
	if m.Devices != 0 {
		dst = appendUint(dst, m.Devices)
	}
	return dst
}
