package wire

import (
	"maps"
	"math"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// check steps over a value of a frame, or records what is wrong with it.
type check func(r *reader, name string)

// leaf codes a number or string.
type leaf struct {
	check check
	value any // pointer to the variable that holds it
}

func (l leaf) read(d *Decoder, name string) { d.fill(name, l.check, l.value) }

func (l leaf) write(e *msgpack.Encoder) error { return e.Encode(l.value) }

// fill has msgpack/v5 read the bytes of the next value into the variable that
// value points to, if check finds nothing wrong with them.
func (d *Decoder) fill(name string, check check, value any) {
	r := &d.r
	from := r.pos
	check(r, name)
	if r.err != nil {
		return
	}
	if d.cold == nil {
		d.cold = msgpack.NewDecoder(&d.source)
	}
	d.source.Reset(r.b[from:r.pos])
	d.cold.Reset(&d.source)
	if err := d.cold.Decode(value); err != nil {
		r.fail(name, 0, "cannot be read: "+err.Error())
	}
}

// number is a field of an unsigned type with the given largest value.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](name string, value *T, most uint64) field {
	return field{name, leaf{func(r *reader, name string) { r.uint(name, most) }, value}}
}

func number8[T ~uint8](name string, value *T) field   { return number(name, value, math.MaxUint8) }
func number16[T ~uint16](name string, value *T) field { return number(name, value, math.MaxUint16) }
func number32(name string, value *uint32) field       { return number(name, value, math.MaxUint32) }
func number64(name string, value *uint64) field       { return number(name, value, math.MaxUint64) }

// limit is the field of that name in a request for a page.
func limit(value *uint32) field { return number("limit", value, MaxPage) }

// deadline is the field deadline_ms. It is left out where there is none.
func deadline(value *uint32) field {
	return field{"deadline_ms", leaf{func(r *reader, name string) { r.deadline(name) }, value}}
}

// boolean is a field that is true or false.
func boolean(name string, value *bool) field {
	return field{name, leaf{func(r *reader, name string) { r.bool(name) }, value}}
}

// priority is the field of that name.
func priority(value *int32) field {
	return field{"priority", leaf{func(r *reader, name string) { r.int(name, MaxPriority) }, value}}
}

// incarnation is the field of that name.
func incarnation(value *uint64) field {
	return field{"incarnation", leaf{func(r *reader, name string) { r.incarnation(name) }, value}}
}

// idOf is a field with an id.
func idOf(name string, value *string) field {
	return field{name, leaf{func(r *reader, name string) { r.id(name) }, value}}
}

// text is a field with at most most bytes of plain text.
func text(name string, value *string, most int) field {
	return field{name, leaf{func(r *reader, name string) { r.text(name, most) }, value}}
}

// foreign is a field with a string that may have come over HTTP, where ids are
// any text.
func foreign(name string, value *string) field {
	return field{name, leaf{func(r *reader, name string) { r.foreign(name) }, value}}
}

// list codes a list of strings; no strings are nil.
type list struct {
	check check
	value *[]string
}

func (l list) read(d *Decoder, name string) {
	d.fill(name, l.check, l.value)
	if len(*l.value) == 0 {
		*l.value = nil
	}
}

func (l list) write(e *msgpack.Encoder) error {
	if err := e.EncodeArrayLen(len(*l.value)); err != nil {
		return err
	}
	for _, s := range *l.value {
		if err := e.EncodeString(s); err != nil {
			return err
		}
	}
	return nil
}

// tags is a field with at most most tags.
func tags(name string, value *[]string, most int) field {
	return field{name, list{func(r *reader, name string) { r.tags(name, most) }, value}}
}

// foreigns is a field with strings that may have come over HTTP.
func foreigns(name string, value *[]string) field {
	return field{name, list{func(r *reader, name string) {
		for range r.array(name, unlimited) {
			r.foreign(name)
		}
	}, value}}
}

// numbers codes a map from names to numbers, which is written in order of the
// names; an empty one is nil.
type numbers[T int64 | uint64] struct {
	check check
	value *map[string]T
}

