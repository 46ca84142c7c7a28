package wire

import (
	"encoding/binary"
	"strconv"
	"strings"
)

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
	Devices   uint64 // as in Placed; whole devices if Resources has gpu, else a share of gpu_mem on one
	Exclusive bool   // it takes the whole worker
	OnPreempt OnPreempt
}

// leaseIDText is the longest text of a LeaseID, in bytes.
const leaseIDText = 8 + 1 + 8 + 1 + 16

// String returns the text of id: epoch, instance and counter in hexadecimal,
// such as "3-9f04c2d1-2a".
func (id LeaseID) String() string {
	b, _ := id.AppendText(make([]byte, 0, leaseIDText))
	return string(b)
}

// AppendText appends the text of id; the error is always nil.
func (id LeaseID) AppendText(b []byte) ([]byte, error) {
	b = strconv.AppendUint(b, uint64(id.Epoch), 16)
	b = strconv.AppendUint(append(b, '-'), uint64(id.Instance), 16)
	return strconv.AppendUint(append(b, '-'), id.Counter, 16), nil
}

// MarshalText returns the text of id; the error is always nil.
func (id LeaseID) MarshalText() ([]byte, error) {
	return id.AppendText(nil)
}

// UnmarshalText reads what MarshalText wrote. It fails like ParseLeaseID.
func (id *LeaseID) UnmarshalText(text []byte) error {
	parsed, err := ParseLeaseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseLeaseID reads the text of a lease id. It accepts only what String
// writes; anything else is an *Error with CodeBadRequest for the field
// lease_id.
func ParseLeaseID(s string) (LeaseID, error) {
	parts := strings.Split(s, "-")
	if len(s) <= leaseIDText && len(parts) == 3 {
		epoch, errEpoch := strconv.ParseUint(parts[0], 16, 32)
		instance, errInstance := strconv.ParseUint(parts[1], 16, 32)
		counter, errCounter := strconv.ParseUint(parts[2], 16, 64)
		id := LeaseID{Epoch: uint32(epoch), Instance: uint32(instance), Counter: counter}
		if errEpoch == nil && errInstance == nil && errCounter == nil && id.String() == s {
			return id, nil
		}
	}
	return LeaseID{}, badField("lease_id", 0, "is not three hexadecimal numbers joined by dashes")
}
