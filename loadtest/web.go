package loadtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/dtask/dtask-scheduler/loadtest/poll"
)

const (
	webCallers = 64      // HTTP requests at once, each on a kept-alive connection
	webQueue   = 1 << 16 // requests that wait for a caller
	webAnswer  = 1 << 20 // bytes that are read of an answer
)

// errQueue is the reason of a request that was never sent.
var errQueue = errors.New("loadtest: too many HTTP requests wait")

// web makes the HTTP requests of all shards, on a bounded number of
// connections.
type web struct {
	base    string
	client  *http.Client
	queue   chan request
	stopped context.Context
	stop    context.CancelFunc
	working sync.WaitGroup
}

// request is one HTTP request. done runs on the loop.
type request struct {
	loop         *poll.Loop
	method, path string
	key          string // the idempotency key, "" for none
	body         []byte
	done         func(now int64, a answer)
}

// answer is what came of a request. err is set if nothing came.
type answer struct {
	status int
	body   []byte
	err    error
}

// late reports whether a connection stood and nothing came.
func (a *answer) late() bool {
	var e net.Error
	return errors.As(a.err, &e) && e.Timeout()
}

func newWeb(addr string) *web {
	w := &web{
		base:  "http://" + addr,
		queue: make(chan request, webQueue),
		client: &http.Client{
			Timeout:   time.Duration(answerLimit),
			Transport: &http.Transport{MaxIdleConns: webCallers, MaxIdleConnsPerHost: webCallers, MaxConnsPerHost: webCallers},
		},
	}
	w.stopped, w.stop = context.WithCancel(context.Background())
	for range webCallers {
		w.working.Go(w.serve)
	}
	return w
}

// ask makes a request soon. It never waits.
func (w *web) ask(q request) {
	select {
	case w.queue <- q:
	default:
		q.loop.Post(func() { q.done(q.loop.Now(), answer{err: errQueue}) })
	}
}

func (w *web) serve() {
	for {
		select {
		case <-w.stopped.Done():
			return
		case q := <-w.queue:
			a := w.call(&q)
			q.loop.Post(func() { q.done(q.loop.Now(), a) })
		}
	}
}

func (w *web) call(q *request) answer {
	r, err := http.NewRequestWithContext(w.stopped, q.method, w.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return answer{err: err}
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	res, err := w.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, webAnswer))
	return answer{res.StatusCode, body, err}
}

// close ends all requests.
func (w *web) close() {
	w.stop()
	w.working.Wait()
	w.client.CloseIdleConnections()
}