func (n numbers[T]) read(d *Decoder, name string) {
	d.fill(name, n.check, n.value)
	if len(*n.value) == 0 {
		*n.value = nil
	}
}

func (n numbers[T]) write(e *msgpack.Encoder) error {
	if err := e.EncodeMapLen(len(*n.value)); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(*n.value)) {
		if err := e.EncodeString(key); err != nil {
			return err
		}
		if err := e.Encode((*n.value)[key]); err != nil {
			return err
		}
	}
	return nil
}

// resources is the field of that name.
func resources(value *map[string]int64) field {
	return field{"resources", numbers[int64]{func(r *reader, name string) { r.resources(name) }, value}}
}

// amounts is a field with what was summed up of resources, which may be more
// than a single amount.
func amounts(name string, value *map[string]int64) field {
	return field{name, numbers[int64]{(*reader).amounts, value}}
}

// memory is a field with MiB.
func memory(name string, value *int64, most uint64) field {
	return field{name, leaf{func(r *reader, name string) { r.uint(name, most) }, value}}
}

// counts is a field with named counts of the scheduler.
func counts(name string, value *map[string]uint64) field {
	return field{name, numbers[uint64]{(*reader).counts, value}}
}

// lease is the field of that name.
type lease struct {
	value *LeaseID
}

func (l lease) read(d *Decoder, name string) { *l.value = d.r.lease(name) }

func (l lease) write(e *msgpack.Encoder) error {
	b := l.value.Bytes()
	return e.EncodeBytes(b[:])
}

// records codes the leases of a registration. A worker has thousands at times,
// so they are read without msgpack/v5.
type records struct {
	value *[]Record
}

func (l records) read(d *Decoder, name string) { *l.value = d.r.records(name) }

func (l records) write(e *msgpack.Encoder) error {
	b := appendArray(nil, len(*l.value))
	for i := range *l.value {
		b = (*l.value)[i].append(b)
	}
	return e.Encode(msgpack.RawMessage(b))
}

// rows codes a list of structs of which each is an array of its fields.
type rows[T any] struct {
	value  *[]T
	fields func(*T) []field
	most   int
}

// page is the field with the rows of a page.
func page[T any](value *[]T, fields func(*T) []field) field {
	return field{"rows", rows[T]{value, fields, MaxPage}}
}

// devices is the field of that name.
func devices[T any](value *[]T, fields func(*T) []field) field {
	return field{"devices", rows[T]{value, fields, MaxDevices}}
}

func (l rows[T]) read(d *Decoder, name string) {
	r := &d.r
	n := r.elements(name, 0, l.most)
	for i := range n {
		r.index = i
		*l.value = append(*l.value, *new(T))
		row[T]{&(*l.value)[i], l.fields}.readPart(d)
		if r.err != nil {
			return
		}
	}
	r.list = ""
}

func (l rows[T]) write(e *msgpack.Encoder) error {
	if err := e.EncodeArrayLen(len(*l.value)); err != nil {
		return err
	}
	for i := range *l.value {
		if err := (row[T]{&(*l.value)[i], l.fields}).write(e); err != nil {
			return err
		}
	}
	return nil
}

// row codes a struct as an array of its fields. Fields that are not known here
// were walked, and are stepped over.
type row[T any] struct {
	value  *T
	fields func(*T) []field
}

func (w row[T]) read(d *Decoder, name string) {
	d.r.list, d.r.index = name, alone
	w.readPart(d)
	d.r.list = ""
}

// readPart reads a row once failures name it.
func (w row[T]) readPart(d *Decoder) {
	n := d.r.array("", unlimited)
	fields := w.fields(w.value)
	d.readFields(fields, n)
	if d.r.err == nil && n > len(fields) {
		d.r.skip(n-len(fields), 0)
	}
}

func (w row[T]) write(e *msgpack.Encoder) error {
	fields := used(w.fields(w.value))
	if err := e.EncodeArrayLen(len(fields)); err != nil {
		return err
	}
	return writeFields(e, fields)
}
