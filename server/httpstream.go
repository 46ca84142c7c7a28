package server

import (
	"net/http"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Bounds of the lists that are answered over HTTP.
const (
	// listsHTTP is how many are answered at once: each holds a page until its
	// reader has taken it.
	listsHTTP = 64
	// listPatience is how long a further one waits for its turn.
	listPatience = 2 * time.Second
	// streamChunk is how much of a list is put together before it is sent, in
	// bytes.
	streamChunk = 32 << 10
)

// listing has a handler answer when it is the turn of its list.
func listing(handle handler) handler {
	return func(g *gateway, w http.ResponseWriter, r *http.Request) {
		patience := time.NewTimer(listPatience)
		defer patience.Stop()
		select {
		case g.lists <- struct{}{}:
			defer func() { <-g.lists }()
			handle(g, w, r)
		case <-r.Context().Done():
		case <-patience.C:
			refuse(w, &wire.Error{Code: wire.CodeBusy, Message: "too many lists are read at once", Limit: listsHTTP, RetryAfterMS: busyRetryMS})
		}
	}
}

// stream sends a long body of JSON in pieces.
type stream struct {
	w    http.ResponseWriter
	buf  []byte // what is not sent yet
	sent bool   // something is
	err  error  // of the connection: nobody reads what follows
}

// breathe sends what has come together, if it is enough, and returns where to go
// on.
func (s *stream) breathe(b []byte) []byte {
	if s.buf = b; len(b) >= streamChunk {
		s.send()
	}
	return s.buf
}

// send sends what has come together.
func (s *stream) send() {
	if !s.sent {
		s.sent = true
		s.w.Header()["Content-Type"] = jsonType
	}
	if s.err == nil {
		_, s.err = s.w.Write(s.buf)
	}
	s.buf = s.buf[:0]
}

// fail answers with an error instead, or breaks the connection off: a body that
// ends early must not seem whole.
func (s *stream) fail(e *wire.Error) {
	if s.sent {
		panic(http.ErrAbortHandler)
	}
	refuse(s.w, e)
}
