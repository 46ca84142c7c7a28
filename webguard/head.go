package webguard

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
)

// Head remembers how the present request of a connection began, as its bytes
// came: net/http drops the header Content-Length of a request that also has
// Transfer-Encoding, and a proxy before this program may go by it. The zero
// value is ready for use; all methods may be called at the same time.
type Head struct {
	mu    sync.Mutex // guards all below
	bytes []byte
	whole bool // nothing more of it will come
}

// maxHead bounds what is remembered, in bytes. What is longer is not known.
const maxHead = 32 << 10

// Read notes bytes that were read off the connection.
func (h *Head) Read(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.whole {
		return
	}
	from := max(len(h.bytes)-len("\r\n\r"), 0)
	h.bytes = append(h.bytes, b[:min(len(b), maxHead-len(h.bytes))]...)
	h.whole = len(h.bytes) == maxHead || bytes.Contains(h.bytes[from:], []byte("\n\r\n")) || bytes.Contains(h.bytes[from:], []byte("\n\n"))
}

// Over says that the request is answered: what is read from now on is of the
// next one.
func (h *Head) Over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes, h.whole = h.bytes[:0], false
}

// Ambiguous reports whether a request says in two ways where it ends, or may do
// so: its beginning was not seen because it was sent before the answer to the
// one before.
func (h *Head) Ambiguous(r *http.Request) bool {
	chunked := len(r.TransferEncoding) > 0
	if !chunked && r.ProtoAtLeast(1, 1) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	head := string(bytes.TrimLeft(h.bytes, "\r\n"))
	if !strings.HasPrefix(head, r.Method+" ") {
		return chunked
	}
	length, encoding := false, false
	for line := range strings.Lines(head) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return length && encoding
		}
		name, _, _ := strings.Cut(line, ":")
		length = length || strings.EqualFold(name, "Content-Length")
		encoding = encoding || strings.EqualFold(name, "Transfer-Encoding")
	}
	return chunked // its end was not seen
}

// TwoLengths refuses a request that is ambiguous. Its connection must be closed.
var TwoLengths = &Refusal{http.StatusBadRequest, "bad_request", "the request has both Content-Length and Transfer-Encoding: where it ends is not clear"}
