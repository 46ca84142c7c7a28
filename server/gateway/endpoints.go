package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// Prefix is in front of every path of the API, and WorkerPath the path of one
// worker.
const (
	Prefix     = "/api/v1/"
	WorkerPath = Prefix + "workers/{id}"
)

// Class says what a request to an endpoint may do. The rules for its senders
// follow from that.
type Class uint8

const (
	// Watch shows the state of the scheduler. Such requests are answered while all
	// connections are taken. They are not counted, because frequent probes would
	// hide the requests of users.
	Watch Class = iota
	// Read changes nothing.
	Read
	// Change changes something: a web page must not have it sent.
	Change
)

// Endpoint is one method of one path.
type Endpoint struct {
	Method, Path string
	Class        Class
	Kind         wire.Kind // of the native protocol that does the same: requests are counted as one
	List         bool      // it answers a list page by page, when it is its turn
	Body         any       // of the type that its body is decoded into; nil: it has none
	Answer       any       // of the type of its body with the status 200; nil: it is no JSON

	handle func(*call)
}

// Endpoints is every method and path of the server. The routing, the rules for
// requests of web pages and for spare connections, and the tests of the documents
// go by it.
var Endpoints = []Endpoint{
	post(Prefix+"heartbeat", wire.KindHeartbeat, done{}, heartbeat),
	post(Prefix+"schedule", wire.KindSchedule, placed{}, schedule),
	post(Prefix+"schedule/batch", wire.KindBatch, results{}, scheduleBatch),
	post(Prefix+"renew", wire.KindRenew, view.Status{}, renew),
	post(Prefix+"release", wire.KindRelease, view.Status{}, release),
	list(Prefix+"workers", wire.KindListWorkers, []view.Listed{}, workers),
	get(WorkerPath, Read, wire.KindGetWorker, view.WorkerDetail{}, worker),
	{Method: http.MethodDelete, Path: WorkerPath, Class: Change, Kind: wire.KindDeregister, Answer: done{}, handle: deleteWorker},
	post(WorkerPath+"/cordon", wire.KindCordon, cordoned{}, cordon("worker cordoned", wire.Cordon{On: true})),
	post(WorkerPath+"/drain", wire.KindCordon, cordoned{}, cordon("worker drains", wire.Cordon{On: true, Drain: true})),
	post(WorkerPath+"/uncordon", wire.KindCordon, cordoned{}, cordon("worker uncordoned", wire.Cordon{})),
	list(Prefix+"leases", wire.KindListLeases, view.Leases{}, leases),
	list(Prefix+"tags", wire.KindListTags, view.Tags{}, tags),
	list(Prefix+"events", wire.KindListEvents, view.Events{}, events),
	list(Prefix+"history", wire.KindListEnded, view.History{}, history),
	list(Prefix+"queue", wire.KindListQueue, view.Queue{}, queue),
	post(Prefix+"queue/cancel", wire.KindCancel, cancelled{}, cancelQueue),
	get("/stats", Read, wire.KindGetStats, view.Stats{}, stats),
	get("/healthz", Watch, notCounted, healthy{}, health),
	get("/livez", Watch, notCounted, done{}, live),
	get("/readyz", Watch, notCounted, done{}, ready),
	get("/metrics", Watch, notCounted, nil, metrics),
}

// notCounted is the kind of what is no request to the scheduler.
const notCounted = wire.FirstAnswer

func get(path string, class Class, k wire.Kind, answer any, handle func(*call)) Endpoint {
	return Endpoint{Method: http.MethodGet, Path: path, Class: class, Kind: k, Answer: answer, handle: handle}
}

// list is get for a list: its handler gets the parameters.
func list(path string, k wire.Kind, answer any, handle func(*call, *params)) Endpoint {
	e := get(path, Read, k, answer, listing(handle))
	e.List = true
	return e
}

// post is for a change with a body of type T, which may be missing if T has a
// method optional.
func post[T any](path string, k wire.Kind, answer any, handle func(*call, *T)) Endpoint {
	return Endpoint{Method: http.MethodPost, Path: path, Class: Change, Kind: k, Body: new(T), Answer: answer, handle: func(c *call) {
		var q T
		if c.read(&q) {
			handle(c, &q)
		}
	}}
}

// routed are the endpoints of one path.
type routed []*Endpoint

// routes finds the endpoints of a path.
var routes = func() map[string]routed {
	all := map[string]routed{}
	for i := range Endpoints {
		e := &Endpoints[i]
		all[e.Path] = append(all[e.Path], e)
	}
	return all
}()

// find returns the endpoint of a method, nil for none.
func (m routed) find(method string) *Endpoint {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, e := range m {
		if e.Method == method {
			return e
		}
	}
	return nil
}

// kind returns the kind as which a request is counted; e is nil if its method is
// none of the path's.
func (m routed) kind(e *Endpoint) wire.Kind {
	switch {
	case e != nil:
		return e.Kind
	case len(m) > 0:
		return m[0].Kind
	}
	return 0
}

// allow lists the methods.
func (m routed) allow() string {
	var methods []string
	for _, e := range m {
		methods = append(methods, e.Method)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
