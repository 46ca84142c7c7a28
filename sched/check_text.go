package sched

import "fmt"

// checkText counts what workers that speak HTTP have from scratch (I26).
func (s *State) checkText() error {
	text, holders := 0, map[*kit]int{}
	for n := range int32(s.workers.Len()) {
		w := s.workers.At(n)
		if !w.known || w.http == nil {
			continue
		}
		if w.http.kit != w.kit {
			return fmt.Errorf("I26: worker %q is counted with other tags than its own", w.id)
		}
		if text += len(w.id) + len(w.address()); holders[w.kit] == 0 {
			text += textOf(w.kit.tags)
		}
		holders[w.kit]++
	}
	for _, k := range s.kits {
		if k.web != holders[k] {
			return fmt.Errorf("I26: %d workers that speak HTTP have the tags %q, counted %d", holders[k], k.tags, k.web)
		}
	}
	if text != s.text || text > s.cfg.MaxHTTPText {
		return fmt.Errorf("I26: workers that speak HTTP have %d bytes, counted %d, at most %d", text, s.text, s.cfg.MaxHTTPText)
	}
	return nil
}
