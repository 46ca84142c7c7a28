package wire

import "math"

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

var statusFields = []string{"state", "reason"}

func readRenewed(d *Decoder, _ int) Message {
	r := &d.r
	n := r.elements("leases", 0, MaxBatch)
	d.renewed.Leases = d.renewed.Leases[:0]
	for i := range n {
		fields := r.part(i, statusFields, len(statusFields))
		status := LeaseStatus{
			State:  State(r.uint("state", math.MaxUint8)),
			Reason: Reason(r.uint("reason", math.MaxUint8)),
		}
		r.rest(fields, len(statusFields))
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
		dst = appendArray(dst, len(statusFields))
		dst = appendUint(appendUint(dst, uint64(s.State)), uint64(s.Reason))
	}
	return dst
}

func readRelease(d *Decoder, _ int) Message {
	r := &d.r
	d.release = Release{Lease: r.lease("lease"), Handed: r.bool("handed")}
	return &d.release
}

func (m *Release) append(dst []byte, request uint64) []byte {
	dst = appendLease(appendHead(dst, 2, KindRelease, request), m.Lease)
	return appendBool(dst, m.Handed)
}

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
