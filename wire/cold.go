package wire

import (
	"github.com/vmihailenco/msgpack/v5"
)

// coldMessage is a message that is rare: its fields are a list, and
// msgpack/v5 reads and writes their values.
type coldMessage interface {
	Message
	fields() []field
}

// field is one field of a cold message.
type field struct {
	name string
	coder
}

// coder reads and writes the value of a field.
type coder interface {
	// read takes the value off d.r; it records failures there.
	read(d *Decoder, name string)
	write(e *msgpack.Encoder) error
}

// decodeCold reads n fields of a message of a cold kind, once the whole frame
// was walked.
func (d *Decoder) decodeCold(kind uint64, n int) Message {
	r := &d.r
	if r.err = walk(r.b); r.err != nil {
		return nil
	}
	m := newCold(kind)
	if m == nil {
		r.err = &Error{Code: CodeUnknownKind, Message: "the kind is not known here"}
		return nil
	}
	d.readFields(m.fields(), n)
	return m
}

// readFields reads the fields of a message, or of a part of one, of which n
// are there.
func (d *Decoder) readFields(fields []field, n int) {
	for i, f := range fields {
		if d.r.err != nil {
			return
		}
		if i == n {
			if _, optional := f.coder.(trailing); optional {
				return
			}
			d.r.fail(f.name, 0, "is missing")
			return
		}
		f.read(d, f.name)
	}
}

// trailing codes a field that may be missing, as may all fields behind it.
type trailing struct {
	coder
	zero bool // it says nothing, and is left out if the fields behind it are
}

// optional returns f as a field that may be missing. zero says whether it says
// nothing when it is written.
func optional(f field, zero bool) field {
	return field{f.name, trailing{f.coder, zero}}
}

// used returns the fields that must be written.
func used(fields []field) []field {
	for len(fields) > 0 {
		last, ok := fields[len(fields)-1].coder.(trailing)
		if !ok || !last.zero {
			break
		}
		fields = fields[:len(fields)-1]
	}
	return fields
}

// appender is a byte slice that an encoder writes to.
type appender struct {
	b []byte
}

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func (a *appender) WriteByte(c byte) error {
	a.b = append(a.b, c)
	return nil
}

// appendCold appends a cold message.
func appendCold(dst []byte, request uint64, m coldMessage) []byte {
	fields := used(m.fields())
	out := appender{b: appendHead(dst, len(fields), m.Kind(), request)}
	e := msgpack.NewEncoder(&out)
	e.UseCompactInts(true)
	if err := writeFields(e, fields); err != nil {
		panic("wire: " + m.Kind().String() + ": " + err.Error())
	}
	return out.b
}

func writeFields(e *msgpack.Encoder, fields []field) error {
	for _, f := range fields {
		if err := f.write(e); err != nil {
			return err
		}
	}
	return nil
}
