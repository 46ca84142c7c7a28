package wire

import "math"

// rule says which values a field of a cold message may have.
type rule struct {
	values int                                        // the most values of a list or map
	most   uint64                                     // the largest number, also in a map
	number func(r *reader, field string, n uint64)    // refuses further numbers
	text   func(r *reader, field string, text []byte) // refuses strings, also in a list, and names in a map
}

// rules are the words in the tags of cold messages. Those that say nothing
// stand for every value of their type, or for an array of fields.
var rules = map[string]rule{
	"bool":   {},
	"lease":  {},
	"uint8":  {most: math.MaxUint8},
	"uint16": {most: math.MaxUint16},
	"uint32": {most: math.MaxUint32},
	"uint64": {most: math.MaxUint64},
	"int63":  {most: math.MaxInt64},

	"priority":    {most: MaxPriority},
	"page":        {most: MaxPage},
	"index":       {most: MaxBatch},
	"slots":       {most: MaxSlots},
	"amount":      {most: MaxAmount},
	"grace":       {most: MaxGrace},
	"live":        {most: uint64(StateAssumed)},
	"role":        {most: uint64(RoleAgent), number: (*reader).checkRole},
	"deadline":    {most: MaxDrain, number: (*reader).checkDeadline},
	"incarnation": {most: math.MaxUint64, number: (*reader).checkIncarnation},

	"id":      {text: (*reader).checkID},
	"id0":     {text: (*reader).checkOptionalID},
	"string":  {text: (*reader).checkString},
	"state":   {text: (*reader).checkWorkerState},
	"text":    {text: textOf(maxText)},
	"address": {text: textOf(MaxAddress)},
	"token":   {text: textOf(MaxToken)},
	"reason":  {text: textOf(MaxReason)},
	"by":      {text: textOf(MaxID)},
	"model":   {text: textOf(MaxModel)},

	"strings":   {values: unlimited, text: (*reader).checkString},
	"features":  {values: maxFeatures, text: (*reader).checkTag},
	"tags16":    {values: MaxTaskTags, text: (*reader).checkTag},
	"tags64":    {values: MaxWorkerTags, text: (*reader).checkTag},
	"resources": {values: MaxResources, most: MaxAmount, text: (*reader).checkID},
	"used":      {values: maxCounts, most: math.MaxInt64, text: (*reader).checkID},
	"counts":    {values: maxCounts, most: math.MaxUint64, text: textOf(maxText)},
	"records":   {},
	"row":       {},
	"rows":      {values: MaxPage},
	"devices":   {values: MaxDevices},
}

// textOf returns a check of plain text of at most most bytes.
func textOf(most int) func(r *reader, field string, text []byte) {
	return func(r *reader, field string, text []byte) { r.checkText(field, text, most) }
}

// checkDeadline refuses 0, which could mean at once, or for ever.
func (r *reader) checkDeadline(field string, ms uint64) {
	if ms == 0 {
		r.fail(field, MaxDrain, "is 0: say 1 for at once, or leave it out for no deadline")
	}
}

func (r *reader) checkRole(field string, role uint64) {
	if role == 0 {
		r.fail(field, uint64(RoleAgent), "is not a role")
	}
}

// checkWorkerState refuses what is neither the name of a worker's state nor "",
// for all.
func (r *reader) checkWorkerState(field string, state []byte) {
	switch string(state) {
	case "", "online", "suspicious", "offline":
		return
	}
	r.fail(field, 0, "is not online, suspicious, offline or empty")
}
