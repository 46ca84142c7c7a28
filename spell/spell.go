// Package spell finds the word that a mistyped one stands for. It is pure: no
// clock, socket, goroutine or lock.
package spell

import (
	"strings"
	"unicode/utf8"
)

// maxCompared bounds the length of words that are compared, in bytes.
const maxCompared = 64

// Nearest returns the word that a mistyped one most probably stands for, "" if
// none is near: at most one mistake in three letters.
func Nearest(word string, known []string) string {
	best, least := "", max(1, utf8.RuneCountInString(word)/3)+1
	if len(word) > maxCompared {
		return ""
	}
	for _, k := range known {
		if len(k) > maxCompared || k == word {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap with the next one
// to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, next := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		next[0] = i + 1
		for j := range y {
			change := 1
			if x[i] == y[j] {
				change = 0
			}
			next[j+1] = min(last[j]+change, last[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, last, next = last, next, before
	}
	return last[len(y)]
}
