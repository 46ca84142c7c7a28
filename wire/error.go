package wire

import (
	"fmt"
	"strings"
)

// Error refuses a request, or says why a connection closes.
type Error struct {
	Code         Code   `wire:"code uint16"`           // what is wrong, as a number for programs
	Message      string `wire:"message string"`        // a sentence for people
	Field        string `wire:"field string"`          // the field at fault, or ""
	Limit        uint64 `wire:"limit uint64"`          // the limit that was broken, or 0
	RetryAfterMS uint32 `wire:"retry_after_ms uint32"` // when a repeat makes sense, or 0
}

func (*Error) Kind() Kind { return KindError }

// Error implements the error interface: the name of the code, the sentence,
// the field it does not name already, and the limit that was broken.
func (m *Error) Error() string {
	var b strings.Builder
	b.WriteString(m.Code.String())
	if m.Field != "" && !strings.HasPrefix(m.Message, m.Field) {
		b.WriteString(": " + m.Field)
	}
	if m.Message != "" {
		b.WriteString(": " + m.Message)
	}
	if m.Limit != 0 {
		fmt.Fprintf(&b, " (limit %d)", m.Limit)
	}
	return b.String()
}

// append writes an error without msgpack/v5: refusals are as frequent as
// placements when the fleet is full.
func (m *Error) append(dst []byte, request uint64) []byte {
	dst = appendUint(appendHead(dst, 5, KindError, request), uint64(m.Code))
	dst = appendStr(appendStr(dst, m.Message), m.Field)
	return appendUint(appendUint(dst, m.Limit), uint64(m.RetryAfterMS))
}

// badFrame says that a frame is broken in a way that leaves nothing to answer
// in it.
func badFrame(text string) *Error {
	return &Error{Code: CodeBadFrame, Message: text}
}

// badField says what is wrong with one field of a message, or with the message
// as a whole where field is empty.
func badField(field string, limit uint64, text string) *Error {
	subject := field
	if field == "" {
		subject = "the message"
	}
	return &Error{Code: CodeBadRequest, Field: field, Message: subject + " " + text, Limit: limit}
}
