package wire

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documentTypes has the words of the documents for the rules of tags. A field of
// any other rule is a list or a row, and its type starts with "[", "array", or the
// name of a row.
var documentTypes = map[string]string{
	"bool": "bool", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64", "int63": "int64", "lease": "lease", "priority": "int32",
	"role": "uint8", "live": "uint8", "outcome": "uint8", "outcome0": "uint8", "on_preempt": "uint8",
	"index": "uint32", "page": "uint32", "slots": "uint32", "ttl": "uint32", "wait": "uint32", "grace": "uint32", "deadline": "uint32",
	"amount": "uint64", "incarnation": "uint64", "digest": "bin of 8 bytes",
	"id": "id", "id0": "id or empty", "string": "string", "text": "text", "state": "text",
	"reason": "text, 256 bytes", "address": "text, 256 bytes", "spread_by": "text, 256 bytes", "by": "text, 128 bytes", "model": "text, 128 bytes",
	"token": "text, 512 bytes", "selector": "text, 4,096 bytes",
	"tags16": "tags, 16", "tags64": "tags, 64", "features": "tags, 32", "not_workers": "[string], 16", "strings": "[string]",
	"resources": "resources", "used": "counts", "counts": "counts",
}

// table is a table of fields: their names, types, and what is said of each.
type table struct {
	names, types, meanings []string
	before                 string // the text between the heading and the table
}

var backticks = strings.NewReplacer("`", "")

// tablesOf returns the tables of fields of a section. A row may hold several
// fields, which share a type or have one each.
func tablesOf(section string) (all []table) {
	const head = "| field | type | meaning |\n|---|---|---|\n"
	pieces := strings.Split(section, head)
	for _, piece := range pieces[1:] {
		t := table{before: pieces[0]}
		for line := range strings.SplitSeq(piece, "\n") {
			cells := regexp.MustCompile(`(?:^|[^\\])\|`).Split(line, -1)
			if len(cells) < 4 {
				break
			}
			names := strings.Split(backticks.Replace(strings.TrimSpace(cells[1])), ", ")
			types := strings.Split(strings.TrimSpace(cells[2]), ", ")
			for i, name := range names {
				kind := strings.TrimSpace(cells[2])
				if len(names) > 1 && len(types) == len(names) {
					kind = types[i]
				}
				t.names, t.types, t.meanings = append(t.names, name), append(t.types, kind), append(t.meanings, cells[3])
			}
		}
		all = append(all, t)
	}
	return all
}

// TestDocumentedFields compares every table of fields in the documents with the
// struct that has fields of these names.
func TestDocumentedFields(t *testing.T) {
	structs := map[string]fields{}
	for _, k := range allKinds() {
		addFields(structs, kinds[k].fields)
	}
	for _, k := range allKinds() {
		structs[k.String()+": "+strings.Join(fieldNames(k), " ")] = kinds[k].fields
	}
	found := map[string]bool{}
	for name, section := range sectionsOf(documents(t)) {
		for _, table := range tablesOf(section) {
			key := strings.Join(table.names, " ")
			all, ok := structs[name+": "+key]
			if !ok {
				all, ok = structs[key]
			}
			require.True(t, ok, "%s: no message or row has the fields %s", name, key)
			found[strings.Join(table.names, " ")] = true
			for i, f := range all.list {
				if table.types[i] != "" || !strings.Contains(table.meanings[i], "as in") {
					requireType(t, name, f, table.types[i])
				}
			}
			requireOptional(t, name, all, table)
		}
	}
	for key, all := range structs {
		if len(all.list) > 3 && !strings.Contains(key, ": ") {
			require.True(t, found[key], "no table has the fields %s", key)
		}
	}
}

// addFields collects the fields of a message and of all parts in it.
func addFields(structs map[string]fields, all fields) {
	var names []string
	for _, f := range all.list {
		names = append(names, f.name)
		if len(f.parts.list) > 0 {
			addFields(structs, f.parts)
		}
	}
	structs[strings.Join(names, " ")] = all
}

func requireType(t *testing.T, section string, f field, got string) {
	t.Helper()
	if f.word == "uint64" && f.name == "devices" {
		require.Equal(t, "devices", got, "%s: type of %s", section, f.name)
		return
	}
	if want, ok := documentTypes[f.word]; ok {
		require.True(t, got == want || strings.HasPrefix(got, want+", "), "%s: the type of %s is %q, not %q", section, f.name, want, got)
	}
}

// requireOptional fails the test unless the document says of each field, or of all
// behind another, whether it may be missing.
func requireOptional(t *testing.T, section string, all fields, table table) {
	t.Helper()
	rest := false
	for i, f := range all.list {
		said := rest || strings.Contains(table.meanings[i], "ptional")
		if i > 0 {
			said = said || strings.Contains(table.before, "behind `"+all.list[i-1].name+"` are optional")
		}
		rest = rest || strings.Contains(table.meanings[i], "as all behind it") || said && strings.Contains(table.before, "are optional")
		require.Equal(t, f.optional, said, "%s: whether %s may be missing", section, f.name)
	}
}
