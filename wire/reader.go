package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The first bytes of msgpack values, as far as they are not a range.
const (
	codeNil     = 0xc0
	codeUnused  = 0xc1
	codeFalse   = 0xc2
	codeTrue    = 0xc3
	codeBin8    = 0xc4
	codeBin16   = 0xc5
	codeBin32   = 0xc6
	codeExt8    = 0xc7
	codeExt32   = 0xc9
	codeFloat32 = 0xca
	codeFloat64 = 0xcb
	codeUint8   = 0xcc
	codeUint16  = 0xcd
	codeUint32  = 0xce
	codeUint64  = 0xcf
	codeInt8    = 0xd0
	codeInt16   = 0xd1
	codeInt32   = 0xd2
	codeInt64   = 0xd3
	codeFixExt1 = 0xd4
	codeFixExt6 = 0xd8
	codeStr8    = 0xd9
	codeStr16   = 0xda
	codeStr32   = 0xdb
	codeArray16 = 0xdc
	codeArray32 = 0xdd
	codeMap16   = 0xde
	codeMap32   = 0xdf

	codeFixMap   = 0x80 // to 0x8f
	codeFixArray = 0x90 // to 0x9f
	codeFixStr   = 0xa0 // to 0xbf
	codeNegative = 0xe0 // to 0xff
	maxPositive  = 0x7f // 0x00 to here are the numbers themselves
)

// reader takes the values of one message off a frame, one after another. Its
// first failure stays and empties it, so that a caller may read all fields
// and look at err once. Every slice that it returns lies in the frame.
type reader struct {
	b   []byte // the frame
	pos int    // of the next value in b
	err *Error // the first failure

	list  string // the field whose parts are being read, "" outside of such
	index int    // of the part in it, or alone
}

// alone is the index of a part that is no element of a list.
const alone = -1

// fail records the first failure: what is wrong with the field, and the limit
// that it broke, or 0.
func (r *reader) fail(field string, limit uint64, text string) {
	if r.err != nil {
		return
	}
	if r.list != "" {
		part := r.list
		if r.index != alone {
			part = fmt.Sprintf("%s[%d]", part, r.index)
		}
		if field != "" {
			part += "." + field
		}
		field = part
	}
	r.err = badField(field, limit, text)
	r.b, r.pos = nil, 0
}

// failCut records that the frame ends within a value.
func (r *reader) failCut(field string) {
	r.fail(field, 0, "is longer than the frame")
}

// big reads a big-endian number of size 1, 2, 4 or 8 bytes that follows the
// value's first byte, and steps over both.
func (r *reader) big(field string, size int) uint64 {
	from := r.pos + 1
	if size > len(r.b)-from {
		r.failCut(field)
		return 0
	}
	r.pos = from + size
	b := r.b[from:r.pos]
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	default:
		return binary.BigEndian.Uint64(b)
	}
}

// uint reads an integer of any width that lies in 0..most.
func (r *reader) uint(field string, most uint64) uint64 {
	if r.pos < len(r.b) && r.b[r.pos] <= maxPositive && uint64(r.b[r.pos]) <= most {
		r.pos++
		return uint64(r.b[r.pos-1])
	}
	return r.wideUint(field, most)
}

// wideUint is uint for numbers of more than 7 bits. The usual forms are read
// here without a further call.
func (r *reader) wideUint(field string, most uint64) uint64 {
	rest := r.b[r.pos:]
	if len(rest) < 2 {
		return r.oddUint(field, most)
	}
	var n uint64
	size := 1
	switch c := rest[0]; {
	case c == codeUint8:
		n = uint64(rest[1])
	case c == codeUint16 && len(rest) > 2:
		n, size = uint64(binary.BigEndian.Uint16(rest[1:])), 2
	case c == codeUint32 && len(rest) > 4:
		n, size = uint64(binary.BigEndian.Uint32(rest[1:])), 4
	case c == codeUint64 && len(rest) > 8:
		n, size = binary.BigEndian.Uint64(rest[1:]), 8
	default:
		return r.oddUint(field, most)
	}
	if n > most {
		return r.oddUint(field, most)
	}
	r.pos += 1 + size
	return n
}

// oddUint is uint for numbers of a signed type, and for everything that is
// wrong.
func (r *reader) oddUint(field string, most uint64) uint64 {
	n, negative := r.integer(field)
	return r.upTo(field, n, negative, most)
}

// upTo returns an integer that lies in 0..most, given as integer returns it.
func (r *reader) upTo(field string, n uint64, negative bool, most uint64) uint64 {
	if negative {
		r.fail(field, 0, "is negative")
	} else if n > most {
		r.fail(field, most, "is too large")
	}
	if r.err != nil {
		return 0
	}
	return n
}

