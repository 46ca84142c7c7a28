package sched

import (
	"slices"

	"github.com/dtask/dtask-scheduler/wire"
)

// Workers that speak HTTP may have as many tags as fit into the body of a
// heartbeat, so what all of them hold is counted in bytes. A list of tags that
// several have is kept once, and counted once.

// tagBytes is what a tag takes beside its text, which is kept twice.
const tagBytes = 32

// textOf returns the bytes that a list of tags counts as.
func textOf(tags []string) int {
	n := 0
	for _, t := range tags {
		n += 2*len(t) + tagBytes
	}
	return n
}

// textFits returns an error if a report would have workers that speak HTTP hold
// too much. w is its worker, as it is before.
func (s *State) textFits(w *worker, r *Report) *wire.Error {
	more, less := len(r.Worker)+len(r.Address), 0
	if w.http != nil {
		less = w.http.names
	}
	if w.http == nil || !slices.Equal(w.kit.tags, r.Tags) {
		if k := s.kits[kitKey(r.Tags, "", nil)]; k == nil || k.web == 0 {
			more += textOf(r.Tags)
		}
		if w.http != nil && w.kit.web == 1 {
			less += textOf(w.kit.tags)
		}
	}
	if more <= less || s.text+more-less <= s.cfg.MaxHTTPText {
		return nil
	}
	return &wire.Error{Code: wire.CodeTagLimit, Field: "tags", Limit: uint64(s.cfg.MaxHTTPText),
		Message: "the workers that speak HTTP have ids, addresses and tags of too many bytes together"}
}

// holdText counts what a worker that speaks HTTP has, in place of what was
// counted for it before.
func (s *State) holdText(w *worker) {
	h := w.http
	if h.kit != w.kit {
		if w.kit.web++; w.kit.web == 1 {
			s.text += textOf(w.kit.tags)
		}
		s.dropTags(h.kit)
		h.kit = w.kit
	}
	s.text -= h.names
	h.names = len(w.id) + len(w.address())
	s.text += h.names
}

// dropText counts nothing more for a worker that speaks HTTP: it goes, or speaks
// leases from now on.
func (s *State) dropText(w *worker) {
	if w.http != nil {
		s.dropTags(w.http.kit)
		s.text -= w.http.names
	}
}

func (s *State) dropTags(k *kit) {
	if k == nil {
		return
	}
	if k.web--; k.web == 0 {
		s.text -= textOf(k.tags)
	}
}
