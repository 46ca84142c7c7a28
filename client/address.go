package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/dtask/dtask-scheduler/wire"
)

// DefaultPort is where schedulers listen for the native protocol unless they are
// told otherwise.
const DefaultPort = "8081"

// MaxAddrs bounds the addresses of one list.
const MaxAddrs = 16

// AddressError says what is wrong with the address of a scheduler.
type AddressError struct {
	Address string // "" for the whole list
	Problem string
}

func (e *AddressError) Error() string {
	if e.Address == "" {
		return e.Problem
	}
	return fmt.Sprintf("the address %.128q %s", e.Address, e.Problem)
}

// ParseAddrs reads the addresses of schedulers, with commas between them, and
// returns each as host:port. An address is a host with or without a port,
// perhaps behind dtask://; IPv6 addresses stand in brackets. Without a port it
// gets DefaultPort. Errors are *AddressError. The tool, the agent and this
// library read addresses by it.
func ParseAddrs(list string) ([]string, error) {
	if strings.Trim(list, ", \t") == "" {
		return nil, &AddressError{Problem: "there is no address of a scheduler"}
	}
	var addrs []string
	for text := range strings.SplitSeq(list, ",") {
		addr, err := parseAddr(text)
		if err != nil {
			return nil, err
		}
		if addrs = append(addrs, addr); len(addrs) > MaxAddrs {
			return nil, &AddressError{Problem: fmt.Sprintf("more than %d addresses are listed", MaxAddrs)}
		}
	}
	return addrs, nil
}

// parseAddr reads one address.
func parseAddr(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", &AddressError{Problem: "one of the addresses is empty"}
	}
	addr := text
	if scheme, rest, found := strings.Cut(text, "://"); found {
		if !strings.EqualFold(scheme, "dtask") {
			return "", &AddressError{text, foreignScheme(text)}
		}
		addr = strings.TrimSuffix(rest, "/")
	}
	host, port, problem := splitAddr(addr)
	if problem != "" {
		return "", &AddressError{text, problem}
	}
	if port == "" {
		port = DefaultPort
	}
	addr = net.JoinHostPort(host, port)
	// A scheduler's own wildcard is reached on this machine, and IPv6 addresses
	// may have a zone here; wire.AddressProblem is about addresses for others.
	if ip, err := netip.ParseAddr(host); err == nil && (ip.Is6() || ip.IsUnspecified()) {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return addr, nil
		}
	}
	if problem := wire.AddressProblem(addr); problem != "" {
		return "", &AddressError{text, problem}
	}
	return addr, nil
}

// splitAddr cuts an address into host and port, each of which may be "".
func splitAddr(addr string) (host, port, problem string) {
	if rest, bracketed := strings.CutPrefix(addr, "["); bracketed {
		host, rest, closed := strings.Cut(rest, "]")
		port, hasPort := strings.CutPrefix(rest, ":")
		if ip, err := netip.ParseAddr(host); !closed || rest != "" && !hasPort || err != nil || !ip.Is6() {
			return "", "", "is no IPv6 address in brackets, such as [::1]:" + DefaultPort
		}
		return host, port, ""
	}
	host, port, _ = strings.Cut(addr, ":")
	switch {
	case strings.Contains(port, ":"):
		return "", "", fmt.Sprintf("has several colons; an IPv6 address stands in brackets, such as [::1]:%s", DefaultPort)
	case host == "":
		return "", "", fmt.Sprintf("has no host; that of this machine is 127.0.0.1, such as 127.0.0.1:%s", DefaultPort)
	}
	return host, port, ""
}

// foreignScheme says what a URL of another scheme stands for.
func foreignScheme(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "is no address of a scheduler; give host:port, such as 127.0.0.1:" + DefaultPort
	}
	problem := "is of an HTTP API; give the address of the native protocol, which is on the next port by default"
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && n > 0 && n < 1<<16-1 {
		problem += ": " + net.JoinHostPort(u.Hostname(), strconv.FormatUint(n+1, 10))
	}
	return problem
}

// readAddrs reads the addresses of Dial, each of which may be a list.
func readAddrs(lists []string) ([]string, error) {
	if len(lists) == 0 {
		return nil, errors.New("dtask: no address to dial")
	}
	addrs, err := ParseAddrs(strings.Join(lists, ","))
	if err != nil {
		return nil, fmt.Errorf("dtask: %w", err)
	}
	return addrs, nil
}
