package webguard

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTwoLengthsAreSeen(t *testing.T) {
	for text, ambiguous := range map[string]bool{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n":                                                     false,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n":                                            false,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n":                       true,
		"\r\nPOST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:5\r\ntransfer-encoding: chunked\r\n\r\n":                    true,
		"POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 5\n\n":                                 true,
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n":                                  true,
		"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n":                                                                false,
		"POST / HTTP/1.1\r\nHost: x\r\nX: Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n":                    false,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nContent-Length: 5\r\n0\r\n\r\n":         false,
		"POST / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", maxHead) + "\r\nTransfer-Encoding: chunked\r\n\r\n": true,
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimLeft(text, "\r\n"))))
		require.NoError(t, err, text)
		for _, piece := range []int{1, 7, len(text)} {
			var h Head
			for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
				h.Read([]byte(rest[:min(piece, len(rest))]))
			}
			require.Equal(t, ambiguous, h.Ambiguous(r), "%.200q in pieces of %d", text, piece)
			h.Over()
			require.Equal(t, len(r.TransferEncoding) > 0, h.Ambiguous(r), "one that was not seen is refused if it is chunked")
		}
	}
}
