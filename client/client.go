package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dtask/dtask-scheduler/wire"
)

// Options tune a Client; the zero value is the usual choice.
type Options struct {
	// ClientID is the scope in which task ids are idempotent, under the rules of
	// Task.ID. Set it, and keep it, if a restarted program should get the leases
	// of its former life again. "" draws a random one.
	ClientID string
	// Token is for schedulers that ask for one; at most 512 bytes.
	Token string
	// Dial replaces the TCP connection, for example by one in memory.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Logger gets connections (info), lost ones, failed attempts and
	// lost leases (warn), and requests that are sent again (debug). nil logs
	// nothing.
	Logger *slog.Logger
}

// Client speaks with one scheduler at a time out of several addresses. It is
// safe for concurrent use.
type Client struct {
	addrs []string
	hello wire.Hello
	dial  func(ctx context.Context, address string) (net.Conn, error)
	log   *slog.Logger
	book  *book
	conn  atomic.Pointer[Conn] // nil while there is none
	// welcome is what the latest connection was greeted with.
	welcome atomic.Pointer[wire.HelloOK]
	calls   sync.Pool       // of *placing
	life    context.Context // ends with Close
	end     context.CancelFunc
	done    chan struct{} // closed when the keeper has returned
	leaving leaving
	failure string // why no scheduler answered last, of the keeper alone

	mu sync.Mutex    // Guards up.
	up chan struct{} // closed while there is a connection
}

// Dial connects to the first of addrs that answers, tried once each in this
// order, and keeps connecting for the life of the Client. They are read by
// ParseAddrs, unless Options.Dial takes them as they are. Errors are those of
// all addresses, joined.
func Dial(ctx context.Context, addrs []string, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	if o.Dial == nil || len(addrs) == 0 {
		read, err := readAddrs(addrs)
		if err != nil {
			return nil, err
		}
		addrs = read
	}
	id := o.ClientID
	if id == "" {
		id = randomID()
	}
	if !wire.ValidID(id) {
		return nil, badField("client", fmt.Sprintf("the client id %.150q is not 1 to %d bytes of [A-Za-z0-9._:@/-]", id, wire.MaxID))
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		addrs: slices.Clone(addrs), dial: o.Dial, log: log, book: newBook(id, log),
		done: make(chan struct{}), up: make(chan struct{}),
		hello: wire.Hello{Role: wire.RoleClient, Client: id, Token: o.Token},
	}
	if c.dial == nil {
		c.dial = dialTCP
	}
	c.calls.New = func() any { return newPlacing(c) }
	c.life, c.end = context.WithCancel(context.Background())
	conn, next, err := c.connect(ctx, 0)
	if err != nil {
		c.end()
		return nil, err
	}
	c.attach(conn, next)
	go c.keep(conn, next)
	return c, nil
}

// ID returns the client id.
func (c *Client) ID() string { return c.hello.Client }

// Close ends the client; calls in flight fail with ErrClosed. Leases with a ttl
// live on. Others are lost to their holders, and the scheduler asks their
// workers for them when it misses the renewals: release them before, if the room
// matters. Leases of calls whose context has
// ended are given back first; that takes a second at most.
func (c *Client) Close() error {
	c.linger()
	c.end()
	<-c.done
	return nil
}

// randomID draws a client id.
func randomID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return "c-" + hex.EncodeToString(b[:])
}

// connected waits for a connection.
func (c *Client) connected(ctx context.Context) (*Conn, error) {
	for {
		if conn := c.conn.Load(); conn != nil {
			return conn, nil
		}
		c.mu.Lock()
		up := c.up
		c.mu.Unlock()
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.life.Done():
			return nil, ErrClosed
		}
	}
}

// again reports whether a call that failed with err may be sent once more, on
// the next connection.
func (c *Client) again(err error) bool {
	return errors.Is(err, ErrDisconnected) && c.life.Err() == nil
}

// final returns the error that a caller gets for a call that is not sent again.
func (c *Client) final(what string, err error) error {
	if errors.Is(err, ErrDisconnected) {
		return ErrClosed // or it would have been sent again
	}
	return explain(what, err)
}

// ask sends one of the rare requests and hands its answer to take, again after a
// lost connection: all of them may arrive twice. It returns how often it sent.
func (c *Client) ask(ctx context.Context, what string, m wire.Message, take func(wire.Message) error) (sends int, err error) {
	for sends = 1; ; sends++ {
		conn, err := c.connected(ctx)
		if err != nil {
			return sends, err
		}
		if err = askOnce(ctx, conn, m, take); !c.again(err) {
			return sends, c.final(what, err)
		}
		if err := c.lose(ctx, conn, what); err != nil {
			return sends, err
		}
	}
}

// askOnce is ask on one connection.
func askOnce(ctx context.Context, conn *Conn, m wire.Message, take func(wire.Message) error) error {
	answered := make(chan error, 1)
	err := conn.Start(ctx, m, func(m wire.Message, err error) {
		if err == nil {
			err = take(m)
		}
		answered <- err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lose waits until a failed connection is no longer the present one, so that
// what was asked on it can be sent again.
func (c *Client) lose(ctx context.Context, conn *Conn, what string) error {
	select {
	case <-conn.Gone():
	case <-ctx.Done():
		return ctx.Err()
	}
	c.detach(conn)
	c.log.Debug("dtask: a request is sent again", "request", what)
	return nil
}

// attach makes conn, which is to the at-th address, the present connection.
func (c *Client) attach(conn *Conn, at int) {
	welcome := conn.Welcome()
	c.log.Info("dtask: connected", "address", c.addrs[at], "server", welcome.Server,
		"epoch", welcome.Grantor.Epoch, "instance", welcome.Grantor.Instance)
	c.book.setPeriod(time.Duration(welcome.StartTTLMS)*time.Millisecond, time.Now())
	c.welcome.Store(&welcome)
	c.conn.Store(conn)
	c.mu.Lock()
	close(c.up)
	c.mu.Unlock()
	for _, l := range c.book.unanswered() {
		c.sendRelease(l)
	}
}

// detach forgets a connection that has ended, if it is the present one.
func (c *Client) detach(conn *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn.CompareAndSwap(conn, nil) {
		c.up = make(chan struct{})
	}
}
