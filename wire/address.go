package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// AddressProblem returns why no client can reach a worker at this address, "" if
// nothing speaks against it. An address is host:port; the host is a name, an
// IPv4 address, or an IPv6 address in brackets. Names are not looked up.
//
// Registrations of the native protocol are refused for it, and heartbeats over
// HTTP unless the address may be what an older worker names.
func AddressProblem(addr string) string {
	host, port, problem := splitAddress(addr)
	switch {
	case problem != "":
		return problem
	case host == "":
		return "has no host"
	case !validPort(port):
		return fmt.Sprintf("has the port %.32q, which is no number from 1 to 65535", port)
	case isWildcard(host):
		return fmt.Sprintf("names all interfaces of the worker (%s), which clients cannot connect to", host)
	case strings.ContainsRune(host, ':'):
		if strings.Trim(host, "0123456789abcdefABCDEF:.") != "" || strings.Count(host, ":") < 2 {
			return fmt.Sprintf("has %.64q in brackets, which is no IPv6 address without a zone", host)
		}
	case !validHost(host):
		return fmt.Sprintf("has the host %.64q, which is neither a host name nor an IP address", host)
	}
	return ""
}

// splitAddress cuts host:port; the brackets of an IPv6 address are taken off.
func splitAddress(addr string) (host, port, problem string) {
	colon := strings.LastIndexByte(addr, ':')
	switch {
	case addr == "":
		return "", "", "is empty"
	case strings.Contains(addr, "://"):
		return "", "", "is a URL"
	case strings.HasPrefix(addr, "["):
		end := strings.IndexByte(addr, ']')
		if end < 0 || end+1 != colon {
			return "", "", "is an IPv6 address without a port"
		}
		if host = addr[1:end]; !strings.ContainsRune(host, ':') {
			return "", "", "has brackets around what is no IPv6 address"
		}
		return host, addr[colon+1:], ""
	case colon < 0:
		return "", "", "has no port"
	case strings.IndexByte(addr, ':') != colon:
		return "", "", "is an IPv6 address without brackets"
	}
	return addr[:colon], addr[colon+1:], ""
}

// validPort reports whether a port is a decimal number from 1 to 65535.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// validHost reports whether a host may be a name or an IPv4 address.
func validHost(host string) bool {
	if strings.Trim(host, "0123456789.") == "" {
		return validIPv4(host)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if len(label) < 1 || len(label) > 63 || strings.HasPrefix(label, "-") {
			return false
		}
		for _, r := range label {
			if r <= ' ' || strings.ContainsRune(`!"#$%&'()*+,/;<=>?@[\]^{|}~`+"`\x7f", r) {
				return false
			}
		}
	}
	return len(host) <= 253
}

// validIPv4 reports whether a host of digits and dots is an IPv4 address of one
// machine.
func validIPv4(host string) bool {
	parts := strings.Split(host, ".")
	for _, p := range parts {
		if n, err := strconv.ParseUint(p, 10, 8); err != nil || len(p) > 1 && p[0] == '0' || n > 255 {
			return false
		}
	}
	first, _ := strconv.Atoi(parts[0])
	return len(parts) == 4 && first > 0 && first < 224
}

// isWildcard reports whether a host stands for all interfaces of a machine.
func isWildcard(host string) bool {
	return host == "0.0.0.0" || host == "*" || strings.ContainsRune(host, ':') && strings.Trim(host, "0:") == ""
}

// IsLoopback reports whether an address names the local machine.
func IsLoopback(addr string) bool {
	host, _, _ := splitAddress(addr)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") && validIPv4(host) ||
		strings.ContainsRune(host, ':') && strings.TrimLeft(host, "0:") == "1"
}

// HostOf returns the host of an address, the whole address if it has no port.
func HostOf(addr string) string {
	if host, _, problem := splitAddress(addr); problem == "" {
		return host
	}
	return addr
}

// WithoutLocalEnds takes the local ends of connections out of the text of an
// error: "read tcp 10.0.0.7:41234->10.0.0.1:8081: ..." loses 10.0.0.7:41234. The
// system draws a port for each connection, so that the texts of two that fail
// alike would differ.
func WithoutLocalEnds(text string) string {
	const arrow = "->"
	var out strings.Builder
	for {
		at := strings.Index(text, arrow)
		if at < 0 {
			return out.String() + text
		}
		from := strings.LastIndexByte(text[:at], ' ') + 1
		if colon := strings.LastIndexByte(text[from:at], ':'); colon >= 0 && validPort(text[from+colon+1:at]) {
			out.WriteString(text[:from])
		} else {
			out.WriteString(text[:at+len(arrow)])
		}
		text = text[at+len(arrow):]
	}
}
