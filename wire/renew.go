package wire

import "math"

// Renew keeps leases that have not begun.
type Renew struct {
	Leases []LeaseID `wire:"leases leases"` // 1 to MaxBatch
}

func (*Renew) Kind() Kind { return KindRenew }

func readRenew(d *Decoder, _ int) Message {
	r := &d.r
	n := r.elements("leases", 1, MaxBatch)
	d.renew.Leases = d.renew.Leases[:0]
	for r.index = range n {
		id := r.lease("")
		if r.err != nil {
			return nil
		}
		d.renew.Leases = append(d.renew.Leases, id)
	}
	r.list = ""
	return &d.renew
}

func (m *Renew) append(dst []byte, request uint64) []byte {
	dst = appendArray(appendHead(dst, 1, KindRenew, request), len(m.Leases))
	for _, id := range m.Leases {
		dst = appendLease(dst, id)
	}
	return dst
}

// LeaseStatus is the answer for one renewed lease.
type LeaseStatus struct {
	State  State  `wire:"state uint8"`  // StateNone if the lease is not known
	Reason Reason `wire:"reason uint8"` // set if State is StateEnded
}

// Renewed answers Renew, in order.
type Renewed struct {
	Leases []LeaseStatus `wire:"leases statuses"` // one for each lease, in order
}

func (*Renewed) Kind() Kind { return KindRenewed }

var statusFields = describe[LeaseStatus]()

func readRenewed(d *Decoder, _ int) Message {
	r := &d.r
	n := r.elements("leases", 0, MaxBatch)
	d.renewed.Leases = d.renewed.Leases[:0]
	for i := range n {
		fields := r.part(i, &statusFields)
		status := LeaseStatus{
			State:  State(r.uint("state", math.MaxUint8)),
			Reason: Reason(r.uint("reason", math.MaxUint8)),
		}
		r.rest(fields, &statusFields)
		if r.err != nil {
			return nil
		}
		d.renewed.Leases = append(d.renewed.Leases, status)
	}
	r.list = ""
	return &d.renewed
}

func (m *Renewed) append(dst []byte, request uint64) []byte {
	dst = appendArray(appendHead(dst, 1, KindRenewed, request), len(m.Leases))
	for _, s := range m.Leases {
		dst = appendArray(dst, 2)
		dst = appendUint(appendUint(dst, uint64(s.State)), uint64(s.Reason))
	}
	return dst
}

// Release gives a lease back before it began.
type Release struct {
	Lease  LeaseID `wire:"lease lease"`
	Handed bool    `wire:"handed bool"` // a begin was sent at least once: the lease is asked back instead of ended
}

func (*Release) Kind() Kind { return KindRelease }

func readRelease(d *Decoder, _ int) Message {
	r := &d.r
	d.release = Release{Lease: r.lease("lease"), Handed: r.bool("handed")}
	return &d.release
}

func (m *Release) append(dst []byte, request uint64) []byte {
	dst = appendLease(appendHead(dst, 2, KindRelease, request), m.Lease)
	return appendBool(dst, m.Handed)
}

// Released answers Release. Code is CodeOK, CodeAskedBack, CodeBegun,
// CodeAlreadyEnded or CodeNotFound.
type Released struct {
	Code   Code   `wire:"code uint16"`  // one of these
	Reason Reason `wire:"reason uint8"` // set if Code is CodeAlreadyEnded
}

func (*Released) Kind() Kind { return KindReleased }

func readReleased(d *Decoder, _ int) Message {
	r := &d.r
	d.released = Released{
		Code:   Code(r.uint("code", math.MaxUint16)),
		Reason: Reason(r.uint("reason", math.MaxUint8)),
	}
	return &d.released
}

func (m *Released) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 2, KindReleased, request), uint64(m.Code))
	return appendUint(dst, uint64(m.Reason))
}
