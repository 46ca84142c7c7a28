package wire

import "encoding/binary"

// LeaseIDSize is the length of a lease id on the wire, in bytes.
const LeaseIDSize = 16

// LeaseID names one lease for ever: the epoch and the random instance of the
// scheduler that granted it, and a counter of that instance. On the wire it is
// 16 bytes of msgpack bin; its text is three hexadecimal numbers joined by
// dashes.
type LeaseID struct {
	Epoch    uint32
	Instance uint32 // never 0
	Counter  uint64
}

// IsZero reports whether id names no lease.
func (id LeaseID) IsZero() bool { return id == LeaseID{} }

// Bytes returns the wire form of id.
func (id LeaseID) Bytes() (b [LeaseIDSize]byte) {
	binary.BigEndian.PutUint32(b[0:], id.Epoch)
	binary.BigEndian.PutUint32(b[4:], id.Instance)
	binary.BigEndian.PutUint64(b[8:], id.Counter)
	return b
}

// Grantor names one life of a scheduler: the epoch and the random instance
// that a worker promises to obey.
type Grantor struct {
	Epoch    uint32
	Instance uint32 // 0: none
}

// Record is all that is needed to rebuild a lease: it travels in Register and
// Begun. The byte slices of a decoded Record belong to the decoder's input.
type Record struct {
	Lease     LeaseID
	Task      []byte // id, 1..MaxID bytes
	Client    []byte // client id of the client it was granted to; may be empty
	Owner     []byte
	Group     []byte
	Priority  int32
	Resources []byte // raw msgpack map from name to amount; empty for none
	Outcome   Reason // ReasonNone while it runs; an outcome if it ended and the end was not acknowledged yet
}
