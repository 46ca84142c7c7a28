package wire

import (
	"fmt"
	"strings"
)

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

// badFrame says that a frame is broken in a way that leaves nothing to answer
// in it.
func badFrame(text string) *Error {
	return &Error{Code: CodeBadFrame, Message: text}
}

// badField says what is wrong with one field of a message.
func badField(field string, limit uint64, text string) *Error {
	if field == "" {
		return &Error{Code: CodeBadRequest, Message: text, Limit: limit}
	}
	return &Error{Code: CodeBadRequest, Field: field, Message: field + " " + text, Limit: limit}
}
