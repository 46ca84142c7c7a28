package index

import (
	"errors"
	"fmt"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// ErrTagLimit is what errors.Is finds in the error of Put when the tags would exceed
// Config.MaxTags.
var ErrTagLimit = errors.New("too many distinct tags")

// TagLimitError is the error of Put when the tags would exceed Config.MaxTags.
type TagLimitError struct {
	Limit int    // Config.MaxTags
	Tag   string // the first tag, in order, that has no place
}

// Error names the limit and the tag.
func (e *TagLimitError) Error() string {
	return fmt.Sprintf("%v: max_tags is %d, no place for %q", ErrTagLimit, e.Limit, e.Tag)
}

// Unwrap returns ErrTagLimit.
func (e *TagLimitError) Unwrap() error { return ErrTagLimit }

// A tag is alive while at least one profile has it.
type tag struct {
	name     string
	key      string // what stands before the first =; else the name
	keyMark  uint8  // of the key, and of the name
	nameMark uint8
	workers  *roaring.Bitmap // the workers that have it; nil when the number is free
	profiles *roaring.Bitmap // the numbers of the profiles that have it
}

// A tagTable numbers the living tags. Numbers are reused.
type tagTable struct {
	byName  map[string]uint32
	tags    []tag // by number
	free    []uint32
	changes uint64 // counts births and deaths, so that a requirement knows when to resolve its tags again

	names names
}

// markOf returns a number below 64 that tells most texts apart.
func markOf(text string) uint8 { return uint8(hash64(text) & 63) }

// number returns the number of a living tag.
func (t *tagTable) number(name string) (uint32, bool) {
	n, ok := t.byName[name]
	return n, ok
}

// create gives a new tag a number.
func (t *tagTable) create(name string) uint32 {
	n := uint32(len(t.tags))
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		t.tags = append(t.tags, tag{})
	}
	name = strings.Clone(name)
	key, _, _ := strings.Cut(name, "=")
	t.tags[n] = tag{name: name, key: key, keyMark: markOf(key), nameMark: markOf(name), workers: roaring.New(), profiles: roaring.New()}
	t.byName[name] = n
	t.names.add(name)
	t.changes++
	return n
}

// dropIfUnused frees a tag that no profile has any more.
func (t *tagTable) dropIfUnused(n uint32) {
	if !t.tags[n].profiles.IsEmpty() {
		return
	}
	delete(t.byName, t.tags[n].name)
	t.names.remove(t.tags[n].name)
	t.tags[n] = tag{}
	t.free = append(t.free, n)
	t.changes++
}
