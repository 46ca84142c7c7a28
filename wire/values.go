package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// unlimited is the limit of a count that only the frame bounds.
const unlimited = math.MaxInt

// Of every rule for strings there is a check, which records what is wrong. The
// readers here call it only then.

// id reads an id of 1..MaxID bytes.
func (r *reader) id(field string) []byte {
	b := r.str(field)
	if len(b) < 1 || len(b) > MaxID || !allIDBytes(b) {
		r.checkID(field, b)
	}
	return b
}

func (r *reader) checkID(field string, id []byte) {
	switch {
	case len(id) == 0:
		r.fail(field, 0, "is empty")
	case len(id) > MaxID:
		r.fail(field, MaxID, "has too many bytes")
	case !allIDBytes(id):
		r.fail(field, 0, "holds a byte other than A-Z a-z 0-9 . _ : @ / -")
	}
}

// optionalID reads an id that may be empty.
func (r *reader) optionalID(field string) []byte {
	b := r.str(field)
	if len(b) > MaxID || !allIDBytes(b) {
		r.checkID(field, b)
	}
	return b
}

func (r *reader) checkOptionalID(field string, id []byte) {
	if len(id) > 0 {
		r.checkID(field, id)
	}
}

// text reads a string of at most most bytes of valid UTF-8 without control
// characters.
func (r *reader) text(field string, most int) []byte {
	b := r.str(field)
	if len(b) > most || !plainText(b) {
		r.checkText(field, b, most)
	}
	return b
}

func (r *reader) checkText(field string, text []byte, most int) {
	if len(text) > most {
		r.fail(field, uint64(most), "has too many bytes")
	} else if !plainText(text) {
		r.fail(field, 0, "is not UTF-8 without control characters")
	}
}

// foreign reads a string that may have come over HTTP: valid UTF-8 of any
// length.
func (r *reader) foreign(field string) []byte {
	b := r.str(field)
	if !utf8.Valid(b) {
		r.checkString(field, b)
	}
	return b
}

func (r *reader) checkString(field string, text []byte) {
	if !utf8.Valid(text) {
		r.fail(field, 0, "is not UTF-8")
	}
}

// tags reads an array of at most most tags and returns its bytes, nil for no
// tags.
func (r *reader) tags(field string, most int) []byte {
	from := r.pos
	n := r.array(field, most)
	if n == 0 {
		return nil
	}
	for range n {
		if size := shortTag(r.b[r.pos:]); size != 0 {
			r.pos += size
			continue
		}
		if r.checkTag(field, r.str(field)); r.err != nil {
			return nil
		}
	}
	return r.b[from:r.pos:r.pos]
}

// shortTag returns the size of the value that b starts with if that is a
// string of 1 to 31 bytes of printable ASCII, as almost every tag is, else 0.
func shortTag(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	size := int(b[0]) - codeFixStr
	if size < 1 || size > 31 || size >= len(b) || !printable(b[1:], size) {
		return 0
	}
	return 1 + size
}

// checkTag refuses what is no tag.
func (r *reader) checkTag(field string, tag []byte) {
	switch {
	case len(tag) == 0:
		r.fail(field, 0, "holds an empty tag")
	case len(tag) > MaxTag:
		r.fail(field, MaxTag, "holds a tag of too many bytes")
	case !plainText(tag):
		r.fail(field, 0, "holds a tag that is not UTF-8 without control characters")
	}
}

// resources reads a map from names to amounts and returns its bytes, nil for
// an empty map.
func (r *reader) resources(field string) []byte {
	from := r.pos
	n := r.dict(field, MaxResources)
	if n == 0 {
		return nil
	}
	var names [MaxResources][]byte
	for i := range n {
		names[i] = r.id(field)
		r.uint(field, MaxAmount)
		for _, earlier := range names[:i] {
			if r.err == nil && bytes.Equal(names[i], earlier) {
				r.fail(field, 0, "names "+string(earlier)+" twice")
			}
		}
	}
	if r.err != nil {
		return nil
	}
	return r.b[from:r.pos:r.pos]
}

// lease reads a lease id: msgpack bin of LeaseIDSize bytes.
func (r *reader) lease(field string) LeaseID {
	if rest := r.b[r.pos:]; len(rest) >= 2+LeaseIDSize && rest[0] == codeBin8 && rest[1] == LeaseIDSize {
		r.pos += 2 + LeaseIDSize
		return leaseFrom(rest[2:])
	}
	return r.wideLease(field)
}

const notALease = "is not a lease id, 16 bytes of bin"

// wideLease is lease for ids with a longer head, and for everything that is
// wrong.
func (r *reader) wideLease(field string) LeaseID {
	b := r.bin(field, LeaseIDSize, notALease)
	if b == nil {
		return LeaseID{}
	}
	return leaseFrom(b)
}

// digest reads a digest: msgpack bin of digestSize bytes.
func (r *reader) digest(field string) uint64 {
	b := r.bin(field, digestSize, "is not a digest, 8 bytes of bin")
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// bin reads a bin of exactly size bytes; wrong says that it is not one.
func (r *reader) bin(field string, size int, wrong string) []byte {
	if r.pos >= len(r.b) {
		r.failCut(field)
		return nil
	}
	c := r.b[r.pos]
	if c < codeBin8 || c > codeBin32 {
		r.fail(field, 0, wrong)
		return nil
	}
	b := r.take(field, r.big(field, 1<<(c-codeBin8)))
	if len(b) != size {
		r.fail(field, uint64(size), wrong)
		return nil
	}
	return b
}

// leaseFrom reads what LeaseID.Bytes returned.
func leaseFrom(b []byte) LeaseID {
	return LeaseID{
		Epoch:    binary.BigEndian.Uint32(b[0:]),
		Instance: binary.BigEndian.Uint32(b[4:]),
		Counter:  binary.BigEndian.Uint64(b[8:]),
	}
}

// incarnation reads a number that is never 0.
func (r *reader) incarnation(field string) uint64 {
	n := r.uint(field, math.MaxUint64)
	if n == 0 {
		r.fail(field, 0, "is 0")
	}
	return n
}

func (r *reader) checkIncarnation(field string, n uint64) {
	if n == 0 {
		r.fail(field, 0, "is 0")
	}
}

// outcome reads an outcome, or ReasonNone where none is allowed.
func (r *reader) outcome(field string, none bool) Reason {
	o := Reason(r.uint(field, math.MaxUint8))
	if !o.IsOutcome() && !(none && o == ReasonNone) {
		r.fail(field, uint64(ReasonLost), "is not an outcome")
	}
	return o
}

// workers reads an array of at most most worker ids, as HTTP ones may be, and
// returns its bytes, nil for none.
func (r *reader) workers(field string, most int) []byte {
	from := r.pos
	n := r.array(field, most)
	if n == 0 {
		return nil
	}
	for range n {
		if len(r.foreign(field)) == 0 {
			r.fail(field, 0, "holds an empty id")
		}
		if r.err != nil {
			return nil
		}
	}
	return r.b[from:r.pos:r.pos]
}
