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
// a whole frame into plain values and judges these by a table that is written
// down apart from the codecs.

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

// grammar says what each kind's fields are: the words are rules of the
// tables below, with "?" behind fields that may be missing.
var grammar = map[Kind]string{
	KindHello:       "u16 u16 role id0 token features",
	KindHelloOK:     "u16 text u32 u32 u32 u32 counts",
	KindError:       "u16 utf8 utf8 u64 u32",
	KindPing:        "",
	KindPong:        "",
	KindSchedule:    "id tags16 priority? id0? id0? resources? ttl? selector? selector? not_workers? bool? id0? spread_by? wait? bool? on_preempt? bool?",
	KindPlaced:      "lease utf8 utf8 u64 u32 u8 u64?",
	KindBatch:       "tasks bool? bool?",
	KindPlacedAll:   "results u32?",
	KindRenew:       "leases",
	KindRenewed:     "statuses",
	KindRelease:     "lease bool",
	KindReleased:    "u16 u8",
	KindRegister:    "id address incarnation u32 tags64 slots u32 resources u32 u32 records devices? u32? u64?",
	KindRegistered:  "u32 u32 u32 u32",
	KindPromised:    "u32 u32 u32",
	KindHeartbeat:   "u32 u32 u32",
	KindBegun:       "u32 u32 record",
	KindEnd:         "u32 u32 lease outcome",
	KindEnded:       "",
	KindRevoke:      "u32 lease",
	KindPreempt:     "u32 lease grace reason",
	KindNotice:      "lease utf8 u8 grace u8",
	KindRevoked:     "u32 u32 lease",
	KindSuperseded:  "id incarnation",
	KindDeregister:  "u32 u32",
	KindGone:        "",
	KindListWorkers: "utf8 page tags16 state",
	KindWorkers:     "rows utf8",
	KindGetWorker:   "utf8",
	KindWorker:      "row lease_infos",
	KindGetStats:    "",
	KindStats:       "u32 u32 u32 u32 u32 u64 u64 u32 u32 u32 u32 counts",
	KindBeat:        "id incarnation u32 u32 digest",
	KindBeatAck:     "u32 u32 u32 bool",
	KindCordon:      "utf8 bool reason by bool? bool? deadline?",
	KindCordoned:    "bool",
	KindListLeases:  "u64 page utf8 utf8 utf8 utf8 live bool?",
	KindLeases:      "lease_infos u64 u64?",
	KindListTags:    "utf8 page",
	KindTags:        "tag_infos utf8",
	KindListEvents:  "u64 page",
	KindEvents:      "events u64 u64",
	KindListEnded:   "u64 page utf8 utf8",
	KindEndedLeases: "ended_leases u64",
	KindSettled:     "index result",
	KindCancel:      "utf8 utf8 utf8 utf8 u64",
	KindCancelled:   "u32 u64",
	KindListQueue:   "u64 page utf8 utf8 utf8 utf8 bool?",
	KindQueue:       "waiters u64 u64 u64 u64?",
}

// parts are the arrays of fields inside of messages.
var parts = map[string]string{
	"task":        grammar[KindSchedule],
	"status":      "u8 u8",
	"record":      "lease id id0 id0 id0 priority resources outcome0 u64? bool? on_preempt?",
	"row":         "utf8 utf8 names text tags64 u32 u32 u32 u64 u64 resources utf8 utf8 u64 used? device_infos? utf8? u64? u32? u32? u64?",
	"lease_info":  "lease utf8 utf8 utf8 utf8 priority u8 u64 utf8 resources? u64? bool? bool?",
	"device":      "model amount id0 bool?",
	"device_info": "model amount id0 sum u32 bool u32?",
	"tag_info":    "utf8 u32",
	"event":       "u64 u64 text utf8 lease utf8 utf8",
	"ended_lease": "u64 lease utf8 utf8 utf8 utf8 u8 utf8 u64 u64",
	"refused":     "u16 text?",
	"waiter":      "utf8 utf8 utf8 utf8 priority index u64 u64 u64 u64 u32 names bool? bool? u64? u64?",
	"result":      "u16 " + grammar[KindPlaced],
}

