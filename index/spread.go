package index

import "strings"

// A Spread counts by the values of a tag key, so that Find can prefer the value
// with the fewest counts. Workers without the key share the value "", and of
// several values of one worker the first in order counts.
type Spread struct {
	x      *Index
	prefix string
	values map[string]int32
	counts []int
	// byProf holds, by the number of the profile, its value plus one, 0 if it is not
	// known yet: in pages, of which there are only those that were needed.
	byProf []*[spreadPage]int32
	at     uint64 // changes of the layout for which byProf holds
}

// spreadPage is how many profiles share a page of a Spread.
const spreadPage = 1024

// NewSpread returns a Spread over a tag key without any counts.
func (x *Index) NewSpread(key string) *Spread {
	return &Spread{x: x, prefix: key + "=", values: map[string]int32{}}
}

// Count adds to the count of a worker's value.
func (x *Index) Count(s *Spread, w Worker, by int) {
	if p := x.profileOf(w); p != nil {
		s.counts[s.valueOf(p)] += by
	}
}

func (s *Spread) countOf(p *profile) int { return s.counts[s.valueOf(p)] }

// valueOf returns the number of a profile's value.
func (s *Spread) valueOf(p *profile) int32 {
	if next := s.x.layout.changes.next; s.at != next {
		s.byProf, s.at = nil, next // numbers may stand for other profiles now
	}
	page, i := int(p.number/spreadPage), p.number%spreadPage
	if page >= len(s.byProf) {
		s.byProf = append(s.byProf, make([]*[spreadPage]int32, page+1-len(s.byProf))...)
	}
	if s.byProf[page] == nil {
		s.byProf[page] = new([spreadPage]int32)
	}
	if v := s.byProf[page][i]; v != 0 {
		return v - 1
	}
	s.x.work += p.set.len()
	least, has := "", false
	p.set.eachNotIn("", func(n uint32) {
		if value, ok := strings.CutPrefix(s.x.tags.tags[n].name, s.prefix); ok && (!has || value < least) {
			least, has = value, true
		}
	})
	v, known := s.values[least]
	if !known {
		v = int32(len(s.counts))
		s.values[least], s.counts = v, append(s.counts, 0)
	}
	s.byProf[page][i] = v + 1
	return v
}
