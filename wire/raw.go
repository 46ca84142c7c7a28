package wire

import (
	"maps"
	"math"
	"slices"
)

// EachTag calls visit for each tag of raw, a msgpack array of strings as in
// Schedule.Tags, until visit returns false. An empty raw holds none; at the
// first byte that is not as expected it stops.
func EachTag(raw []byte, visit func(tag []byte) bool) {
	if len(raw) == 0 {
		return
	}
	r := reader{b: raw}
	for range r.array("", unlimited) {
		tag := r.str("")
		if r.err != nil || !visit(tag) {
			return
		}
	}
}

// EachWorker calls visit for each id of raw, a msgpack array of strings as in
// Schedule.NotWorkers, until visit returns false. An empty raw holds none; at
// the first byte that is not as expected it stops.
func EachWorker(raw []byte, visit func(id []byte) bool) { EachTag(raw, visit) }

// EachResource calls visit for each name and amount of raw, a msgpack map as
// in Schedule.Resources, until visit returns false. An empty raw holds none;
// at the first byte that is not as expected it stops.
func EachResource(raw []byte, visit func(name []byte, amount int64) bool) {
	if len(raw) == 0 {
		return
	}
	r := reader{b: raw}
	for range r.dict("", unlimited) {
		key, amount := r.str(""), r.uint("", math.MaxInt64)
		if r.err != nil || !visit(key, int64(amount)) {
			return
		}
	}
}

// ReadTarget returns the worker's id and address of Placed.Target. Both are
// empty if raw is not what AppendTarget wrote.
func ReadTarget(raw []byte) (worker, address string) {
	r := reader{b: raw}
	w, a := r.str(""), r.str("")
	if r.err != nil {
		return "", ""
	}
	return string(w), string(a)
}

// AppendTags appends tags as a msgpack array of strings, the form of
// Schedule.Tags. It appends nothing for no tags, and checks no limits.
func AppendTags(dst []byte, tags []string) []byte {
	if len(tags) == 0 {
		return dst
	}
	dst = appendArray(dst, len(tags))
	for _, t := range tags {
		dst = appendStr(dst, t)
	}
	return dst
}

// AppendWorkers appends worker ids as a msgpack array of strings, the form of
// Schedule.NotWorkers. It appends nothing for no ids, and checks no limits.
func AppendWorkers(dst []byte, ids []string) []byte { return AppendTags(dst, ids) }

// AppendResources appends resources as a msgpack map in order of the names,
// the form of Schedule.Resources. It appends nothing for an empty map, and
// checks no limits.
func AppendResources(dst []byte, resources map[string]int64) []byte {
	if len(resources) == 0 {
		return dst
	}
	return appendAmounts(appendCount(dst, len(resources), codeFixMap, codeMap16), resources)
}

// appendAmounts appends names and amounts in order of the names.
func appendAmounts(dst []byte, amounts map[string]int64) []byte {
	for _, key := range slices.Sorted(maps.Keys(amounts)) {
		dst = appendInt(appendStr(dst, key), amounts[key])
	}
	return dst
}

// AppendTarget appends a worker's id and address in the form of
// Placed.Target.
func AppendTarget(dst []byte, worker, address string) []byte {
	return appendStr(appendStr(dst, worker), address)
}
