package server

import (
	"fmt"
	"net"
	"time"

	"github.com/dtask/dtask-scheduler/server/gateway"
	"github.com/dtask/dtask-scheduler/wire"
)

// foreign is a protocol that people speak to the native port by mistake.
type foreign uint8

const (
	notForeign foreign = iota
	foreignHTTP
	foreignTLS
)

// foreignPeek is how many bytes tell the protocols apart.
const foreignPeek = 4

// recognise looks at the first bytes of a connection. The length of a first
// frame never looks like HTTP or TLS: it is at most 4 KiB.
func recognise(in []byte) foreign {
	if len(in) < foreignPeek || in[0] == 0 {
		return notForeign
	}
	if in[0] == 0x16 && in[1] == 0x03 {
		return foreignTLS
	}
	switch string(in[:foreignPeek]) {
	case "GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI ":
		return foreignHTTP
	}
	return notForeign
}

// sentence is the answer to such a peer before its connection closes.
func (f foreign) sentence(httpAddr string) string {
	switch f {
	case foreignHTTP:
		text := "This port speaks the native protocol of dtask-scheduler"
		if httpAddr != "" {
			text += "; its HTTP API is at http://" + httpAddr + "/"
		}
		text += ".\n"
		return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
	case foreignTLS:
		return "This port speaks the native protocol of dtask-scheduler, without TLS.\n"
	}
	return ""
}

// isNative reports whether the first bytes of an HTTP connection are a frame of
// the native protocol: the length of a first one begins with a zero byte, HTTP
// and TLS do not.
func isNative(in []byte) bool { return len(in) > 0 && in[0] == 0 }

// refuseNative tells a peer that speaks the native protocol to the HTTP port
// where it belongs. in is what it has sent, which names the request if it is a
// whole frame.
func (s *Server) refuseNative(c net.Conn, in []byte) {
	var request uint64
	if frame, _, err := wire.Split(in, wire.MaxFrameBeforeHello); err == nil && frame != nil {
		var d wire.Decoder
		_, request, _ = d.Decode(frame) // 0 if it is not to be read
	}
	_ = c.SetWriteDeadline(time.Now().Add(gateway.RefusalTimeout))
	_, _ = c.Write(wire.Append(nil, request, &wire.Error{Code: wire.CodeProtocol, Message: "this port speaks HTTP; the native protocol of dtask-scheduler is on port " + portOf(s.Addr())}))
	if ok, dropped := s.limiter.allow("foreign native"); ok {
		s.log.Warn("a peer speaks the native protocol on the HTTP port", "port", s.HTTPAddr(), "peer", wire.HostOf(c.RemoteAddr().String()), "dropped", dropped)
	}
}

// portOf returns the port of host:port.
func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return port
}
