// Package house holds no code: its tests keep the rules of the house that no
// compiler checks. docs/architecture.md gives the reasons.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/dtask/dtask-scheduler/"

// rooms says what each top-level folder may import of ours, in files that are
// not tests, and which packages of others it must not. A room that is missing
// here is a mistake.
var rooms = map[string]struct {
	ours   []string
	banned []string
	pure   bool // no goroutines and no channels
}{
	"wire":           {banned: []string{"net", "os", "time", "sync", "log"}, pure: true},
	"selector":       {banned: core, pure: true},
	"capacity":       {banned: core, pure: true},
	"spell":          {banned: core, pure: true},
	"webguard":       {},
	"view":           {ours: []string{"wire", "capacity"}, banned: []string{"net", "os", "sync", "log"}, pure: true},
	"index":          {ours: []string{"selector"}, banned: core, pure: true},
	"ds":             {banned: core, pure: true},
	"sched":          {ours: []string{"wire", "index", "selector", "capacity", "ds", "sched/health", "sched/waitlist"}, banned: core, pure: true},
	"sched/health":   {ours: []string{"ds"}, banned: core, pure: true},
	"sched/waitlist": {ours: []string{"ds"}, banned: core, pure: true},
	"agent/ledger":   {ours: []string{"wire", "capacity"}, banned: core, pure: true},
	"sim":            {ours: []string{"sched", "wire", "index", "agent/ledger", "sim", "sim/twin", "selector", "capacity"}, banned: []string{"net", "sync"}, pure: true},
	"sim/twin":       {ours: []string{"sched", "wire", "sim"}, banned: []string{"net", "sync", "math/rand"}, pure: true},
	"server":         {ours: []string{"wire", "view", "sched", "server", "server/gateway", "selector", "capacity", "spell", "webguard"}},
	"server/gateway": {ours: []string{"wire", "view", "sched", "capacity", "spell", "webguard"}, banned: []string{"github.com/panjf2000"}},
	"client":         {ours: []string{"wire", "view", "selector", "capacity"}},
	"client/fake":    {ours: []string{"sched", "wire", "client", "agent/ledger", "selector", "capacity"}},
	"agent":          {ours: []string{"client", "wire", "agent", "agent/ledger", "capacity", "webguard"}},
	"loadtest":       {ours: []string{"client", "wire", "agent/ledger", "loadtest", "selector", "capacity"}},
	"internal":       {}, // for tests alone
	"deploy":         {}, // tests alone, beside files for operators
	"bench":          {ours: []string{"wire", "index", "sched", "server", "client", "agent", "loadtest", "bench", "selector", "capacity"}},
	"cmd":            {ours: []string{"wire", "view", "index", "sched", "server", "client", "agent", "loadtest", "sim", "selector", "capacity", "spell", "cmd"}},
}

// core lists what the deterministic core must not see.
var core = []string{"net", "os", "time", "sync", "log", "math/rand", "context"}

// Limits of the house, in lines.
const (
	maxFile     = 500
	maxTestFile = 700
	maxFunc     = 70
)

// Limits of the house, in number.
const (
	maxMethods = 60 // of a type
	maxFields  = 32 // of a struct
	maxParams  = 6  // of a function
	maxFiles   = 40 // of a package, without tests
)

// source is one parsed Go file.
type source struct {
	path string // slash-separated, from the root
	room string
	file *ast.File
	fset *token.FileSet
}

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// lines returns how many lines a node spans.
func (s *source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

// sources parses every Go file below the root.
func sources(t *testing.T) []*source {
	var all []*source
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		s := &source{path: filepath.ToSlash(path), fset: token.NewFileSet()}
		s.file, err = parser.ParseFile(s.fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		s.room = roomOf(filepath.ToSlash(filepath.Dir(path)))
		all = append(all, s)
		return err
	}))
	require.NotEmpty(t, all)
	return all
}

// roomOf returns the room of a folder: the longest key of rooms that holds it.
func roomOf(dir string) string {
	for dir != "." {
		if _, ok := rooms[dir]; ok {
			return dir
		}
		dir = filepath.ToSlash(filepath.Dir(dir))
	}
	return ""
}

func TestImportsPointDownward(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		room, known := rooms[s.room]
		require.True(t, known, "%s lies in no room", s.path)
		for _, imp := range s.file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if own, ok := strings.CutPrefix(path, module); ok {
				require.True(t, slices.Contains(room.ours, roomOf(own)), "%s must not import %s", s.path, own)
				continue
			}
			for _, b := range room.banned {
				// The simulator's command prints and reads a clock; the simulator itself does not.
				if s.file.Name.Name == "main" {
					continue
				}
				require.False(t, path == b || strings.HasPrefix(path, b+"/"), "%s must not import %s", s.path, path)
			}
		}
	}
}

