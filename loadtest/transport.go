package loadtest

// Transport is how workers report.
type Transport string

// The transports. Mixed gives a third of the workers each of the others.
const (
	TCP   Transport = "tcp"   // leases and heartbeats over a connection
	UDP   Transport = "udp"   // leases over a connection, heartbeats as datagrams
	HTTP  Transport = "http"  // one number by the HTTP API, no leases
	Mixed Transport = "mixed" // a third each
)

// of returns the transport of one of n workers.
func (t Transport) of(i, n int) Transport {
	if t != Mixed {
		return t
	}
	return [...]Transport{TCP, UDP, HTTP}[i*3/n]
}

// has reports whether some workers use a transport.
func (t Transport) has(one Transport) bool { return t == one || t == Mixed }

// natives returns how many of n workers hold a connection of the native
// protocol.
func (t Transport) natives(n int) int {
	switch t {
	case HTTP:
		return 0
	case Mixed:
		return (2*n + 2) / 3
	}
	return n
}
