// Package wire is the native protocol: bytes to messages and back. It holds pure
// functions of bytes, without clock, socket, goroutine or lock. docs/protocol.md
// is the specification, and the tests of this package compare both.
//
// # Frames
//
// A frame is a length of four bytes, big-endian, and one msgpack array:
//
//	[kind, request_id, fields...]
//
// [Split] cuts frames off a stream, [Decoder.Decode] reads one, [Append] writes
// one. A datagram is a frame without its length: [AppendDatagram].
//
// # Messages
//
// kind.go has the table of all kinds. Each kind is a struct, in the file of its
// topic, and the tags of the struct are its format: for every field its name,
// the rule for its values, and "?" where it may be missing. rules.go has the
// rules. Names in errors, the oracle and the generators of the tests, and the
// check of the tables in the documents follow from the tags.
//
// A new kind is a constant and a line in kind.go, a struct with its methods
// Kind and append, and a section of the document. A new field of a message is
// one line in its struct, behind all others, with a "?".
//
// # Hot and cold messages
//
// Hot messages (requests, reports, and their answers) have a reader and a
// writer of their own, beside the struct, which allocate nothing: a message of
// a [Decoder] is filled again with each frame, and its byte slices lie in the
// frame. Cold messages (registrations and lists) are read and written by their
// tags, in cold.go. First walk bounds the depth, the counts and the lengths of
// the whole frame; then msgpack/v5 decodes each value once, and its rule judges
// it.
//
// # Limits
//
// Every size and count has a limit in limits.go, and [Error] names the field
// and the limit that a message breaks. Only readers check: a writer writes what
// it is given.
package wire
