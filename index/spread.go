package index

import "strings"

// A Spread counts by the values of a tag key, so that Find can prefer the value
// with the fewest counts. Workers without the key share the value "", and of
// several values of one worker the first in order counts. It is valid until the
// next Put or Remove.
type Spread struct {
	x      *Index
	prefix string
	values map[string]int32
	counts []int
	byProf []int32 // by the number of the profile: its value plus one, 0 if not known yet
}

// NewSpread returns a Spread over a tag key without any counts.
func (x *Index) NewSpread(key string) *Spread {
	return &Spread{x: x, prefix: key + "=", values: map[string]int32{}, byProf: make([]int32, x.profiles.n)}
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
	if v := s.byProf[p.number]; v != 0 {
		return v - 1
	}
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
	s.byProf[p.number] = v + 1
	return v
}
