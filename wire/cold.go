package wire

import (
	"maps"
	"reflect"
	"slices"
)

// decodeCold reads the n fields of a message of a cold kind. First walk bounds
// the whole frame; then msgpack/v5 decodes its values, each once.
func (d *Decoder) decodeCold(kind uint64, n int) Message {
	r := &d.r
	if r.err = walk(r.b); r.err != nil {
		return nil
	}
	info := infoOf(kind)
	if info == nil {
		r.err = &Error{Code: CodeUnknownKind, Message: "the kind is not known here"}
		return nil
	}
	d.source.Reset(r.b[r.pos:])
	d.cold.Reset(&d.source)
	m := reflect.New(info.message)
	d.readFields(&info.fields, m.Elem(), n)
	return m.Interface().(Message)
}

// readFields reads the fields of a message, or of a part of one, of which n
// are there.
func (d *Decoder) readFields(fields *fields, v reflect.Value, n int) {
	for i := range fields.list {
		f := &fields.list[i]
		switch {
		case d.r.err != nil:
			return
		case i < n:
			d.readValue(f, v.FieldByIndex(f.index))
		case f.optional:
			return
		default:
			d.r.fail(f.name, 0, "is missing")
		}
	}
}

// readValue reads one value into v.
func (d *Decoder) readValue(f *field, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.coldBool(f.name))
	case reflect.String:
		v.SetString(d.coldString(f))
	case reflect.Int32:
		n, negative := d.coldInteger(f.name)
		v.SetInt(d.r.around(f.name, n, negative, int64(f.most)))
	case reflect.Int64:
		v.SetInt(int64(d.coldNumber(f)))
	case reflect.Map:
		d.readMap(f, v)
	case reflect.Slice:
		d.readList(f, v)
	case reflect.Struct:
		if id, ok := v.Addr().Interface().(*LeaseID); ok {
			*id = d.coldLease(f.name)
			return
		}
		d.readPart(f, v, alone)
	default:
		v.SetUint(d.coldNumber(f))
	}
}

// readMap reads a map from names to numbers. No name may come twice; an empty
// map is nil.
func (d *Decoder) readMap(f *field, v reflect.Value) {
	n := d.coldMap(f.name, f.values)
	if n == 0 {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		text, number := d.coldString(f), d.coldNumber(f)
		key := reflect.ValueOf(text)
		if v.MapIndex(key).IsValid() {
			d.r.fail(f.name, 0, "names "+text+" twice")
		}
		if d.r.err != nil {
			return
		}
		v.SetMapIndex(key, reflect.ValueOf(number).Convert(v.Type().Elem()))
	}
}

// readList reads an array of strings or of parts; an empty one is nil.
func (d *Decoder) readList(f *field, v reflect.Value) {
	if leases, ok := v.Addr().Interface().(*[]Record); ok {
		*leases = d.coldRecords(f.name)
		return
	}
	n := d.coldArray(f.name, f.values)
	for i := range n {
		if d.r.err != nil {
			return
		}
		v.Grow(1)
		v.SetLen(i + 1)
		if element := v.Index(i); element.Kind() == reflect.Struct {
			d.readPart(f, element, i)
		} else {
			element.SetString(d.coldString(f))
		}
	}
}

// readPart reads an array of fields, the index-th of a list or alone, and steps
// over fields that are not known here.
func (d *Decoder) readPart(f *field, v reflect.Value, index int) {
	outer, at := d.r.list, d.r.index
	d.r.list, d.r.index = f.name, index
	n := d.coldArray("", unlimited)
	d.readFields(&f.parts, v, n)
	for i := len(f.parts.list); i < n && d.r.err == nil; i++ {
		d.decoded("", d.cold.Skip())
	}
	d.r.list, d.r.index = outer, at
}

// The functions below have msgpack/v5 decode one value. They look at its first
// byte before, since msgpack/v5 takes nil for every type.

// next returns the first byte of the next value.
func (d *Decoder) next() byte {
	c, _ := d.cold.PeekCode()
	return c
}

// decoded records a failure of msgpack/v5. After walk there is none.
func (d *Decoder) decoded(name string, err error) {
	if err != nil {
		d.r.fail(name, 0, "cannot be read: "+err.Error())
	}
}

func (d *Decoder) coldBool(name string) bool {
	if c := d.next(); c != codeFalse && c != codeTrue {
		d.r.fail(name, 0, "is not a boolean")
		return false
	}
	b, err := d.cold.DecodeBool()
	d.decoded(name, err)
	return b
}

// coldInteger returns the 64 bits of an integer in two's complement, and
// whether it is negative.
func (d *Decoder) coldInteger(name string) (n uint64, negative bool) {
	c := d.next()
	signed := c >= codeInt8 && c <= codeInt64 || c >= codeNegative
	if !signed && c > maxPositive && (c < codeUint8 || c > codeUint64) {
		d.r.fail(name, 0, "is not an integer")
		return 0, false
	}
	n, err := d.cold.DecodeUint64()
	d.decoded(name, err)
	return n, signed && int64(n) < 0
}

