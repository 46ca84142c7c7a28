package wire

import (
	"encoding/binary"
	"math"
)

// appendUint appends n in its shortest form.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n <= maxPositive:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, codeUint8, byte(n))
	case n <= math.MaxUint16:
		return append(dst, codeUint16, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return append(dst, codeUint32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeUint64), n)
}

// appendInt appends n in its shortest form.
func appendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n))
	case n >= math.MinInt8:
		return append(dst, codeInt8, byte(n))
	case n >= math.MinInt16:
		return append(dst, codeInt16, byte(n>>8), byte(n))
	case n >= math.MinInt32:
		return append(dst, codeInt32, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeInt64), uint64(n))
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

// appendStr appends a string with its shortest head.
func appendStr[T string | []byte](dst []byte, s T) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, codeFixStr|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, codeStr8, byte(n))
	case n <= math.MaxUint16:
		dst = append(dst, codeStr16, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, codeStr32), uint32(n))
	}
	return append(dst, s...)
}

// appendArray appends the head of an array of n values.
func appendArray(dst []byte, n int) []byte {
	return appendCount(dst, n, codeFixArray, codeArray16)
}

// appendCount appends the head of an array or map.
func appendCount(dst []byte, n int, fix, wide byte) []byte {
	switch {
	case n < 16:
		return append(dst, fix|byte(n))
	case n <= math.MaxUint16:
		return append(dst, wide, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, wide+1), uint32(n))
}

// appendLease appends a lease id as bin of LeaseIDSize bytes.
func appendLease(dst []byte, id LeaseID) []byte {
	dst = append(dst, codeBin8, LeaseIDSize)
	dst = binary.BigEndian.AppendUint32(dst, id.Epoch)
	dst = binary.BigEndian.AppendUint32(dst, id.Instance)
	return binary.BigEndian.AppendUint64(dst, id.Counter)
}

// appendRaw appends a value that is msgpack already, or the empty value of its
// kind for none.
func appendRaw(dst, raw []byte, empty byte) []byte {
	if len(raw) == 0 {
		return append(dst, empty)
	}
	return append(dst, raw...)
}
