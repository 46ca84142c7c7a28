package wire

func readPromised(d *Decoder, _ int) Message {
	r := &d.r
	d.promised = Promised{
		Handle:  r.uint32("handle"),
		Grantor: Grantor{Epoch: r.uint32("epoch"), Instance: r.uint32("instance")},
	}
	return &d.promised
}

func (m *Promised) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 3, KindPromised, request), uint64(m.Handle))
	dst = appendUint(dst, uint64(m.Grantor.Epoch))
	return appendUint(dst, uint64(m.Grantor.Instance))
}

func readHeartbeat(d *Decoder, _ int) Message {
	r := &d.r
	d.heartbeat = Heartbeat{
		Handle:   r.uint32("handle"),
		Seq:      r.uint32("seq"),
		External: r.uint32("external"),
	}
	return &d.heartbeat
}

func (m *Heartbeat) append(dst []byte, request uint64) []byte {
	dst = appendReport(dst, 3, KindHeartbeat, request, m.Handle, m.Seq)
	return appendUint(dst, uint64(m.External))
}

// appendReport appends what every report of a worker starts with.
func appendReport(dst []byte, fields int, k Kind, request uint64, handle, seq uint32) []byte {
	dst = appendUint(appendHead(dst, fields, k, request), uint64(handle))
	return appendUint(dst, uint64(seq))
}

func readBegun(d *Decoder, _ int) Message {
	r := &d.r
	d.begun.Handle = r.uint32("handle")
	d.begun.Seq = r.uint32("seq")
	r.list = "record"
	n := r.part(alone, recordFields, recordRequired)
	r.record(&d.begun.Record, n)
	if r.err == nil && n > len(recordFields) {
		r.skip(n-len(recordFields), 2)
	}
	r.list = ""
	return &d.begun
}

func (m *Begun) append(dst []byte, request uint64) []byte {
	dst = appendReport(dst, 3, KindBegun, request, m.Handle, m.Seq)
	return m.Record.append(dst)
}

func readEnd(d *Decoder, _ int) Message {
	r := &d.r
	d.end = End{
		Handle:  r.uint32("handle"),
		Seq:     r.uint32("seq"),
		Lease:   r.lease("lease"),
		Outcome: r.outcome("outcome", false),
	}
	return &d.end
}

func (m *End) append(dst []byte, request uint64) []byte {
	dst = appendReport(dst, 4, KindEnd, request, m.Handle, m.Seq)
	return appendUint(appendLease(dst, m.Lease), uint64(m.Outcome))
}

func readRevoke(d *Decoder, _ int) Message {
	r := &d.r
	d.revoke = Revoke{Handle: r.uint32("handle"), Lease: r.lease("lease")}
	return &d.revoke
}

func (m *Revoke) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 2, KindRevoke, request), uint64(m.Handle))
	return appendLease(dst, m.Lease)
}

func readRevoked(d *Decoder, _ int) Message {
	r := &d.r
	d.revoked = Revoked{
		Handle: r.uint32("handle"),
		Seq:    r.uint32("seq"),
		Lease:  r.lease("lease"),
	}
	return &d.revoked
}

func (m *Revoked) append(dst []byte, request uint64) []byte {
	return appendLease(appendReport(dst, 3, KindRevoked, request, m.Handle, m.Seq), m.Lease)
}

func (*Ping) append(dst []byte, request uint64) []byte { return appendHead(dst, 0, KindPing, request) }
func (*Pong) append(dst []byte, request uint64) []byte { return appendHead(dst, 0, KindPong, request) }
func (*Ended) append(dst []byte, request uint64) []byte {
	return appendHead(dst, 0, KindEnded, request)
}