func TestCoreHasNoGoroutineAndNoChannel(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || !rooms[s.room].pure || s.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: goroutines and channels have no place here", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func TestFilesAndFunctionsFitOnAScreen(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFile
		if s.test() {
			limit = maxTestFile
		}
		require.LessOrEqual(t, s.lines(s.file), limit, "%s is too long", s.path)
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && s.lines(f) > maxFunc {
				t.Errorf("%s: %s has %d lines, the limit is %d", s.fset.Position(f.Pos()), f.Name.Name, s.lines(f), maxFunc)
			}
		}
	}
}

// exceptions are what may be larger than the limits on types, functions and packages,
// each with its own limit and reason. An exception that is not needed is a mistake.
var exceptions = map[string]struct {
	limit  int
	reason string
}{
	"methods of sched.State":    {345, "leases, registration, preemption and cordons keep one set of invariants"},
	"methods of sim/twin.Twin":  {155, "it predicts each decision of that State"},
	"methods of sim.World":      {102, "it runs all parts of the system under one virtual clock"},
	"methods of sim.agent":      {62, "it is an agent with each of its faults"},
	"methods of index.Index":    {68, "all of them keep the same minima"},
	"methods of cmd/dtask.app":  {82, "one for each command"},
	"fields of sched.State":     {63, "the tables that its invariants connect, and scratch memory"},
	"fields of sched.worker":    {41, "one record for each worker, read together"},
	"fields of server.Server":   {42, "the parts that it starts and stops"},
	"fields of sim.agent":       {38, "it is an agent with each of its faults"},
	"fields of loadtest.Report": {46, "one for each row of the report"},
	"files of sched":            {70, "one idea for each file, around one State"},
}

// measured returns what TestTypesAndPackagesStaySmall compares with each limit: by
// the package and the name of the type, function or package.
func measured(all []*source) (methods, fields, params, files map[string]int) {
	methods, fields, params, files = map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, s := range all {
		if s.test() {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(s.path))
		files[dir]++
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					t := receiver(d)
					name = t + "." + name
					methods[dir+"."+t]++
				}
				params[dir+"."+name] += d.Type.Params.NumFields()
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						if st, ok := t.Type.(*ast.StructType); ok {
							fields[dir+"."+t.Name.Name] = st.Fields.NumFields()
						}
					}
				}
			}
		}
	}
	return methods, fields, params, files
}

// receiver returns the name of the type of a method.
func receiver(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		}
	}
}

func TestTypesAndPackagesStaySmall(t *testing.T) {
	methods, fields, params, files := measured(sources(t))
	needed := map[string]bool{}
	for _, of := range []struct {
		what  string
		most  int
		found map[string]int
	}{{"methods", maxMethods, methods}, {"fields", maxFields, fields}, {"parameters", maxParams, params}, {"files", maxFiles, files}} {
		for name, n := range of.found {
			limit, key := of.most, of.what+" of "+name
			if e, ok := exceptions[key]; ok && n > of.most {
				needed[key], limit = true, e.limit
				require.NotEmpty(t, e.reason, key)
			}
			if n > limit {
				t.Errorf("%d %s, the limit is %d", n, key, limit)
			}
		}
	}
	for key := range exceptions {
		if !needed[key] {
			t.Errorf("%s: the exception is not needed", key)
		}
	}
}

func TestExportedNamesHaveComments(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() && exportedReceiver(f) && f.Doc == nil && !slices.Contains(obvious, f.Name.Name) {
				t.Errorf("%s: %s has no comment", s.fset.Position(f.Pos()), f.Name.Name)
			}
			g, ok := d.(*ast.GenDecl)
			for _, spec := range specs(g, ok) {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && g.Doc == nil && ts.Doc == nil {
					t.Errorf("%s: %s has no comment", s.fset.Position(ts.Pos()), ts.Name.Name)
				}
			}
		}
	}
}

// obvious names methods whose interface says what they do.
var obvious = []string{"Kind", "Error", "String", "Unwrap"}

func specs(g *ast.GenDecl, ok bool) []ast.Spec {
	if !ok {
		return nil
	}
	return g.Specs
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	recv := f.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	id, ok := recv.(*ast.Ident)
	return ok && id.IsExported()
}

func TestNothingIsLeftForLater(t *testing.T) {
	markers := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK"}
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, m := range markers {
				if strings.Contains(group.Text(), m) {
					t.Errorf("%s: a comment says %s", s.fset.Position(group.Pos()), m)
				}
			}
		}
	}
}

func TestRoomsExist(t *testing.T) {
	for room := range rooms {
		info, err := os.Stat(filepath.FromSlash(room))
		require.NoError(t, err)
		require.True(t, info.IsDir())
	}
}
