// Package webguard tells the requests of programs from those that a web page may
// have had a browser send. A page cannot read what such a request answers, but
// what the request changes is changed.
package webguard

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Guard refuses what a web page may have sent. Its zero value is ready for use.
type Guard struct {
	// Hosts are names with a dot by which requests over the loopback interface may
	// call this machine: its own, or those of a proxy on it that passes them on.
	Hosts []string
	// AnyType takes bodies of the types that a page may send to other sites.
	AnyType bool
}

// Refusal says why a request is refused.
type Refusal struct {
	Status int    // of HTTP
	Reason string // for programs
	Text   string // for people
}

// The reasons.
const (
	Forbidden = "forbidden"        // the request is one of a browser, or calls this machine by another's name
	BadType   = "unsupported_type" // the body is of a type that a page may send
)

// maxShown bounds what is shown of a header, in bytes.
const maxShown = 64

// Changes reports whether a request with the method may change something.
func Changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// Change returns why a request that changes something is refused, or nil.
func (g *Guard) Change(r *http.Request) *Refusal {
	if refusal := g.Any(r); refusal != nil {
		return refusal
	}
	return g.typeRefused(r)
}

// Any returns why a request is refused whatever its method, or nil. Browsers say
// from which page a request comes. A page that lets its own name point to this
// machine is recognised by the name.
func (g *Guard) Any(r *http.Request) *Refusal {
	for _, header := range []string{"Origin", "Sec-Fetch-Site"} {
		if len(r.Header.Values(header)) > 0 {
			return &Refusal{http.StatusForbidden, Forbidden, "requests of web pages are refused: this one has the header " + header}
		}
	}
	if g.known(r) {
		return nil
	}
	return &Refusal{http.StatusForbidden, Forbidden, fmt.Sprintf("the header Host says %.*q, which is not the name of this machine", maxShown, r.Host)}
}

// known reports whether the request calls this machine by a name that no site
// can have: names of sites have a dot. Over other interfaces than loopback it may
// have any; old programs name none.
func (g *Guard) known(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() || r.Host == "" {
		return true
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.TrimSuffix(host, ".")
	return !strings.Contains(host, ".") || slices.ContainsFunc(g.Hosts, func(name string) bool { return strings.EqualFold(host, name) })
}

// typeRefused refuses bodies of the types that a page sends to other sites without
// asking them first. The type of HTML forms, which curl names for -d, is taken: a
// form writes its fields percent-encoded there, which is no JSON.
func (g *Guard) typeRefused(r *http.Request) *Refusal {
	if g.AnyType {
		return nil
	}
	for _, text := range r.Header.Values("Content-Type") {
		for _, one := range strings.Split(text, ",") {
			kind, _, err := mime.ParseMediaType(one)
			if err != nil {
				kind, _, _ = strings.Cut(one, ";")
				kind = strings.ToLower(strings.TrimSpace(kind))
			}
			if kind == "text/plain" || kind == "multipart/form-data" {
				return &Refusal{http.StatusUnsupportedMediaType, BadType, "a body of the type " + kind + " is refused: say Content-Type: application/json"}
			}
		}
	}
	return nil
}
