package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/webguard"
	"github.com/dtask/dtask-scheduler/wire"
)

// gateway speaks HTTP for the core. Paths and answers are promises to scripts
// that are older than this server; docs/api.md lists them.
type gateway struct {
	srv   *Server
	guard webguard.Guard
	lists chan struct{} // one for each list that is being answered
}

func newGateway(s *Server) *gateway {
	return &gateway{
		srv:   s,
		guard: webguard.Guard{Hosts: s.cfg.HTTPHosts, AnyType: s.cfg.AnyContentType},
		lists: make(chan struct{}, listsHTTP),
	}
}

// apiPrefix is in front of every path of the API.
const apiPrefix = "/api/v1/"

// listenHTTP binds the HTTP port.
func (s *Server) listenHTTP() error {
	if s.cfg.HTTPAddr == "" {
		return nil
	}
	ln, err := net.Listen(network("tcp", s.cfg.HTTPAddr), s.cfg.HTTPAddr)
	if err != nil {
		return portError("HTTP", s.cfg.HTTPAddr, err)
	}
	s.httpLn, s.httpAddr = newHTTPListener(s, ln), ln.Addr().String()
	s.http = &http.Server{
		Handler:           newGateway(s),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.FrameTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeader,
		ConnContext:       connContext,
		ErrorLog:          log.New(httpLog{s}, "", 0),
	}
	return nil
}

// serveHTTP serves until the listener closes. Any other end ends the server.
func (s *Server) serveHTTP() {
	if err := s.http.Serve(s.httpLn); !errors.Is(err, http.ErrServerClosed) {
		s.collapse(fmt.Errorf("server: HTTP ended unasked: %w", err))
	}
}

// silentGrace is how long Shutdown waits for the first byte on connections that
// have never sent one.
const silentGrace = 250 * time.Millisecond