// coldNumber returns a number that is not negative and that the rule allows.
func (d *Decoder) coldNumber(f *field) uint64 {
	n, negative := d.coldInteger(f.name)
	n = d.r.upTo(f.name, n, negative, f.most)
	if f.number != nil {
		f.number(&d.r, f.name, n)
	}
	return n
}

// coldString returns a string that the rule allows.
func (d *Decoder) coldString(f *field) string {
	if c := d.next(); (c < codeFixStr || c >= codeNil) && (c < codeStr8 || c > codeStr32) {
		d.r.fail(f.name, 0, "is not a string")
		return ""
	}
	s, err := d.cold.DecodeString()
	d.decoded(f.name, err)
	f.text(&d.r, f.name, []byte(s))
	return s
}

func (d *Decoder) coldLease(name string) LeaseID {
	if c := d.next(); c < codeBin8 || c > codeBin32 {
		d.r.fail(name, 0, notALease)
		return LeaseID{}
	}
	b, err := d.cold.DecodeBytes()
	d.decoded(name, err)
	if len(b) != LeaseIDSize {
		d.r.fail(name, LeaseIDSize, notALease)
		return LeaseID{}
	}
	return leaseFrom(b)
}

func (d *Decoder) coldArray(name string, most int) int {
	if c := d.next(); c&0xf0 != codeFixArray && c != codeArray16 && c != codeArray32 {
		d.r.fail(name, 0, "is not an array")
		return 0
	}
	n, err := d.cold.DecodeArrayLen()
	return d.coldCount(name, n, most, err)
}

func (d *Decoder) coldMap(name string, most int) int {
	if c := d.next(); c&0xf0 != codeFixMap && c != codeMap16 && c != codeMap32 {
		d.r.fail(name, 0, "is not a map")
		return 0
	}
	n, err := d.cold.DecodeMapLen()
	return d.coldCount(name, n, most, err)
}

func (d *Decoder) coldCount(name string, n, most int, err error) int {
	d.decoded(name, err)
	if n > most {
		d.r.fail(name, uint64(most), "holds too many values")
		return 0
	}
	return n
}

// coldRecords reads the leases of a registration without msgpack/v5: a worker
// has thousands at times.
func (d *Decoder) coldRecords(name string) []Record {
	r := &d.r
	r.pos = len(r.b) - d.source.Len()
	list := r.records(name)
	d.source.Reset(r.b[r.pos:])
	return list
}

// appendCold appends a cold message.
func appendCold(dst []byte, request uint64, m Message) []byte {
	v := reflect.ValueOf(m).Elem()
	used := kinds[m.Kind()].fields.used(v)
	return appendFields(appendHead(dst, len(used), m.Kind(), request), used, v)
}

// used returns the fields that must be written: those that may be missing are
// left out from the end while they are zero.
func (f *fields) used(v reflect.Value) []field {
	n := len(f.list)
	for n > f.required && isZero(v.FieldByIndex(f.list[n-1].index)) {
		n--
	}
	return f.list[:n]
}

func isZero(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func appendFields(dst []byte, list []field, v reflect.Value) []byte {
	for i := range list {
		dst = list[i].append(dst, v.FieldByIndex(list[i].index))
	}
	return dst
}

// append appends the field's value, or an element of it.
func (f *field) append(dst []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		return appendBool(dst, v.Bool())
	case reflect.String:
		return appendStr(dst, v.String())
	case reflect.Int32, reflect.Int64:
		return appendInt(dst, v.Int())
	case reflect.Map:
		return appendMap(dst, v)
	case reflect.Slice:
		dst = appendArray(dst, v.Len())
		for i := range v.Len() {
			dst = f.append(dst, v.Index(i))
		}
		return dst
	case reflect.Struct:
		switch value := v.Addr().Interface().(type) {
		case *LeaseID:
			return appendLease(dst, *value)
		case *Record:
			return value.append(dst)
		}
		used := f.parts.used(v)
		return appendFields(appendArray(dst, len(used)), used, v)
	}
	return appendUint(dst, v.Uint())
}

// appendMap appends a map in order of its names.
func appendMap(dst []byte, v reflect.Value) []byte {
	dst = appendCount(dst, v.Len(), codeFixMap, codeMap16)
	switch m := v.Interface().(type) {
	case map[string]int64:
		return appendAmounts(dst, m)
	case map[string]uint64:
		for _, key := range slices.Sorted(maps.Keys(m)) {
			dst = appendUint(appendStr(dst, key), m[key])
		}
	}
	return dst
}
