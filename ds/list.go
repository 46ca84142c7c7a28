package ds

// Links is the place of an element in a List. An element embeds it.
type Links[T any] struct{ next, prev *T }

// Next returns the element behind this one, nil behind the last.
func (k *Links[T]) Next() *T { return k.next }

// Prev returns the element before this one, nil before the first.
func (k *Links[T]) Prev() *T { return k.prev }

// Self returns the links themselves.
func (k *Links[T]) Self() *Links[T] { return k }

// Element is a pointer to what embeds Links.
type Element[T any] interface {
	*T
	Self() *Links[T]
}

// List is a doubly linked list of elements that hold their links: entering and
// leaving cost a few writes and no allocation.
type List[T any, P Element[T]] struct{ first, last *T }

// First returns the first element, nil if there is none.
func (l *List[T, P]) First() *T { return l.first }

// Last returns the last element, nil if there is none.
func (l *List[T, P]) Last() *T { return l.last }

// InsertAfter enters an element behind another one, or with nil as the first.
func (l *List[T, P]) InsertAfter(e, after *T) {
	k := P(e).Self()
	k.prev, k.next = after, l.first
	if after != nil {
		k.next, P(after).Self().next = P(after).Self().next, e
	} else {
		l.first = e
	}
	if k.next != nil {
		P(k.next).Self().prev = e
	} else {
		l.last = e
	}
}

// Remove takes out an element that is in the list.
func (l *List[T, P]) Remove(e *T) {
	k := P(e).Self()
	if k.prev != nil {
		P(k.prev).Self().next = k.next
	} else {
		l.first = k.next
	}
	if k.next != nil {
		P(k.next).Self().prev = k.prev
	} else {
		l.last = k.prev
	}
	*k = Links[T]{}
}
