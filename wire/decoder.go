package wire

import (
	"bytes"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// Decoder turns frames into messages. It keeps one message of each hot kind
// and fills it again and again, so decoding them allocates nothing. The zero
// value is ready for use. It is not safe for concurrent use.
type Decoder struct {
	r reader

	schedule  Schedule
	placed    Placed
	batch     Batch
	placedAll PlacedAll
	settled   Settled
	renew     Renew
	renewed   Renewed
	release   Release
	released  Released
	promised  Promised
	heartbeat Heartbeat
	beat      Beat
	beatAck   BeatAck
	begun     Begun
	end       End
	ended     Ended
	revoke    Revoke
	revoked   Revoked
	ping      Ping
	pong      Pong

	cold   msgpack.Decoder // sees bytes of frames that walk accepted, and no others
	source bytes.Reader    // what cold reads from
}

// Decode reads one frame, without its length. The message points into d and
// its slices into frame; both are valid until the next Decode. The request id
// is set whenever it could be read, also beside an error. An error is an
// *Error: CodeBadFrame if the frame is not a msgpack array, CodeUnknownKind,
// or CodeBadRequest with the field at fault and the limit it broke.
func (d *Decoder) Decode(frame []byte) (m Message, request uint64, err error) {
	r := &d.r
	r.b, r.pos, r.err, r.list = frame, 0, nil, ""
	n, kind := r.open()
	request = r.uint("request_id", math.MaxUint64)
	switch {
	case r.err != nil:
	case kind < uint64(len(kinds)) && kinds[kind].read != nil:
		m = d.decodeHot(&kinds[kind], n)
	default:
		m = d.decodeCold(kind, n)
	}
	if r.err != nil {
		return nil, request, r.err
	}
	return m, request, nil
}

// KindOf returns the kind of a frame whose message may be one that Decode does
// not read. It reports false where no kind can be read either.
func KindOf(frame []byte) (kind uint64, ok bool) {
	r := reader{b: frame}
	n := 0
	if len(frame) > 0 {
		n = r.array("", unlimited)
	}
	if r.err != nil || n < 1 {
		return 0, false
	}
	kind = r.uint("kind", math.MaxUint64)
	return kind, r.err == nil
}

// open reads the head of a frame and its kind, and returns the number of
// fields that follow the request id.
func (r *reader) open() (fields int, kind uint64) {
	if len(r.b) > 2 && r.b[0]&0xf0 == codeFixArray && r.b[0] >= codeFixArray+2 && r.b[1] <= maxPositive {
		r.pos = 2
		return int(r.b[0]&0x0f) - 2, uint64(r.b[1])
	}
	if len(r.b) == 0 || r.b[0]&0xf0 != codeFixArray && r.b[0] != codeArray16 && r.b[0] != codeArray32 {
		r.err = badFrame("the frame is not a msgpack array")
		return 0, 0
	}
	n := r.array("", unlimited)
	if r.err == nil && n < 1 {
		r.fail("kind", 0, "is missing")
	}
	kind = r.uint("kind", math.MaxUint64)
	if r.err == nil && n < 2 {
		r.fail("request_id", 0, "is missing")
	}
	return n - 2, kind
}

// decodeHot reads the n fields of a message of a hot kind. Fields that are not
// known here are from a newer peer: they are walked and ignored.
func (d *Decoder) decodeHot(info *kindInfo, n int) Message {
	r := &d.r
	r.need(n, &info.fields)
	m := info.read(d, n)
	if known := len(info.fields.list); r.err == nil && n > known {
		r.skip(n-known, 1)
	}
	r.end()
	return m
}

// partDepth is how many arrays enclose the fields of a list's element: the
// frame, the list, the element.
const partDepth = 3

// elements reads the head of a list that fills a field of a frame, and makes
// failures name the element.
func (r *reader) elements(field string, least, most int) int {
	n := r.array(field, most)
	if n < least {
		r.fail(field, 0, "is empty")
	}
	r.list = field
	return n
}

// part reads the head of a part, an array of fields of its own, and returns
// how many fields it has.
func (r *reader) part(index int, fields *fields) int {
	r.index = index
	n := r.array("", unlimited)
	r.need(n, fields)
	return n
}

// need records a failure if only n of the required fields are there.
func (r *reader) need(n int, fields *fields) {
	if r.err == nil && n < fields.required {
		r.fail(fields.list[n].name, 0, "is missing")
	}
}

// rest walks the fields of an element that are not known here.
func (r *reader) rest(n int, known *fields) {
	if r.err == nil && n > len(known.list) {
		r.skip(n-len(known.list), partDepth)
	}
}
