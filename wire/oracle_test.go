package wire

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// The oracle is a second, slow reader of the protocol. It lets msgpack/v5 read
// a whole frame into plain values and judges these by tables that are written
// down apart from the codecs: of the tags it takes the words alone.

// pairs is a map as msgpack has it: in order, and with every key that is
// there.
type pairs []any

// oracleValues returns a frame's values: integer, string, []byte, bool, nil,
// float64, []any and pairs.
func oracleValues(frame []byte) ([]any, bool) {
	if walk(frame) != nil {
		return nil, false
	}
	dec := msgpack.NewDecoder(bytes.NewReader(frame))
	dec.SetMapDecoder(func(dec *msgpack.Decoder) (any, error) {
		n, err := dec.DecodeMapLen()
		p := pairs{}
		for i := 0; err == nil && i < 2*n; i++ {
			var v any
			v, err = dec.DecodeInterface()
			p = append(p, v)
		}
		return p, err
	})
	v, err := dec.DecodeInterface()
	list, ok := plain(v).([]any)
	return list, err == nil && ok
}

// integer is an integer of any width.
type integer struct {
	negative bool
	bits     uint64 // two's complement
}

func signed(n int64) integer { return integer{n < 0, uint64(n)} }

// plain makes equal numbers of different widths equal.
func plain(v any) any {
	switch v := v.(type) {
	case int8:
		return signed(int64(v))
	case int16:
		return signed(int64(v))
	case int32:
		return signed(int64(v))
	case int64:
		return signed(v)
	case uint8:
		return integer{bits: uint64(v)}
	case uint16:
		return integer{bits: uint64(v)}
	case uint32:
		return integer{bits: uint64(v)}
	case uint64:
		return integer{bits: v}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case pairs:
		return pairs(plain([]any(v)).([]any))
	}
	return v
}

// lists are arrays of values of one rule, or of arrays of fields where that is
// empty.
var lists = map[string]struct {
	element     string
	least, most int
}{
	"features":    {"tag", 0, maxFeatures},
	"tags16":      {"tag", 0, MaxTaskTags},
	"tags64":      {"tag", 0, MaxWorkerTags},
	"strings":     {"string", 0, MaxFrame},
	"leases":      {"lease", 1, MaxBatch},
	"statuses":    {"", 0, MaxBatch},
	"tasks":       {"", 1, MaxBatch},
	"results":     {"", 0, MaxBatch},
	"records":     {"", 0, MaxWorkerLeases},
	"not_workers": {"worker", 0, MaxNotWorkers},
	"devices":     {"", 0, MaxDevices},
	"rows":        {"", 0, MaxPage},
}

// scalars judge values that are neither lists nor parts.
var scalars = map[string]func(v any) bool{
	"bool":        func(v any) bool { _, ok := v.(bool); return ok },
	"uint8":       upTo(math.MaxUint8),
	"uint16":      upTo(math.MaxUint16),
	"uint32":      upTo(math.MaxUint32),
	"uint64":      upTo(math.MaxUint64),
	"ttl":         upTo(MaxTTL),
	"slots":       upTo(MaxSlots),
	"page":        upTo(MaxPage),
	"live":        upTo(4),
	"index":       upTo(MaxBatch),
	"wait":        upTo(MaxWait),
	"grace":       upTo(MaxGrace),
	"on_preempt":  upTo(3),
	"deadline":    func(v any) bool { return v != signed(0) && upTo(MaxDrain)(v) },
	"outcome0":    upTo(4),
	"outcome":     func(v any) bool { return v != signed(0) && upTo(4)(v) },
	"role":        func(v any) bool { return v == signed(1) || v == signed(2) },
	"priority":    func(v any) bool { n, ok := v.(integer); return ok && abs(n) <= MaxPriority },
	"lease":       func(v any) bool { b, ok := v.([]byte); return ok && len(b) == 16 },
	"digest":      func(v any) bool { b, ok := v.([]byte); return ok && len(b) == 8 },
	"id":          func(v any) bool { s, ok := v.(string); return ok && s != "" && oracleID(s) },
	"id0":         func(v any) bool { s, ok := v.(string); return ok && oracleID(s) },
	"string":      func(v any) bool { s, ok := v.(string); return ok && utf8.ValidString(s) },
	"worker":      func(v any) bool { s, ok := v.(string); return ok && s != "" && utf8.ValidString(s) },
	"amount":      upTo(MaxAmount),
	"int63":       upTo(math.MaxInt64),
	"selector":    shortText(MaxSelector),
	"model":       shortText(MaxModel),
	"text":        shortText(maxText),
	"reason":      shortText(MaxReason),
	"by":          shortText(MaxID),
	"token":       shortText(MaxToken),
	"address":     shortText(MaxAddress),
	"spread_by":   shortText(MaxTag),
	"tag":         func(v any) bool { return v != "" && shortText(MaxTag)(v) },
	"state":       func(v any) bool { return v == "" || v == "online" || v == "suspicious" || v == "offline" },
	"resources":   mapOf(resourceName, upTo(MaxAmount), MaxResources),
	"used":        mapOf(resourceName, upTo(math.MaxInt64), maxCounts),
	"counts":      mapOf(shortText(maxText), upTo(math.MaxUint64), maxCounts),
	"incarnation": func(v any) bool { return v != signed(0) && upTo(math.MaxUint64)(v) },
}

