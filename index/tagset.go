package index

import (
	"encoding/binary"
	"math"
	"slices"
)

// A tagset is a set of tag numbers as a string: four bytes for each number, big end first, in
// ascending order. So equal sets are equal strings, strings compare like the lists of numbers, and
// a set is a map key. Numbers are handed out in order of appearance, so common tags tend to stand
// first and profiles that share them tend to be neighbours.
type tagset string

const tagBytes = 4 // length of one number in a tagset

// appendSet appends the set of the numbers to dst. It sorts the numbers in place and writes
// duplicates once.
func appendSet(dst []byte, numbers []uint32) []byte {
	slices.Sort(numbers)
	for i, n := range numbers {
		if i == 0 || n != numbers[i-1] {
			dst = binary.BigEndian.AppendUint32(dst, n)
		}
	}
	return dst
}

// appendDims appends a mask of dimensions to a set, so that it differs from every set and from the
// same with other dimensions. No tag has the number that it begins with.
func appendDims(dst []byte, dims uint64) []byte {
	if dims == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, math.MaxUint32), dims)
}

// len returns how many tags the set has.
func (s tagset) len() int { return len(s) / tagBytes }

// at returns the i-th number of the set.
func (s tagset) at(i int) uint32 {
	b := s[i*tagBytes : i*tagBytes+tagBytes]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// contains reports whether s has every tag of sub.
func (s tagset) contains(sub tagset) bool {
	i := 0
	for j := range sub.len() {
		want := sub.at(j)
		for i < s.len() && s.at(i) < want {
			i++
		}
		if i == s.len() || s.at(i) != want {
			return false
		}
		i++
	}
	return true
}

// eachNotIn calls visit for every tag of s that other lacks.
func (s tagset) eachNotIn(other tagset, visit func(n uint32)) {
	for i := range s.len() {
		if n := s.at(i); !other.has(n) {
			visit(n)
		}
	}
}

// has reports whether the set has the tag n.
func (s tagset) has(n uint32) bool {
	for i := range s.len() {
		if s.at(i) >= n {
			return s.at(i) == n
		}
	}
	return false
}
