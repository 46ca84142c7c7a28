package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// unlimited is the limit of a count that only the frame bounds.
const unlimited = math.MaxInt

// id reads an id of 1..MaxID bytes.
func (r *reader) id(field string) []byte {
	b := r.str(field)
	if size := len(b); size < 1 || size > MaxID || !allIDBytes(b) {
		r.failID(field, b)
		return nil
	}
	return b
}

// optionalID reads an id that may be empty.
func (r *reader) optionalID(field string) []byte {
	b := r.str(field)
	if len(b) > MaxID || !allIDBytes(b) {
		r.failID(field, b)
		return nil
	}
	return b
}

// failID records what is wrong with an id.
func (r *reader) failID(field string, id []byte) {
	switch {
	case len(id) == 0:
		r.fail(field, 0, "is empty")
	case len(id) > MaxID:
		r.fail(field, MaxID, "has too many bytes")
	default:
		r.fail(field, 0, "holds a byte other than A-Z a-z 0-9 . _ : @ / -")
	}
}

// text reads a string of at most most bytes of valid UTF-8 without control
// characters.
func (r *reader) text(field string, most int) []byte {
	b := r.str(field)
	if len(b) > most {
		r.fail(field, uint64(most), "has too many bytes")
		return nil
	}
	if !plainText(b) {
		r.fail(field, 0, "is not UTF-8 without control characters")
		return nil
	}
	return b
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
		if tag := r.str(field); len(tag) == 0 || len(tag) > MaxTag || !plainText(tag) {
			r.failTag(field, tag)
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

// failTag records what is wrong with a tag.
func (r *reader) failTag(field string, tag []byte) {
	switch {
	case len(tag) == 0:
		r.fail(field, 0, "holds an empty tag")
	case len(tag) > MaxTag:
		r.fail(field, MaxTag, "holds a tag of too many bytes")
	default:
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

// wideLease is lease for ids with a longer head, and for everything that is
// wrong.
func (r *reader) wideLease(field string) LeaseID {
	b := r.bin(field, LeaseIDSize, "is not a lease id, 16 bytes of bin")
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

// deadline reads how long a drain lets things run. 0 could mean at once, or for
// ever, so it means neither.
func (r *reader) deadline(field string) uint64 {
	n := r.uint(field, MaxDrain)
	if n == 0 {
		r.fail(field, MaxDrain, "is 0: say 1 for at once, or leave it out for no deadline")
	}
	return n
}

// outcome reads an outcome, or ReasonNone where none is allowed.
func (r *reader) outcome(field string, none bool) Reason {
	o := Reason(r.uint(field, math.MaxUint8))
	if !o.IsOutcome() && !(none && o == ReasonNone) {
		r.fail(field, uint64(ReasonLost), "is not an outcome")
	}
	return o
}

// foreign reads a string that may have come over HTTP: valid UTF-8 of any
// length.
func (r *reader) foreign(field string) []byte {
	b := r.str(field)
	if !utf8.Valid(b) {
		r.fail(field, 0, "is not UTF-8")
		return nil
	}
	return b
}

// role reads a role.
func (r *reader) role(field string) {
	if role := Role(r.uint(field, uint64(RoleAgent))); role != RoleClient && role != RoleAgent {
		r.fail(field, uint64(RoleAgent), "is not a role")
	}
}

// workerState reads the name of a worker's state, or "" for all.
func (r *reader) workerState(field string) {
	switch string(r.str(field)) {
	case "", "online", "suspicious", "offline":
		return
	}
	r.fail(field, 0, "is not online, suspicious, offline or empty")
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
			return nil
		}
	}
	return r.b[from:r.pos:r.pos]
}

// amounts reads a map from names of resources to sums. No name may come twice.
func (r *reader) amounts(field string) {
	n := r.dict(field, MaxCounts)
	names := make(map[string]bool, n)
	for range n {
		key := string(r.id(field))
		r.uint(field, math.MaxInt64)
		if r.err == nil && names[key] {
			r.fail(field, 0, "names "+key+" twice")
		}
		names[key] = true
	}
}

// counts reads a map from names to counts. No name may come twice.
func (r *reader) counts(field string) {
	n := r.dict(field, MaxCounts)
	names := make(map[string]bool, n)
	for range n {
		key := string(r.text(field, MaxText))
		r.uint(field, math.MaxUint64)
		if r.err == nil && names[key] {
			r.fail(field, 0, "names "+key+" twice")
		}
		names[key] = true
	}
}

// EachTag calls visit for each tag of raw, a msgpack array of strings as in
// Schedule.Tags, until visit returns false. An empty raw holds none; at the
// first byte that is not as expected it stops.
func EachTag(raw []byte, visit func(tag []byte) bool) {
	if len(raw) == 0 {
		return
	}
	r := reader{b: raw}
	for range r.array("", unlimited) {
		tag := r.str("")
		if r.err != nil || !visit(tag) {
			return
		}
	}
}

// EachWorker calls visit for each id of raw, a msgpack array of strings as in
// Schedule.NotWorkers, until visit returns false. An empty raw holds none; at
// the first byte that is not as expected it stops.
func EachWorker(raw []byte, visit func(id []byte) bool) { EachTag(raw, visit) }

// EachResource calls visit for each name and amount of raw, a msgpack map as
// in Schedule.Resources, until visit returns false. An empty raw holds none;
// at the first byte that is not as expected it stops.
func EachResource(raw []byte, visit func(name []byte, amount int64) bool) {
	if len(raw) == 0 {
		return
	}
	r := reader{b: raw}
	for range r.dict("", unlimited) {
		key, amount := r.str(""), r.uint("", math.MaxInt64)
		if r.err != nil || !visit(key, int64(amount)) {
			return
		}
	}
}

// ReadTarget returns the worker's id and address of Placed.Target. Both are
// empty if raw is not what AppendTarget wrote.
func ReadTarget(raw []byte) (worker, address string) {
	r := reader{b: raw}
	w, a := r.str(""), r.str("")
	if r.err != nil {
		return "", ""
	}
	return string(w), string(a)
}
