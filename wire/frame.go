package wire

import "encoding/binary"

// lengthSize is the size of the length in front of a frame, in bytes.
const lengthSize = 4

// Split cuts the first frame off buf. There are three outcomes. A frame: its
// bytes without the length, and n, the bytes that it and its length take. More
// bytes are needed: frame is nil, n is 0 and err is nil. The frame is bad: err
// is an *Error with CodeFrameTooLarge if the frame is longer than limit bytes
// (known from its first four), or CodeBadFrame if it is empty; the connection
// must be closed, as nothing behind it can be read.
func Split(buf []byte, limit int) (frame []byte, n int, err error) {
	if len(buf) < lengthSize {
		return nil, 0, nil
	}
	length := uint64(binary.BigEndian.Uint32(buf))
	if length == 0 {
		return nil, 0, badFrame("the frame is empty")
	}
	if length > uint64(limit) {
		return nil, 0, &Error{Code: CodeFrameTooLarge, Message: "the frame is too long", Limit: uint64(limit)}
	}
	if uint64(len(buf)-lengthSize) < length {
		return nil, 0, nil
	}
	n = lengthSize + int(length)
	return buf[lengthSize:n:n], n, nil
}

// Append appends m as a whole frame, its length included. It checks no limits:
// the reader refuses a message that exceeds one.
func Append(dst []byte, request uint64, m Message) []byte {
	start := len(dst)
	dst = m.append(append(dst, 0, 0, 0, 0), request)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthSize))
	return dst
}

// appendHead appends what every message starts with, for a message of the
// given number of fields.
func appendHead(dst []byte, fields int, k Kind, request uint64) []byte {
	dst = append(appendArray(dst, 2+fields), byte(k))
	return appendUint(dst, request)
}
