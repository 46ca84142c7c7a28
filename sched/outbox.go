package sched

import "github.com/dtask/dtask-scheduler/wire"

// Session names one connection to the core. The caller draws it and never
// gives the same number to two connections. Session 0 has no connection: the
// HTTP gateway speaks through it, one request at a time, and nothing is pushed
// to it.
type Session uint64

// Item is one message that the core wants sent.
type Item struct {
	To      Session
	Request uint64 // the request it answers; 0 for a push
	Kind    wire.Kind

	// Of these the one that Kind names is set. The frequent ones are values, so
	// that an Outbox that is used again allocates nothing.
	Placed   wire.Placed
	Released wire.Released
	Revoke   wire.Revoke
	Other    wire.Message
}

// Message returns the item's message. It points into the item and is valid as
// long as the item is.
func (it *Item) Message() wire.Message {
	switch it.Kind {
	case wire.KindPlaced:
		return &it.Placed
	case wire.KindReleased:
		return &it.Released
	case wire.KindRevoke:
		return &it.Revoke
	}
	return it.Other
}

// Outbox collects what the core wants sent, in the order in which it must
// leave. Messages in it stay valid after later calls into the core.
type Outbox struct {
	Items []Item
}

// Reset empties the outbox and keeps its memory.
func (o *Outbox) Reset() {
	clear(o.Items)
	o.Items = o.Items[:0]
}

// next appends an item and returns it. The caller sets the message that Kind
// names; the others may be those of an earlier item.
func (o *Outbox) next(to Session, request uint64, k wire.Kind) *Item {
	n := len(o.Items)
	if n < cap(o.Items) {
		o.Items = o.Items[:n+1]
	} else {
		o.Items = append(o.Items, Item{})
	}
	it := &o.Items[n]
	it.To, it.Request, it.Kind, it.Other = to, request, k, nil
	return it
}

// put appends a message that is not one of the frequent kinds.
func (o *Outbox) put(to Session, request uint64, m wire.Message) {
	o.next(to, request, m.Kind()).Other = m
}
