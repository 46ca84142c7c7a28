package wire

import (
	"math"
	"reflect"

	"pgregory.net/rapid"
)

// Messages within the limits of the protocol are drawn by the tags of their
// structs: each value by the word of its rule.

var (
	genID      = rapid.StringMatching(`[A-Za-z0-9._:@/-]{1,128}`)
	genTag     = rapid.OneOf(rapid.StringMatching(`[ -~]{1,64}`), rapid.StringMatching(`[a-zà-ÿ一-龠😀]{1,40}`))
	genForeign = rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{30,300}`))
	genAmounts = rapid.MapOfN(genID, rapid.Int64Range(0, MaxAmount), 0, MaxResources)
)

// words draw the values of a rule.
var words = map[string]func(t *rapid.T) any{
	"bool":        drawn(rapid.Bool()),
	"uint8":       numbers(0, math.MaxUint8),
	"uint16":      numbers(0, math.MaxUint16),
	"uint32":      numbers(0, math.MaxUint32),
	"uint64":      numbers(0, math.MaxUint64),
	"int63":       numbers(0, math.MaxInt64),
	"priority":    drawn(rapid.Int32Range(-MaxPriority, MaxPriority)),
	"page":        numbers(0, MaxPage),
	"index":       numbers(0, MaxBatch),
	"slots":       numbers(0, MaxSlots),
	"amount":      numbers(0, MaxAmount),
	"ttl":         numbers(0, MaxTTL),
	"wait":        numbers(0, MaxWait),
	"grace":       numbers(0, MaxGrace),
	"deadline":    numbers(0, MaxDrain),
	"live":        numbers(0, uint64(StateAssumed)),
	"role":        numbers(uint64(RoleClient), uint64(RoleAgent)),
	"outcome":     numbers(uint64(ReasonOK), uint64(ReasonLost)),
	"outcome0":    numbers(0, uint64(ReasonLost)),
	"on_preempt":  numbers(0, uint64(OnPreemptNever)),
	"incarnation": numbers(1, math.MaxUint64),
	"digest":      numbers(0, math.MaxUint64),
	"id":          drawn(genID),
	"id0":         optional(genID),
	"string":      drawn(genForeign),
	"state":       drawn(rapid.SampledFrom([]string{"", "online", "suspicious", "offline"})),
	"text":        optional(genTag),
	"selector":    optional(genTag),
	"spread_by":   optional(rapid.StringMatching(`[ -~]{1,256}`)),
	"address":     drawn(genTag),
	"token":       drawn(rapid.StringMatching(`[ -~]{0,512}`)),
	"reason":      drawn(rapid.StringMatching(`[ -~]{0,256}`)),
	"by":          drawn(rapid.StringMatching(`[ -~]{0,128}`)),
	"model":       drawn(rapid.StringMatching(`[ -~]{0,128}`)),
	"features":    drawn(rapid.SliceOfN(genTag, 0, maxFeatures)),
	"tags16":      drawn(rapid.SliceOfN(genTag, 0, MaxTaskTags)),
	"tags64":      drawn(rapid.SliceOfN(genTag, 0, MaxWorkerTags)),
	"strings":     drawn(rapid.SliceOfN(genForeign, 0, 20)),
	"not_workers": drawn(rapid.SliceOfN(rapid.StringN(1, 40, -1), 0, MaxNotWorkers)),
	"resources":   drawn(genAmounts),
	"used":        drawn(rapid.MapOfN(genID, rapid.Int64Min(0), 0, MaxResources+2)),
	"counts":      drawn(rapid.MapOfN(genTag, rapid.Uint64(), 0, 20)),
}

func drawn[T any](g *rapid.Generator[T]) func(t *rapid.T) any {
	return func(t *rapid.T) any { return g.Draw(t, "value") }
}

func optional(g *rapid.Generator[string]) func(t *rapid.T) any {
	return drawn(rapid.OneOf(rapid.Just(""), g))
}

func numbers(least, most uint64) func(t *rapid.T) any {
	return drawn(rapid.Uint64Range(least, most))
}

// messageOf draws a message of a kind.
func messageOf(t *rapid.T, k Kind) Message {
	m := reflect.New(kinds[k].message)
	drawFields(t, kinds[k].fields, m.Elem())
	return m.Interface().(Message)
}

// drawFields fills a struct. Of the fields that may be missing it leaves some
// out from the end.
func drawFields(t *rapid.T, all fields, v reflect.Value) {
	there := len(all.list)
	if there > all.required {
		there = rapid.IntRange(all.required, there).Draw(t, "fields")
	}
	for _, f := range all.list[:there] {
		drawValue(t, f, v.FieldByIndex(f.index))
	}
}

func drawValue(t *rapid.T, f field, v reflect.Value) {
	switch value := v.Addr().Interface().(type) {
	case *LeaseID:
		*value = LeaseID{Epoch: rapid.Uint32().Draw(t, "epoch"), Instance: rapid.Uint32().Draw(t, "instance"), Counter: rapid.Uint64().Draw(t, "counter")}
		return
	case *BatchResult:
		if rapid.Bool().Draw(t, "placed") {
			drawFields(t, placedFields, v.FieldByName("Placed"))
			return
		}
		drawFields(t, f.parts, v)
		value.Code |= 1
		return
	}
	draw, ok := words[f.word]
	switch {
	case f.word == "string" && v.Kind() == reflect.Slice: // of Placed.Target
		v.SetBytes(appendStr(v.Bytes(), draw(t).(string)))
	case ok:
		setValue(v, draw(t))
	case v.Kind() == reflect.Struct:
		drawFields(t, f.parts, v)
	default: // a list that may not be empty, or is read as a new one
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			element := reflect.New(v.Type().Elem()).Elem()
			drawValue(t, field{parts: f.parts}, element)
			v.Set(reflect.Append(v, element))
		}
	}
}

// setValue sets v to a value in the form that the struct has: some strings,
// lists and maps are raw msgpack there. Empty ones are nil.
func setValue(v reflect.Value, value any) {
	raw := v.Type() == reflect.TypeFor[[]byte]()
	switch value := value.(type) {
	case string:
		if !raw {
			v.SetString(value)
		} else if value != "" {
			v.SetBytes([]byte(value))
		}
	case []string:
		if raw {
			v.SetBytes(AppendTags(nil, value))
		} else if len(value) > 0 {
			v.Set(reflect.ValueOf(value))
		}
	case map[string]int64:
		if raw {
			v.SetBytes(AppendResources(nil, value))
		} else if len(value) > 0 {
			v.Set(reflect.ValueOf(value))
		}
	case map[string]uint64:
		if len(value) > 0 {
			v.Set(reflect.ValueOf(value))
		}
	default:
		v.Set(reflect.ValueOf(value).Convert(v.Type()))
	}
}
