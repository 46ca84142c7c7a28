package wire

// Heartbeat reports that a worker lives, and its external load. It is not
// answered.
type Heartbeat struct {
	Handle   uint32 `wire:"handle uint32"`   // which worker of the connection
	Seq      uint32 `wire:"seq uint32"`      // number of the report, greater than that of the report before
	External uint32 `wire:"external uint32"` // tasks that run outside any lease
}

func (*Heartbeat) Kind() Kind { return KindHeartbeat }

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

// Begun reports that the task of a lease runs. It also answers Revoke when the
// task runs already.
type Begun struct {
	Handle uint32 `wire:"handle uint32"`
	Seq    uint32 `wire:"seq uint32"`
	Record Record `wire:"record record"`
}

func (*Begun) Kind() Kind { return KindBegun }

func readBegun(d *Decoder, _ int) Message {
	r := &d.r
	d.begun.Handle = r.uint32("handle")
	d.begun.Seq = r.uint32("seq")
	r.list = "record"
	n := r.part(alone, &recordFields)
	r.record(&d.begun.Record, n)
	if r.err == nil && n > len(recordFields.list) {
		r.skip(n-len(recordFields.list), 2)
	}
	r.list = ""
	return &d.begun
}

func (m *Begun) append(dst []byte, request uint64) []byte {
	dst = appendReport(dst, 3, KindBegun, request, m.Handle, m.Seq)
	return m.Record.append(dst)
}

// End reports that the task of a lease is over, or was refused. Repeated until
// Ended answers it.
type End struct {
	Handle  uint32  `wire:"handle uint32"`
	Seq     uint32  `wire:"seq uint32"`
	Lease   LeaseID `wire:"lease lease"`
	Outcome Reason  `wire:"outcome outcome"` // ReasonOK to ReasonLost
}

func (*End) Kind() Kind { return KindEnd }

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

// Ended acknowledges End.
type Ended struct{}

func (*Ended) Kind() Kind { return KindEnded }

func (*Ended) append(dst []byte, request uint64) []byte {
	return appendHead(dst, 0, KindEnded, request)
}

// Revoke asks a lease back.
type Revoke struct {
	Handle uint32  `wire:"handle uint32"`
	Lease  LeaseID `wire:"lease lease"`
}

func (*Revoke) Kind() Kind { return KindRevoke }

func readRevoke(d *Decoder, _ int) Message {
	r := &d.r
	d.revoke = Revoke{Handle: r.uint32("handle"), Lease: r.lease("lease")}
	return &d.revoke
}

func (m *Revoke) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 2, KindRevoke, request), uint64(m.Handle))
	return appendLease(dst, m.Lease)
}

// Revoked answers Revoke: the lease has not begun and never will.
type Revoked struct {
	Handle uint32  `wire:"handle uint32"`
	Seq    uint32  `wire:"seq uint32"`
	Lease  LeaseID `wire:"lease lease"`
}

func (*Revoked) Kind() Kind { return KindRevoked }

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
