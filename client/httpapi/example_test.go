package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/dtask/dtask-scheduler/client/httpapi"
)

func Example() {
	server := httptest.NewServer(text(http.StatusOK, `{"worker_id":"w1","address":"10.0.0.1:7000","lease_id":"1-2-3"}`))
	defer server.Close()
	url := server.URL

	c, err := httpapi.New(url, nil) // such as http://127.0.0.1:8080
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	place, err := c.Schedule(ctx, httpapi.Task{ID: "task-001", Tags: []string{"ssd"}, Key: "task-001/1"})
	var status *httpapi.StatusError
	switch {
	case err == nil:
		fmt.Println(place.Worker, place.Address, place.Lease)
	case errors.Is(err, httpapi.ErrUnavailable):
		fmt.Println("busy: try again in a while")
	case errors.As(err, &status):
		fmt.Println(status.Status, status.Text) // also of a proxy in between
	}
	// Output: w1 10.0.0.1:7000 1-2-3
}