// lists are arrays of values of one rule.
var lists = map[string]struct {
	element     string
	least, most int
}{
	"features":     {"tag", 0, MaxFeatures},
	"tags16":       {"tag", 0, MaxTaskTags},
	"tags64":       {"tag", 0, MaxWorkerTags},
	"names":        {"utf8", 0, MaxFrame},
	"leases":       {"lease", 1, MaxBatch},
	"statuses":     {"status", 0, MaxBatch},
	"tasks":        {"task", 1, MaxBatch},
	"results":      {"result", 0, MaxBatch},
	"records":      {"record", 0, MaxWorkerLeases},
	"not_workers":  {"worker", 0, MaxNotWorkers},
	"devices":      {"device", 0, MaxDevices},
	"device_infos": {"device_info", 0, MaxDevices},
	"rows":         {"row", 0, MaxPage},
	"lease_infos":  {"lease_info", 0, MaxPage},
	"tag_infos":    {"tag_info", 0, MaxPage},
	"events":       {"event", 0, MaxPage},
	"ended_leases": {"ended_lease", 0, MaxPage},
	"waiters":      {"waiter", 0, MaxPage},
}

// scalars judge values that are neither lists nor parts.
var scalars = map[string]func(v any) bool{
	"bool":        func(v any) bool { _, ok := v.(bool); return ok },
	"u8":          upTo(math.MaxUint8),
	"u16":         upTo(math.MaxUint16),
	"u32":         upTo(math.MaxUint32),
	"u64":         upTo(math.MaxUint64),
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
	"utf8":        func(v any) bool { s, ok := v.(string); return ok && utf8.ValidString(s) },
	"worker":      func(v any) bool { s, ok := v.(string); return ok && s != "" && utf8.ValidString(s) },
	"amount":      upTo(MaxAmount),
	"sum":         upTo(math.MaxInt64),
	"selector":    shortText(MaxSelector),
	"model":       shortText(MaxModel),
	"text":        shortText(MaxText),
	"reason":      shortText(MaxReason),
	"by":          shortText(MaxID),
	"token":       shortText(MaxToken),
	"address":     shortText(MaxAddress),
	"spread_by":   shortText(MaxTag),
	"tag":         func(v any) bool { return v != "" && shortText(MaxTag)(v) },
	"state":       func(v any) bool { return v == "" || v == "online" || v == "suspicious" || v == "offline" },
	"resources":   mapOf(resourceName, upTo(MaxAmount), MaxResources),
	"used":        mapOf(resourceName, upTo(math.MaxInt64), MaxCounts),
	"counts":      mapOf(shortText(MaxText), upTo(math.MaxUint64), MaxCounts),
	"incarnation": func(v any) bool { return v != signed(0) && upTo(math.MaxUint64)(v) },
}

// fits reports whether a value is right by a rule.
func fits(rule string, v any) bool {
	if scalar, ok := scalars[rule]; ok {
		return scalar(v)
	}
	list, ok := v.([]any)
	if !ok {
		return false
	}
	if rule == "result" && len(list) > 0 && list[0] != signed(0) {
		return fitsPart(parts["refused"], list)
	}
	if fields, ok := parts[rule]; ok {
		return fitsPart(fields, list)
	}
	l := lists[rule]
	for _, e := range list {
		if !fits(l.element, e) {
			return false
		}
	}
	return len(list) >= l.least && len(list) <= l.most
}

// fitsPart judges an array of fields, of which more may follow than are known.
func fitsPart(fields string, list []any) bool {
	for i, word := range strings.Fields(fields) {
		rule, optional := strings.CutSuffix(word, "?")
		if i >= len(list) {
			return optional
		}
		if !fits(rule, list[i]) {
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
	fields, ok := grammar[kind]
	if !ok || !fitsPart(fields, values[2:]) {
		return nil, false
	}
	if datagram := kind == KindBeat || kind == KindBeatAck; datagram && len(frame) > MaxDatagram {
		return nil, false
	}
	return append(values[:2:2], knownPart(fields, values[2:])...), true
}

// known drops from a value what no rule knows, drops zeros at the end of a
// part where they may be left out, and puts maps in order.
func known(rule string, v any) any {
	if p, ok := v.(pairs); ok {
		return inOrder(p)
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	if rule == "result" && list[0] != signed(0) {
		rule = "refused"
	}
	if fields, ok := parts[rule]; ok {
		return knownPart(fields, list)
	}
	all := make([]any, len(list))
	for i, e := range list {
		all[i] = known(lists[rule].element, e)
	}
	return all
}

func knownPart(fields string, list []any) []any {
	words := strings.Fields(fields)
	all := []any{}
	for i, v := range list[:min(len(list), len(words))] {
		all = append(all, known(strings.TrimSuffix(words[i], "?"), v))
	}
	for len(all) > 0 && strings.HasSuffix(words[len(all)-1], "?") && isZero(all[len(all)-1]) {
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

func isZero(v any) bool {
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
