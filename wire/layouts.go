package wire

// layouts holds the layout of each hot kind at its number. The fields' names
// are those of docs/protocol.md and of errors.
var layouts = [KindNotice + 1]layout{
	KindPing:      {read: func(d *Decoder, _ int) Message { return &d.ping }},
	KindPong:      {read: func(d *Decoder, _ int) Message { return &d.pong }},
	KindSchedule:  {fields: scheduleFields, required: scheduleRequired, read: readSchedule},
	KindPlaced:    {fields: placedFields, required: placedRequired, read: readPlaced},
	KindBatch:     {fields: batchFields, required: batchRequired, read: readBatch},
	KindPlacedAll: {fields: []string{"results", "retry_after_ms"}, required: 1, read: readPlacedAll},
	KindSettled:   {fields: []string{"index", "result"}, required: 2, read: readSettled},
	KindRenew:     {fields: []string{"leases"}, required: 1, read: readRenew},
	KindRenewed:   {fields: []string{"leases"}, required: 1, read: readRenewed},
	KindRelease:   {fields: []string{"lease", "handed"}, required: 2, read: readRelease},
	KindReleased:  {fields: []string{"code", "reason"}, required: 2, read: readReleased},
	KindPromised:  {fields: []string{"handle", "epoch", "instance"}, required: 3, read: readPromised},
	KindHeartbeat: {fields: []string{"handle", "seq", "external"}, required: 3, read: readHeartbeat},
	KindBeat:      {fields: beatFields, required: len(beatFields), read: readBeat},
	KindBeatAck:   {fields: beatAckFields, required: len(beatAckFields), read: readBeatAck},
	KindBegun:     {fields: []string{"handle", "seq", "record"}, required: 3, read: readBegun},
	KindEnd:       {fields: []string{"handle", "seq", "lease", "outcome"}, required: 4, read: readEnd},
	KindEnded:     {read: func(d *Decoder, _ int) Message { return &d.ended }},
	KindRevoke:    {fields: []string{"handle", "lease"}, required: 2, read: readRevoke},
	KindRevoked:   {fields: []string{"handle", "seq", "lease"}, required: 3, read: readRevoked},
}
