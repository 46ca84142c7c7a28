package gateway

import (
	"net/http"

	"github.com/dtask/dtask-scheduler/view"
	"github.com/dtask/dtask-scheduler/wire"
)

// leaseRequest is the body of a renewal and a release.
type leaseRequest struct {
	LeaseID string `json:"lease_id"`
	// Handed says, for a release, that the lease was handed to its worker: it
	// is then asked back there instead of ended here.
	Handed bool `json:"handed"`
}

// lease returns the id. It reports false after it has answered with an error
// itself.
func (q *leaseRequest) lease(c *call) (id wire.LeaseID, ok bool) {
	if q.LeaseID == "" {
		c.refuse(badField("lease_id", "is required", 0))
		return id, false
	}
	id, err := wire.ParseLeaseID(q.LeaseID)
	if err != nil {
		c.refuse(badField("lease_id", "is not a lease id", 0))
		return id, false
	}
	return id, true
}

func renew(c *call, q *leaseRequest) {
	id, ok := q.lease(c)
	if !ok {
		return
	}
	m, ok := ask[*wire.Renewed](c, &wire.Renew{Leases: []wire.LeaseID{id}})
	switch {
	case !ok:
	case len(m.Leases) != 1 || m.Leases[0].State == wire.StateNone:
		c.notFound("lease")
	default:
		c.ok(statusOf(m.Leases[0].State.String(), m.Leases[0].Reason))
	}
}

// release gives a lease back. One that is repeated is no error: the lease is given
// back, as its client wants it.
func release(c *call, q *leaseRequest) {
	id, ok := q.lease(c)
	if !ok {
		return
	}
	m, ok := ask[*wire.Released](c, &wire.Release{Lease: id, Handed: q.Handed})
	if !ok {
		return
	}
	c.code = m.Code
	switch m.Code {
	case wire.CodeOK:
		c.ok(statusOf("released", wire.ReasonNone))
	case wire.CodeAskedBack, wire.CodeAlreadyEnded:
		c.ok(statusOf(m.Code.String(), m.Reason))
	case wire.CodeBegun:
		c.value(http.StatusConflict, &refused{Error: "the lease has begun; its worker alone ends it", Reason: m.Code.String()})
	default:
		c.notFound("lease")
	}
}

// statusOf returns the state of a lease and how it ended, if it did.
func statusOf(status string, reason wire.Reason) *view.Status {
	s := &view.Status{Status: status}
	if reason != wire.ReasonNone {
		s.Reason = reason.String()
	}
	return s
}