// int reads an integer of any width that lies in -most..most.
func (r *reader) int(field string, most int64) int64 {
	n, negative := r.integer(field)
	return r.around(field, n, negative, most)
}

// around returns an integer that lies in -most..most, given as integer returns
// it.
func (r *reader) around(field string, n uint64, negative bool, most int64) int64 {
	if negative && int64(n) < -most {
		r.fail(field, uint64(most), "is too small")
	} else if !negative && n > uint64(most) {
		r.fail(field, uint64(most), "is too large")
	}
	if r.err != nil {
		return 0
	}
	return int64(n)
}

// integer reads an integer of any width: its 64 bits in two's complement, and
// whether it is negative.
func (r *reader) integer(field string) (n uint64, negative bool) {
	if r.pos >= len(r.b) {
		r.failCut(field)
		return 0, false
	}
	switch c := r.b[r.pos]; {
	case c <= maxPositive:
		r.pos++
		return uint64(c), false
	case c >= codeNegative:
		r.pos++
		return uint64(int64(int8(c))), true
	case c >= codeUint8 && c <= codeUint64:
		return r.big(field, 1<<(c-codeUint8)), false
	case c >= codeInt8 && c <= codeInt64:
		size := 1 << (c - codeInt8)
		shift := 64 - 8*size
		signed := int64(r.big(field, size)<<shift) >> shift
		return uint64(signed), signed < 0
	}
	r.fail(field, 0, "is not an integer")
	return 0, false
}

// uint32 reads any number of 32 bits.
func (r *reader) uint32(field string) uint32 {
	return uint32(r.uint(field, math.MaxUint32))
}

// bool reads true or false.
func (r *reader) bool(field string) bool {
	if r.pos >= len(r.b) {
		r.failCut(field)
		return false
	}
	c := r.b[r.pos]
	if c != codeFalse && c != codeTrue {
		r.fail(field, 0, "is not a boolean")
		return false
	}
	r.pos++
	return c == codeTrue
}

// str reads a string of any width, nil if it is empty.
func (r *reader) str(field string) []byte {
	if r.pos < len(r.b) {
		size := int(r.b[r.pos]) - codeFixStr
		if from := r.pos + 1; uint(size) < 32 && size <= len(r.b)-from {
			r.pos = from + size
			if size == 0 {
				return nil
			}
			return r.b[from:r.pos:r.pos]
		}
	}
	return r.wideStr(field)
}

// wideStr is str for strings whose length does not fit into their first byte,
// and for everything that is wrong.
func (r *reader) wideStr(field string) []byte {
	if r.pos >= len(r.b) {
		r.failCut(field)
		return nil
	}
	var size uint64
	switch c := r.b[r.pos]; {
	case c >= codeStr8 && c <= codeStr32:
		size = r.big(field, 1<<(c-codeStr8))
	case c >= codeFixStr && c < codeNil:
		size = uint64(c - codeFixStr)
		r.pos++
	default:
		r.fail(field, 0, "is not a string")
	}
	return r.take(field, size)
}

// take steps over size bytes and returns them, nil for none.
func (r *reader) take(field string, size uint64) []byte {
	if size > uint64(len(r.b)-r.pos) {
		r.failCut(field)
		return nil
	}
	if size == 0 {
		return nil
	}
	from := r.pos
	r.pos += int(size)
	return r.b[from:r.pos:r.pos]
}

// array reads the head of an array of at most most values. Each value has a
// byte at least, so a count that is larger than what remains is refused
// before anything is made for it.
func (r *reader) array(field string, most int) int {
	return r.count(field, most, codeFixArray, codeArray16, 1, "is not an array")
}

// dict reads the head of a map of at most most pairs.
func (r *reader) dict(field string, most int) int {
	return r.count(field, most, codeFixMap, codeMap16, 2, "is not a map")
}

// count reads the head of an array or map. The codes of the wide heads follow
// one another: 16 bits, then 32.
func (r *reader) count(field string, most int, fix, wide byte, each uint64, wrong string) int {
	if r.pos >= len(r.b) {
		r.failCut(field)
		return 0
	}
	var n uint64
	switch c := r.b[r.pos]; {
	case c&0xf0 == fix:
		n = uint64(c & 0x0f)
		r.pos++
	case c == wide:
		n = r.big(field, 2)
	case c == wide+1:
		n = r.big(field, 4)
	default:
		r.fail(field, 0, wrong)
		return 0
	}
	if n*each > uint64(len(r.b)-r.pos) {
		r.failCut(field)
		return 0
	}
	if n > uint64(most) {
		r.fail(field, uint64(most), "holds too many values")
		return 0
	}
	return int(n)
}
