package mutant

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Source is the source of a module, read package by package when one is asked
// for.
type Source struct {
	root     string
	packages map[string]*pkg // by folder
}

// Open returns the source of the module whose root is given.
func Open(root string) (*Source, error) {
	abs, err := filepath.Abs(root)
	return &Source{root: abs, packages: map[string]*pkg{}}, err
}

type pkg struct {
	decls []decl
	names map[string]bool // of all declarations and imports
	tests []string        // functions of test files
}

type file struct {
	path string // absolute
	pkg  string // the package's name
	text string
}

// decl is one declaration: bytes of a file.
type decl struct {
	name     string // Func, Type.Method, or the name of a type, const or var
	file     *file
	from, to int
	symbols  []symbol // scanned when they are asked for
}

// read parses the package in a folder.
func (s *Source) read(folder string) (*pkg, error) {
	if p := s.packages[folder]; p != nil {
		return p, nil
	}
	dir := filepath.Join(s.root, filepath.FromSlash(folder))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	p := &pkg{names: map[string]bool{}}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		if err := p.add(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	s.packages[folder] = p
	return p, nil
}

func (p *pkg) add(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &file{path: name, pkg: parsed.Name.Name, text: string(text)}
	for _, i := range parsed.Imports {
		p.names[strings.Trim(path.Base(i.Path.Value), `"`)] = true
	}
	keep := func(name string, n ast.Node) {
		p.names[name] = true
		p.decls = append(p.decls, decl{name: name, file: f, from: set.Position(n.Pos()).Offset, to: set.Position(n.End()).Offset})
	}
	test := strings.HasSuffix(name, "_test.go")
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if test {
				p.tests = append(p.tests, d.Name.Name)
				continue
			}
			keep(receiver(d)+d.Name.Name, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, name := range names(spec) {
					if !test {
						keep(name, spec)
					}
				}
			}
		}
	}
	return nil
}

// receiver returns the type of a method and a dot.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "."
		default:
			return ""
		}
	}
}

// names returns what a spec declares.
func names(spec ast.Spec) (out []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []string{s.Name.Name}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			out = append(out, n.Name)
		}
	}
	return out
}

// symbol is a token of Go that counts, with its place.
type symbol struct {
	tok      token.Token
	text     string
	from, to int
}

func (a symbol) equal(b symbol) bool { return a.tok == b.tok && a.text == b.text }

// symbols cuts text into what counts.
func symbols(text string) (out []symbol) {
	var s scanner.Scanner
	set := token.NewFileSet()
	f := set.AddFile("", set.Base(), len(text))
	s.Init(f, []byte(text), nil, 0)
	for {
		pos, tok, lit := s.Scan()
		switch tok {
		case token.EOF:
			return out
		case token.SEMICOLON:
			continue
		case token.RPAREN, token.RBRACE, token.RBRACK:
			if n := len(out); n > 0 && out[n-1].tok == token.COMMA {
				out = out[:n-1]
			}
		}
		if lit == "" {
			lit = tok.String()
		}
		from := f.Offset(pos)
		out = append(out, symbol{tok, lit, from, from + len(lit)})
	}
}

// holds returns where the symbols of a text stand in a declaration.
func (d *decl) holds(old []symbol) (at [][2]int) {
	if d.symbols == nil {
		d.symbols = symbols(d.file.text[d.from:d.to])
	}
	for i := 0; i+len(old) <= len(d.symbols); i++ {
		if run := d.symbols[i : i+len(old)]; slices.EqualFunc(run, old, symbol.equal) {
			at = append(at, [2]int{d.from + run[0].from, d.from + run[len(run)-1].to})
		}
	}
	return at
}

// find returns the place of an edit.
func (s *Source) find(e Edit) (place, error) {
	dir, base := path.Split(e.In)
	last, name, _ := strings.Cut(base, ".")
	p, err := s.read(dir + last)
	if err != nil {
		return place{}, err
	}
	old := symbols(e.Old)
	if len(old) == 0 {
		return place{}, fmt.Errorf("%s: there is no old text", e.In)
	}
	var found []place
	declared := 0
	for i := range p.decls {
		if d := &p.decls[i]; d.name == name {
			declared++
			for _, at := range d.holds(old) {
				found = append(found, place{file: d.file, from: at[0], to: at[1]})
			}
		}
	}
	if declared != 1 || len(found) != 1 {
		return place{}, fmt.Errorf("%s: found %d declarations of this name, and in them %d times the text\n\t%s\n%s",
			e.In, declared, len(found), strings.TrimSpace(e.Old), s.elsewhere(old))
	}
	if name := p.unknown(e.New, &found[0]); name != "" {
		return place{}, fmt.Errorf("%s: the new text names %s, which is not known there:\n\t%s", e.In, name, strings.TrimSpace(e.New))
	}
	return found[0], nil
}

// unknown returns a name in the new text of an edit that neither its declaration
// nor the package has, "" if there is none. Fields and methods are not looked at.
func (p *pkg) unknown(text string, at *place) string {
	own := map[string]bool{"MUTANT": true, "_": true}
	for i := range p.decls {
		if d := &p.decls[i]; d.file == at.file && d.from <= at.from && at.to <= d.to {
			addNames(own, d.symbols)
		}
	}
	fresh := symbols(text)
	for i, s := range fresh {
		if i+1 < len(fresh) && (fresh[i+1].tok == token.DEFINE || fresh[i+1].tok == token.COLON) {
			own[s.text] = true
		}
	}
	used := map[string]bool{}
	addNames(used, fresh)
	for name := range used {
		if !own[name] && !p.names[name] && types.Universe.Lookup(name) == nil {
			return name
		}
	}
	return ""
}

// addNames notes the names among symbols that do not follow a dot.
func addNames(names map[string]bool, all []symbol) {
	for i, s := range all {
		if s.tok == token.IDENT && (i == 0 || all[i-1].tok != token.PERIOD) {
			names[s.text] = true
		}
	}
}

// elsewhere lists the declarations of the module that hold a text.
func (s *Source) elsewhere(old []symbol) string {
	var out strings.Builder
	_ = filepath.WalkDir(s.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name != s.root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		rel, _ := filepath.Rel(s.root, name)
		p, err := s.read(filepath.ToSlash(rel))
		if err != nil {
			return nil // a folder that does not parse holds nothing
		}
		for i := range p.decls {
			if n := len(p.decls[i].holds(old)); n > 0 {
				fmt.Fprintf(&out, "%s.%s holds it %d times\n", filepath.ToSlash(rel), p.decls[i].name, n)
			}
		}
		return nil
	})
	if out.Len() == 0 {
		return "no declaration of the module holds it"
	}
	return out.String()
}

// HasTest reports whether the package in a folder has a test of this name.
func (s *Source) HasTest(folder, test string) (bool, error) {
	p, err := s.read(folder)
	return err == nil && slices.Contains(p.tests, test), err
}