// fits reports whether a value is right by the rule of a field.
func fits(f field, v any) bool {
	if scalar, ok := scalars[f.word]; ok {
		return scalar(v)
	}
	list, ok := v.([]any)
	if !ok {
		return false
	}
	l, ok := lists[f.word]
	if !ok {
		return fitsPart(partOf(f, list), list)
	}
	for _, e := range list {
		if !fits(field{word: l.element, parts: f.parts}, e) {
			return false
		}
	}
	return len(list) >= l.least && len(list) <= l.most
}

// partOf returns the fields of an array of fields. Those of a result depend on
// its code.
func partOf(f field, list []any) []field {
	if f.parts.list[0].name == "code" && len(list) > 0 && list[0] == signed(0) {
		return append(f.parts.list[:1:1], placedFields.list...)
	}
	return f.parts.list
}

// fitsPart judges an array of fields, of which more may follow than are known.
func fitsPart(fields []field, list []any) bool {
	for i, f := range fields {
		if i >= len(list) {
			return f.optional
		}
		if !fits(f, list[i]) {
			return false
		}
	}
	return true
}

func upTo(most uint64) func(v any) bool {
	return func(v any) bool { n, ok := v.(integer); return ok && !n.negative && n.bits <= most }
}

func abs(n integer) uint64 {
	if n.negative {
		return -n.bits
	}
	return n.bits
}

func oracleID(s string) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@/-"
	return len(s) <= MaxID && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune(allowed, r)
	})
}

func resourceName(v any) bool {
	s, ok := v.(string)
	return ok && s != "" && oracleID(s)
}

func shortText(most int) func(v any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x20 || r >= 0x7f && r < 0xa0
		})
	}
}

func mapOf(key, value func(v any) bool, most int) func(v any) bool {
	return func(v any) bool {
		p, ok := v.(pairs)
		if !ok || len(p) > 2*most {
			return false
		}
		seen := map[string]bool{}
		for i := 0; i < len(p); i += 2 {
			if !key(p[i]) || !value(p[i+1]) || seen[p[i].(string)] {
				return false
			}
			seen[p[i].(string)] = true
		}
		return true
	}
}

// oracleMessage returns what a frame says, in one form for all ways to say it,
// and whether it is a message of the protocol.
func oracleMessage(frame []byte) ([]any, bool) {
	values, ok := oracleValues(frame)
	if !ok || len(values) < 2 || !upTo(math.MaxUint8)(values[0]) || !upTo(math.MaxUint64)(values[1]) {
		return nil, false
	}
	kind := Kind(values[0].(integer).bits)
	info := infoOf(uint64(kind))
	if info == nil || !fitsPart(info.fields.list, values[2:]) {
		return nil, false
	}
	if datagram := kind == KindBeat || kind == KindBeatAck; datagram && len(frame) > MaxDatagram {
		return nil, false
	}
	return append(values[:2:2], knownPart(info.fields.list, values[2:])...), true
}

// known drops from a value what no rule knows, drops zeros at the end of a
// part where they may be left out, and puts maps in order.
func known(f field, v any) any {
	if p, ok := v.(pairs); ok {
		return inOrder(p)
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	l, ok := lists[f.word]
	if !ok {
		return knownPart(partOf(f, list), list)
	}
	all := make([]any, len(list))
	for i, e := range list {
		all[i] = known(field{word: l.element, parts: f.parts}, e)
	}
	return all
}

func knownPart(fields []field, list []any) []any {
	all := []any{}
	for i, v := range list[:min(len(list), len(fields))] {
		all = append(all, known(fields[i], v))
	}
	for len(all) > 0 && fields[len(all)-1].optional && saysNothing(all[len(all)-1]) {
		all = all[:len(all)-1]
	}
	return all
}

func inOrder(p pairs) pairs {
	values, keys := map[string]any{}, []string{}
	for i := 0; i < len(p); i += 2 {
		values[p[i].(string)] = p[i+1]
		keys = append(keys, p[i].(string))
	}
	slices.Sort(keys)
	q := pairs{}
	for _, k := range keys {
		q = append(q, k, values[k])
	}
	return q
}

func saysNothing(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case integer:
		return v.bits == 0
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case pairs:
		return len(v) == 0
	}
	return false
}
