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

// Grantor names one life of a scheduler: the epoch and the random instance that
// a worker promises to obey.
type Grantor struct {
	Epoch    uint32 `wire:"epoch uint32"`    // 1 to MaxEpoch; 0: none
	Instance uint32 `wire:"instance uint32"` // 0: none
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

// Digest returns 64 bits that stand for id. The digest of a worker is the XOR
// of those of its leases that run: it says whether two ends know of the same
// leases, and follows each begin and end without a look at the others. It
// guards against mistakes, not against forgery.
func (id LeaseID) Digest() uint64 {
	grantor := uint64(id.Epoch)<<32 | uint64(id.Instance)
	return mix(mix(grantor+0x9e3779b97f4a7c15) + id.Counter)
}

// mix spreads each bit of x over all bits; no two numbers give the same.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
