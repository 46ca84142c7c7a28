package index

// Before reports whether a query takes worker v rather than w if both fit. Both must be known; they
// need not be eligible. Find and Least choose by the same order.
func (x *Index) Before(v, w Worker, q *Query) bool {
	if s := q.Spread; s != nil {
		if a, b := s.countOf(x.profileOf(v)), s.countOf(x.profileOf(w)); a != b {
			return a < b
		}
	}
	a, b := x.workers.at(int(v)), x.workers.at(int(w))
	one, other := makeKey(a.load, a.stamp, v), makeKey(b.load, b.stamp, w)
	if q.Most {
		one, other = other, one
	}
	return one < other
}
