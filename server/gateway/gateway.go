// Package gateway is the HTTP API of the scheduler: one table of endpoints, what
// their bodies and answers are, and the listener of the HTTP port. It asks the
// scheduler through the interface Engine and never holds its lock.
//
// Paths and answers are promises to scripts that are older than this server;
// docs/api.md lists them.
package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/sched"
	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// Engine is the scheduler that answers. The id of each call is that of the HTTP
// request, for log lines.
type Engine interface {
	view.Clock
	// Since returns the time since the start, by a clock that never goes back.
	Since() time.Duration
	// Ask applies a message and returns its answer. A message that takes long, such
	// as a list, is answered in turns between others.
	Ask(id string, m wire.Message) wire.Message
	// Wait is Ask for a request that may wait for room; size is that of its body,
	// and waits is called if it does wait. It returns nil if the context ends
	// first, and nothing of the request is left behind then.
	Wait(ctx context.Context, id string, size int, m wire.Message, waits func()) wire.Message
	// Report passes on the heartbeat of an HTTP worker. The error is a *wire.Error.
	Report(id string, r *sched.Report) error
	// Remove removes a worker and reports whether it was known.
	Remove(id, worker string) bool
}

// Host is the process around the engine: it counts connections and requests, and
// knows how it is.
type Host interface {
	// Admit counts a connection, or says why there is no place for it. What it
	// admits must be dismissed.
	Admit(remote net.Addr) *wire.Error
	Dismiss(remote net.Addr)
	// Native answers a peer whose first bytes are those of the native protocol with
	// the port that speaks it. It reports false if they are not.
	Native(c net.Conn, in []byte) bool
	// Stalled says what does not move, "" if everything does.
	Stalled() string
	// Unready says why the scheduler should get no requests, "" if it should: a
	// reason for programs, and a detail for people.
	Unready() (reason, detail string)
	// Counters returns what the process counts, for /stats.
	Counters() map[string]uint64
	// Count counts a request.
	Count(k wire.Kind, code wire.Code, took time.Duration)
	// Faulted counts and logs a panic in the handler of a request.
	Faulted(id string, cause any)
	// Allow reports whether one more of the most lines of a reason that may be
	// logged in a second may be written, and how many were dropped before it.
	Allow(reason string, most int) (ok bool, dropped int)
}

// Config is the part of the server's configuration that a gateway needs.
type Config struct {
	Engine Engine
	Host   Host
	Log    *slog.Logger
	Scrape http.Handler // of GET /metrics; nil: there is none
	Guard  webguard.Guard

	MaxBody      int64         // bytes of a request
	PreemptGrace time.Duration // of tasks that are preempted
	Insecure     bool          // other machines reach the port without authentication, and /healthz says so
	Pprof        bool          // profiles are served
	Life         string        // of this life of the scheduler, in ids of requests
}

// Gateway answers HTTP requests.
type Gateway struct {
	Config
	lists chan struct{} // one for each list that is being answered
	ids   requestIDs
}

// New returns a gateway.
func New(cfg Config) *Gateway {
	return &Gateway{Config: cfg, lists: make(chan struct{}, MaxLists), ids: requestIDs{life: cfg.Life}}
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	methods := routes[pathOf(r)]
	e := methods.find(r.Method)
	c := g.take(w, r)
	c.kind = methods.kind(e)
	defer g.finish(c)
	c.Header()["X-Request-Id"] = []string{c.id}
	conn := connOf(r)
	if conn != nil {
		defer conn.head.Over()
	}
	if conn.ambiguous(c) || conn.turnAway(c, e) || g.foreign(c, e) {
		return
	}
	switch {
	case g.profile(c):
		c.kind = notCounted
	case e != nil:
		e.handle(c)
	case methods == nil:
		c.text(http.StatusNotFound, "404 page not found")
	default:
		c.Header().Set("Allow", methods.allow())
		c.text(http.StatusMethodNotAllowed, "Method not allowed")
	}
}

// foreign refuses a request that may change something and may be one of a web
// page. It reports false if there is nothing to refuse.
func (g *Gateway) foreign(c *call, e *Endpoint) bool {
	if e != nil && e.Class != Change || e == nil && !webguard.Changes(c.r.Method) {
		return false
	}
	refusal := g.Guard.Change(c.r)
	if refusal == nil {
		return false
	}
	c.logChange("a request was refused that a web page may have sent", "cause", refusal.Text, "from", hostOf(c.r))
	c.value(refusal.Status, &refused{Error: refusal.Text, Reason: refusal.Reason})
	return true
}

// hostOf returns the address that a request comes from, without its port.
func hostOf(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

// pathOf returns the path of a request as the table has it. Everything behind
// workers/ is the id of a worker, as it always was, even with a slash in it;
// only a POST has a verb behind that.
func pathOf(r *http.Request) string {
	if !strings.HasPrefix(cleanPath(r.URL.EscapedPath()), Prefix+"workers/") {
		return cleanPath(r.URL.Path)
	}
	_, verb := workerOf(r)
	return WorkerPath + verb
}

// workerOf splits the path of a worker into its id, percent-encoded as it came,
// and the verb behind it, "" for none.
func workerOf(r *http.Request) (id, verb string) {
	id = strings.TrimPrefix(cleanPath(r.URL.EscapedPath()), Prefix+"workers/")
	if r.Method != http.MethodPost {
		return id, ""
	}
	for _, verb := range []string{"/cordon", "/drain", "/uncordon"} {
		if bare, ok := strings.CutSuffix(id, verb); ok {
			return bare, verb
		}
	}
	return id, ""
}

// cleanPath drops what careless joining of URLs adds: repeated slashes and one
// at the end. A redirect would turn a POST into a GET.
func cleanPath(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}
