// Package mutant drops rules from the source of this module, one by one, so
// that tests can show that they notice. A rule is named by the declaration that
// holds it and by its text there, so code may move between files and be wrapped
// anew. Builds see the changed files through an overlay; the tree stays as it is.
package mutant

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Variable is the environment variable that names the mutant which is alive.
const Variable = "MUTANT_ALIVE"

// Edit replaces text of one declaration.
type Edit struct {
	// In names the declaration: the folder of its package from the root of the
	// module, then Func, Type.Method, or the name of a type, const or var:
	// "agent/ledger.Ledger.Begin".
	In string
	// Old must stand in the declaration exactly once. Spaces, comments,
	// semicolons and a comma before a closing bracket do not count.
	Old string
	// New stands there instead. In it MUTANT is true while the mutant is alive.
	New string
}

// Mutant is one rule that is dropped.
type Mutant struct {
	Name  string
	Edits []Edit
}

// place is where an edit is made: bytes of a file.
type place struct {
	file     *file
	from, to int
	text     string
}

func (p *place) overlaps(o *place) bool {
	return p.file == o.file && p.from < o.to && o.from < p.to
}

// places returns where the edits of a mutant are made.
func (s *Source) places(m *Mutant) ([]place, error) {
	out := make([]place, len(m.Edits))
	for i, e := range m.Edits {
		var err error
		if out[i], err = s.find(e); err != nil {
			return nil, fmt.Errorf("mutant %q: %w", m.Name, err)
		}
		out[i].text = strings.ReplaceAll(e.New, "MUTANT", fmt.Sprintf("mutantAlive(%q)", m.Name))
	}
	return out, nil
}

// Fits returns an error that lists what was found unless every edit of m has
// exactly one place.
func (s *Source) Fits(m Mutant) error {
	_, err := s.places(&m)
	return err
}

// Groups distributes mutants over builds and returns their numbers: two that
// change the same text cannot share one.
func (s *Source) Groups(mutants []Mutant) ([][]int, error) {
	var out [][]int
	var taken [][]place
	for i := range mutants {
		own, err := s.places(&mutants[i])
		if err != nil {
			return nil, err
		}
		n := slices.IndexFunc(taken, func(others []place) bool { return !overlap(own, others) })
		if n < 0 {
			n = len(out)
			out, taken = append(out, nil), append(taken, nil)
		}
		out[n], taken[n] = append(out[n], i), append(taken[n], own...)
	}
	return out, nil
}

func overlap(a, b []place) bool {
	return slices.ContainsFunc(a, func(p place) bool {
		return slices.ContainsFunc(b, func(o place) bool { return p.overlaps(&o) })
	})
}

// Overlay writes the files that hold the given mutants into dir, and returns the
// value for the go command's flag -overlay. The mutants must not overlap.
func (s *Source) Overlay(dir string, mutants []Mutant) (list string, err error) {
	edits := map[*file][]place{}
	replace := map[string]string{}
	write := func(target, text string) error {
		replace[target] = filepath.Join(dir, fmt.Sprintf("%d_%s", len(replace), filepath.Base(target)))
		return os.WriteFile(replace[target], []byte(text), 0o600)
	}
	for i := range mutants {
		places, err := s.places(&mutants[i])
		if err != nil {
			return "", err
		}
		for _, p := range places {
			edits[p.file] = append(edits[p.file], p)
		}
	}
	for f, places := range edits {
		if err := write(f.path, f.with(places)); err != nil {
			return "", err
		}
		alive := filepath.Join(filepath.Dir(f.path), "mutant_alive.go")
		if err := write(alive, fmt.Sprintf(aliveSource, f.pkg, Variable)); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}

// aliveSource is the file that every changed package gets.
const aliveSource = `package %s

import "os"

var mutantName = os.Getenv(%q)

func mutantAlive(name string) bool { return name == mutantName }
`

// with returns the text of a file with these edits made.
func (f *file) with(places []place) string {
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	done := 0
	for _, p := range places {
		out.WriteString(f.text[done:p.from])
		out.WriteString(p.text)
		done = p.to
	}
	out.WriteString(f.text[done:])
	return out.String()
}
