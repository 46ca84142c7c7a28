package index

// LoadOf returns the load that the index holds for a worker, Full if the
// worker is unknown. For the checks of callers.
func (x *Index) LoadOf(w Worker) uint32 {
	if !x.Known(w) {
		return Full
	}
	return x.workers[w].load
}
