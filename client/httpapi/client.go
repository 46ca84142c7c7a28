package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of a client.
const (
	// DefaultAttempts is how often a request is sent at most.
	DefaultAttempts = 3
	// DefaultTimeout bounds one attempt.
	DefaultTimeout = 10 * time.Second
	// MaxAnswer bounds the body of an answer, in bytes; lists, and the results of
	// many tasks, may be MaxList long.
	MaxAnswer = 1 << 20
	MaxList   = 256 << 20
	// maxText bounds what a StatusError keeps of an answer, in bytes.
	maxText = 4 << 10
	// firstPause and lastPause bound the waits between attempts: each is drawn
	// from half the bound to the bound, which doubles. A server that asks for a
	// longer wait is heard up to lastPause.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// maxIdle is how many connections to the server stay open between requests.
	maxIdle = 64
)

// Options tune a Client; the zero value is the usual choice.
type Options struct {
	// HTTP sends the requests, for example through TLS with own certificates.
	// nil means a client of its own, without a proxy for loopback.
	HTTP *http.Client
	// Attempts is how often a request that may be repeated is sent, 1 to 10; 0
	// means DefaultAttempts.
	Attempts int
	// Timeout bounds each attempt; the context bounds them all. 0 means
	// DefaultTimeout.
	Timeout time.Duration
}

// Client speaks the HTTP API of one scheduler. It is safe for concurrent use.
type Client struct {
	base     string // without a slash at the end
	http     *http.Client
	attempts int
	timeout  time.Duration
}

// New returns a client of the scheduler at a URL such as "http://host:8080"; a
// slash at its end does no harm. The error names what is wrong with the URL or
// with an option. Nothing is sent.
func New(base string, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, fmt.Errorf("httpapi: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("httpapi: %.200q is not a URL such as http://host:8080", base)
	case o.Attempts < 0 || o.Attempts > 10:
		return nil, fmt.Errorf("httpapi: Options.Attempts %d is not in 0..10", o.Attempts)
	case o.Timeout < 0:
		return nil, fmt.Errorf("httpapi: Options.Timeout %v is negative", o.Timeout)
	}
	c := &Client{base: strings.TrimRight(u.String(), "/"), http: o.HTTP, attempts: o.Attempts, timeout: o.Timeout}
	if c.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = maxIdle
		c.http = &http.Client{Transport: t}
	}
	if c.attempts == 0 {
		c.attempts = DefaultAttempts
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	return c, nil
}

// call is one request and how it may be repeated.
type call struct {
	method, path string        // the path begins with a slash
	body         any           // JSON; nil for none
	key          string        // Idempotency-Key
	safe         bool          // may be repeated although the server may have acted
	limit        int64         // bytes of the answer
	wait         time.Duration // how long the answer may be held back
	sent         int           // how often it was sent
}

// answer is the body of a good answer.
type answer interface {
	// complete reports whether what was read is the scheduler's answer: JSON of
	// another server has other keys.
	complete() bool
}

// do sends a call until it is answered, and reads the answer into a.
func (c *Client) do(ctx context.Context, k *call, a answer) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return fmt.Errorf("httpapi: %s %s: %w", k.method, k.path, err)
		}
	}
	if k.limit == 0 {
		k.limit = MaxAnswer
	}
	for bound := firstPause; ; bound = min(2*bound, lastPause) {
		k.sent++
		err := c.once(ctx, k, body, a)
		if err == nil || k.sent >= c.attempts || ctx.Err() != nil || !k.again(err) {
			return err
		}
		select {
		case <-time.After(pause(bound, err)):
		case <-ctx.Done():
			return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
		}
	}
}

// again reports whether a call that failed may be sent once more.
func (k *call) again(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return k.safe && status.transient()
	}
	if errors.Is(err, ErrTooLarge) {
		return false
	}
	return k.safe || neverSent(err)
}

// neverSent reports whether no connection was made, so that the server cannot
// have seen the request.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// pause returns how long to wait before the next attempt.
func pause(bound time.Duration, err error) time.Duration {
	wait := bound/2 + rand.N(bound/2)
	var status *StatusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.RetryAfter, lastPause))
	}
	return wait
}

// once is one attempt.
func (c *Client) once(ctx context.Context, k *call, body []byte, a answer) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+k.wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+k.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		req.Header.Set("Idempotency-Key", k.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(k, resp)
	}
	return read(k, resp, a)
}

// read takes the body of a good answer.
func read(k *call, resp *http.Response, a answer) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, k.limit+1))
	switch {
	case err != nil:
		return fmt.Errorf("httpapi: %s %s: reading the answer: %w", k.method, k.path, err)
	case int64(len(text)) > k.limit:
		return fmt.Errorf("httpapi: %s %s: %w of %d bytes", k.method, k.path, ErrTooLarge, k.limit)
	case json.Unmarshal(text, a) != nil || !a.complete():
		return newStatusError(k, resp, text)
	}
	return nil
}

// refusal reads the body of an answer that is not 200.
func refusal(k *call, resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if err != nil && len(text) == 0 {
		text = []byte("the answer broke off: " + err.Error())
	}
	return newStatusError(k, resp, text)
}

// retryAfter reads the header of this name in seconds, the form that servers of
// APIs use.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}