// shutdownHTTP stops accepting, and waits for the requests in flight.
func (s *Server) shutdownHTTP(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	timer := time.AfterFunc(silentGrace, s.httpLn.(*httpListener).closeSilent)
	defer timer.Stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// httpLog passes the lines of net/http on, at most one each second.
type httpLog struct {
	srv *Server
}

// Write implements io.Writer.
func (h httpLog) Write(line []byte) (int, error) {
	if ok, dropped := h.srv.limiter.allow("http"); ok {
		h.srv.log.Warn("http", "line", strings.TrimSpace(string(line)), "dropped", dropped)
	}
	return len(line), nil
}

// handler answers one request.
type handler func(*gateway, http.ResponseWriter, *http.Request)

// workerPath is the path of one worker.
const workerPath = apiPrefix + "workers/{id}"

// endpoints holds every path and method of the server. docs/openapi.yaml
// describes them, and a test compares the two.
var endpoints = map[string]map[string]handler{
	apiPrefix + "heartbeat":      {http.MethodPost: (*gateway).heartbeat},
	apiPrefix + "schedule":       {http.MethodPost: (*gateway).schedule},
	apiPrefix + "schedule/batch": {http.MethodPost: (*gateway).scheduleBatch},
	apiPrefix + "renew":          {http.MethodPost: (*gateway).renew},
	apiPrefix + "release":        {http.MethodPost: (*gateway).release},
	apiPrefix + "workers":        {http.MethodGet: listing((*gateway).workers)},
	workerPath:                   {http.MethodGet: (*gateway).worker, http.MethodDelete: (*gateway).deleteWorker},
	workerPath + "/cordon":       {http.MethodPost: (*gateway).cordonWorker},
	workerPath + "/drain":        {http.MethodPost: (*gateway).drainWorker},
	workerPath + "/uncordon":     {http.MethodPost: (*gateway).uncordonWorker},
	apiPrefix + "leases":         {http.MethodGet: listing((*gateway).leases)},
	apiPrefix + "tags":           {http.MethodGet: listing((*gateway).tags)},
	apiPrefix + "events":         {http.MethodGet: listing((*gateway).events)},
	apiPrefix + "history":        {http.MethodGet: listing((*gateway).history)},
	apiPrefix + "queue":          {http.MethodGet: listing((*gateway).queue)},
	apiPrefix + "queue/cancel":   {http.MethodPost: (*gateway).cancelQueue},
	"/healthz":                   {http.MethodGet: (*gateway).health},
	"/livez":                     {http.MethodGet: (*gateway).live},
	"/readyz":                    {http.MethodGet: (*gateway).ready},
	"/stats":                     {http.MethodGet: (*gateway).stats},
	"/metrics":                   {http.MethodGet: (*gateway).metrics},
}

// notCounted is the kind of what is no request to the scheduler: those who
// watch it would else drown what they watch.
const notCounted wire.Kind = wire.FirstAnswer

// kinds says as what kind of request a path is counted, which is the kind of
// the native protocol that does the same. The verb of a worker stands before
// its path.
var kinds = map[string]wire.Kind{
	apiPrefix + "heartbeat":              wire.KindHeartbeat,
	apiPrefix + "schedule":               wire.KindSchedule,
	apiPrefix + "schedule/batch":         wire.KindBatch,
	apiPrefix + "renew":                  wire.KindRenew,
	apiPrefix + "release":                wire.KindRelease,
	apiPrefix + "workers":                wire.KindListWorkers,
	workerPath:                           wire.KindGetWorker,
	http.MethodDelete + " " + workerPath: wire.KindDeregister,
	workerPath + "/cordon":               wire.KindCordon,
	workerPath + "/drain":                wire.KindCordon,
	workerPath + "/uncordon":             wire.KindCordon,
	apiPrefix + "leases":                 wire.KindListLeases,
	apiPrefix + "tags":                   wire.KindListTags,
	apiPrefix + "events":                 wire.KindListEvents,
	apiPrefix + "history":                wire.KindListEnded,
	apiPrefix + "queue":                  wire.KindListQueue,
	apiPrefix + "queue/cancel":           wire.KindCancel,
	"/stats":                             wire.KindGetStats,
	"/healthz":                           notCounted,
	"/livez":                             notCounted,
	"/readyz":                            notCounted,
	"/metrics":                           notCounted,
}

// kindOf returns the kind as which a request is counted.
func kindOf(endpoint, method string) wire.Kind {
	if k, ok := kinds[method+" "+endpoint]; ok {
		return k
	}
	return kinds[endpoint]
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(under http.ResponseWriter, r *http.Request) {
	endpoint := endpointOf(r)
	w := &reply{ResponseWriter: under, id: g.srv.requestIDs.of(r), kind: kindOf(endpoint, r.Method), began: g.srv.core.clock.since()}
	defer g.finish(w)
	w.Header()["X-Request-Id"] = []string{w.id}
	if c := connOf(r); c != nil {
		defer c.head.Over()
	}
	if ambiguous(w, r) || turnAway(w, r, endpoint) || g.foreign(w, r) {
		return
	}
	if g.profile(w, r) {
		w.kind = notCounted
		return
	}
	g.dispatch(w, r, endpoint)
}

// foreign refuses a request that may change something and may be one of a web
// page. It reports false if there is nothing to refuse.
func (g *gateway) foreign(w http.ResponseWriter, r *http.Request) bool {
	if !webguard.Changes(r.Method) {
		return false
	}
	refusal := g.guard.Change(r)
	if refusal == nil {
		return false
	}
	g.tell(w, "a request was refused that a web page may have sent", "cause", refusal.Text, "from", hostOf(r))
	jsonError(w, refusal.Status, refusal.Text, refusal.Reason)
	return true
}

// hostOf returns the address that a request comes from, without its port.
func hostOf(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

// dispatch has the handler of an endpoint answer.
func (g *gateway) dispatch(w http.ResponseWriter, r *http.Request, endpoint string) {
	methods, known := endpoints[endpoint]
	if !known {
		textError(w, r, http.StatusNotFound, "404 page not found")
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := methods[method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		textError(w, r, http.StatusMethodNotAllowed, "Method not allowed")
		return
	}
	handle(g, w, r)
}

// endpointOf returns the key of endpoints for a request. Everything behind
// workers/ is the id of a worker, as it always was, even with a slash in it;
// only a POST has a verb behind that.
func endpointOf(r *http.Request) string {
	if !strings.HasPrefix(cleanPath(r.URL.EscapedPath()), apiPrefix+"workers/") {
		return cleanPath(r.URL.Path)
	}
	if r.Method == http.MethodPost {
		_, verb := workerOf(r)
		return workerPath + verb
	}
	return workerPath
}

// workerOf splits the path of a worker into its id, percent-encoded as it came,
// and the verb behind it, "" for none.
func workerOf(r *http.Request) (id, verb string) {
	id = strings.TrimPrefix(cleanPath(r.URL.EscapedPath()), apiPrefix+"workers/")
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

var (
	jsonType = []string{"application/json"}
	healthy  = []byte(`{"status":"ok"}` + "\n")
)

// writeJSON answers with a body of JSON, and what there is to say of the request.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	body = withWarnings(w, body)
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// acceptsJSON reports whether a request wants its errors in JSON.
func acceptsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// textError answers with a sentence: plain text, unless the client accepts
// JSON.
func textError(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	if acceptsJSON(r) {
		jsonError(w, status, sentence, "")
		return
	}
	http.Error(w, sentence, status)
}

// jsonError answers with a sentence, and a reason for programs if there is one.
func jsonError(w http.ResponseWriter, status int, sentence, reason string) {
	b := view.AppendString([]byte(`{"error":`), sentence)
	if reason != "" {
		b = view.AppendString(append(b, `,"reason":`...), reason)
	}
	writeJSON(w, status, append(b, "}\n"...))
}

// metrics answers a scrape.
func (g *gateway) metrics(w http.ResponseWriter, r *http.Request) {
	if g.srv.scrape == nil {
		textError(w, r, http.StatusNotFound, "metrics are turned off: --metrics=false")
		return
	}
	g.srv.scrape.ServeHTTP(w, r)
}

// health answers that the scheduler listens. Whoever finds it open to everybody
// is told that it is meant to be.
func (g *gateway) health(w http.ResponseWriter, _ *http.Request) {
	if g.srv.cfg.Insecure {
		writeJSON(w, http.StatusOK, []byte(`{"status":"ok","insecure":true}`+"\n"))
		return
	}
	writeJSON(w, http.StatusOK, healthy)
}
