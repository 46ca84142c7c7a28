package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/dtask/dtask-scheduler/view"
)

// Rows of the API, as package view describes them.
type (
	WorkerDetail = view.WorkerDetail // one worker with its leases, at most 1,000
	WorkerInfo   = view.Worker
	Device       = view.Device
	Cordon       = view.Cordon
	LeaseInfo    = view.Lease
)

// detail is the answer to Worker.
type detail struct{ view.WorkerDetail }

func (d *detail) complete() bool { return d.Worker.ID != "" }

// Worker returns one worker with its leases. ErrNotFound says that it is not
// there. It is repeated as Renew is.
func (c *Client) Worker(ctx context.Context, id string) (*WorkerDetail, error) {
	if id == "" {
		return nil, errors.New("httpapi: Worker needs an id")
	}
	var d detail
	k := &call{method: http.MethodGet, path: "/api/v1/workers/" + url.PathEscape(id), safe: true, limit: MaxList}
	if err := c.do(ctx, k, &d); err != nil {
		return nil, err
	}
	return &d.WorkerDetail, nil
}
