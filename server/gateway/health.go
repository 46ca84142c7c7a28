package gateway

import (
	"net/http"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// ReasonStalled is why a scheduler that does not move is not alive.
const ReasonStalled = "stalled"

// health answers that the scheduler listens, and whether it does so without
// authentication on purpose.
func health(c *call) { c.ok(&healthy{done{"ok"}, c.g.Insecure}) }

// healthy is the answer to GET /healthz.
type healthy struct {
	done
	Insecure bool `json:"insecure,omitempty"`
}

// live answers whether the scheduler moves. It takes no lock of the core.
func live(c *call) {
	if what := c.g.Host.Stalled(); what != "" {
		c.unavailable(ReasonStalled, what)
		return
	}
	c.done()
}

// ready answers whether the scheduler should get requests.
func ready(c *call) {
	if reason, detail := c.g.Host.Unready(); reason != "" {
		c.unavailable(reason, detail)
		return
	}
	c.done()
}

// unavailable answers 503 with the reason.
func (c *call) unavailable(reason, detail string) {
	c.Header().Set("Retry-After", "1")
	c.value(http.StatusServiceUnavailable, &view.Health{Status: "unavailable", Reason: reason, Detail: detail})
}

// metrics answers a scrape.
func metrics(c *call) {
	if c.g.Scrape == nil {
		c.text(http.StatusNotFound, "metrics are turned off: --metrics=false")
		return
	}
	c.g.Scrape.ServeHTTP(c, c.r)
}

func stats(c *call) {
	if s, ok := ask[*wire.Stats](c, &wire.GetStats{}); ok {
		c.ok(view.StatsOf(s, c.g.Host.Counters()))
	}
}
