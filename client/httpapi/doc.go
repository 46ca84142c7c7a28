// Package httpapi is a thin client of the HTTP API, for programs that used the
// older scheduler and for workers that report by HTTP. New programs fare better
// with package client: its leases are exact, and one connection carries
// hundreds of requests at once.
//
//	c, err := httpapi.New("http://127.0.0.1:8080", nil)
//	p, err := c.Schedule(ctx, httpapi.Task{ID: "t1", Tags: []string{"ssd"}})
//
// Whatever a server answers other than what was expected is a *StatusError with
// the status and the text, also if a proxy answered in its own words. Requests
// are repeated only where that is safe, within the context; each method says
// what that means for it.
package httpapi
