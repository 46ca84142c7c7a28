package gateway

import (
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// pprofPath is where the profiles are. They are no part of the API.
const pprofPath = "/debug/pprof/"

// pprofHandlers are those that have code of their own; the index serves the
// other profiles by their names.
var pprofHandlers = map[string]http.HandlerFunc{
	"cmdline": pprof.Cmdline,
	"profile": pprof.Profile,
	"symbol":  pprof.Symbol,
	"trace":   pprof.Trace,
}

// profile answers a request for a profile. It reports false if the request is
// none, or if profiles are turned off.
func (g *Gateway) profile(c *call) bool {
	name, ok := strings.CutPrefix(c.r.URL.Path+"/", pprofPath)
	if !ok || !g.Pprof {
		return false
	}
	// A profile of half a minute takes longer than a request may: the handlers
	// move the limit of the writing themselves, and not that of the reading.
	_ = http.NewResponseController(c).SetReadDeadline(time.Time{})
	if handle := pprofHandlers[strings.TrimSuffix(name, "/")]; handle != nil {
		handle(c, c.r)
		return true
	}
	if c.r.URL.Path+"/" == pprofPath {
		http.Redirect(c, c.r, pprofPath, http.StatusMovedPermanently)
		return true
	}
	pprof.Index(c, c.r)
	return true
}
