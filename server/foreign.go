package server

import "fmt"

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

// sentence is what such a peer is told before its connection closes.
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
