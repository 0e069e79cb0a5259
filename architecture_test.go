package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayWatchTheClock are the packages that may call time.Now and start goroutines.
var mayWatchTheClock = []string{".", "bot", "chat", "operator", "appservice", "homeserver", "jobs", "web"}

// linkerVars are the variables that the linker sets.
var linkerVars = []string{"main.version"}

// mayDecode are the files that may decode JSON with encoding/json: none of them reads the content of events. Package exactjson reads
// that, since encoding/json folds the case of keys.
var mayDecode = []string{
	"encryption/open.go",                                    // the ciphertext, as the encryption library takes it
	"encryption/dropunreadable.go", "encryption/offline.go", // answers that only the encryption library reads
	"homeserver/collect.go", "homeserver/members.go", "homeserver/stream.go", // streams of answers, token by token
	"commands/advertise.go", "operator/plan.go", "plan/http.go", "plan/run.go", "room/phrase.go", "store/guard.go", "store/values.go", // values that Usher wrote
}

// source is one parsed file.
type source struct {
	dir, name string // folder and path below the root, with slashes
	set       *token.FileSet
	file      *ast.File
	written   map[string]bool // names that its package assigns to, or takes the address of
}

// rules are what every file but tests must keep to. Each returns its complaints as "position: sentence".
var rules = []func(source) []string{imports, clocks, globals, documented, decoding}

func TestArchitecture(t *testing.T) {
	packages := map[string]bool{} // those with a package comment
	for _, s := range sources(t) {
		packages[s.dir] = packages[s.dir] || s.file.Doc != nil
		for _, rule := range rules {
			for _, complaint := range rule(s) {
				t.Error(complaint)
			}
		}
	}
	if len(packages) < 2 {
		t.Fatal("no packages found")
	}
	for dir, has := range packages {
		if !has {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

// sources parses the module's files, without tests and without modules of their own.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	written := map[string]map[string]bool{}
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(name)
		if written[dir] == nil {
			written[dir] = map[string]bool{}
		}
		noteWrites(file, written[dir])
		list = append(list, source{dir, name, set, file, written[dir]})
	}
	return list
}

// goFiles lists the module's Go files with slashes, without those of modules of their own.
func goFiles(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, module := os.Stat(filepath.Join(name, "go.mod"))
			if name != "." && (module == nil || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (s source) complain(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s: %s", s.set.Position(n.Pos()), fmt.Sprintf(format, args...))
}

// clocks keeps the time and goroutines to those who may have them, and values out of contexts.
func clocks(s source) (complaints []string) {
	free := slices.Contains(mayWatchTheClock, s.dir) || strings.HasSuffix(s.dir, "test")
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if !free {
				complaints = append(complaints, s.complain(n, "%s may not start goroutines", s.dir))
			}
		case *ast.SelectorExpr:
			switch pkg, _ := n.X.(*ast.Ident); {
			case pkg == nil:
			case !free && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until"}, n.Sel.Name):
				complaints = append(complaints, s.complain(n, "%s may not call time.%s: take a clock", s.dir, n.Sel.Name))
			case pkg.Name == "context" && n.Sel.Name == "WithValue":
				complaints = append(complaints, s.complain(n, "a context is no bag"))
			}
		}
		return true
	})
	return complaints
}

// decoding keeps encoding/json to files that read no event content.
func decoding(s source) (complaints []string) {
	if slices.Contains(mayDecode, s.name) || strings.HasSuffix(s.dir, "test") {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok {
			pkg, _ := call.X.(*ast.Ident)
			if pkg != nil && pkg.Name == "json" && slices.Contains([]string{"Unmarshal", "NewDecoder"}, call.Sel.Name) {
				complaints = append(complaints, s.complain(call, "%s may not call json.%s: use exactjson", s.name, call.Sel.Name))
			}
		}
		return true
	})
	return complaints
}

// globals keeps packages without state and without init.
func globals(s source) (complaints []string) {
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.Name == "init" {
				complaints = append(complaints, s.complain(decl, "no init functions"))
			}
		case *ast.GenDecl:
			if decl.Tok != token.VAR {
				continue
			}
			for _, spec := range decl.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if !constant(s, decl, v, i) {
						complaints = append(complaints, s.complain(name, "%s: a package has no variables", name.Name))
					}
				}
			}
		}
	}
	return complaints
}

// constant tells whether a variable is one only for want of a constant of its type: an error, an embedded file, what the
// linker sets, an assertion that a type implements an interface, or a value of its own that nothing in the package writes
// to, such as a compiled regexp or a table.
func constant(s source, decl *ast.GenDecl, v *ast.ValueSpec, i int) bool {
	name := v.Names[i].Name
	for _, doc := range []*ast.CommentGroup{decl.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	if name == "_" || slices.Contains(linkerVars, s.file.Name.Name+"."+name) {
		return true
	}
	if i >= len(v.Values) || s.written[name] {
		return false
	}
	switch value := v.Values[i].(type) {
	case *ast.CallExpr:
		if f, ok := value.Fun.(*ast.Ident); ok && (f.Name == "make" || f.Name == "new") {
			return false // made to be filled
		}
		return !ast.IsExported(name) || isError(value)
	case *ast.CompositeLit:
		t, _ := value.Type.(*ast.SelectorExpr) // a sync.Mutex{} changes by its methods
		return !ast.IsExported(name) && (t == nil || !slices.Contains([]string{"sync", "atomic"}, t.X.(*ast.Ident).Name))
	}
	return false
}

// isError tells whether a call makes an error.
func isError(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, _ := f.X.(*ast.Ident)
	return pkg != nil && slices.Contains([]string{"errors.New", "fmt.Errorf"}, pkg.Name+"."+f.Sel.Name)
}

// noteWrites collects the names that a file assigns to, changes in part, or takes the address of.
func noteWrites(file *ast.File, names map[string]bool) {
	note := func(e ast.Expr) {
		for {
			switch inner := e.(type) {
			case *ast.Ident:
				names[inner.Name] = true
				return
			case *ast.IndexExpr:
				e = inner.X
			case *ast.SelectorExpr:
				e = inner.X
			case *ast.SliceExpr:
				e = inner.X
			case *ast.StarExpr:
				e = inner.X
			case *ast.ParenExpr:
				e = inner.X
			default:
				return
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok != token.DEFINE {
					note(left)
				}
			}
		case *ast.IncDecStmt:
			note(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n.X)
			}
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				note(n.Key)
				note(n.Value)
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.Ident)
			if ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
				note(n.Args[0])
			}
		}
		return true
	})
}

// documented wants a comment on every exported name. One comment may serve a group.
func documented(s source) (complaints []string) {
	for _, decl := range s.file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && decl.Doc == nil && (decl.Recv == nil || receiver(decl).IsExported()) {
				complaints = append(complaints, s.complain(decl, "%s has no comment", decl.Name.Name))
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				var names []*ast.Ident
				has := decl.Doc != nil
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names, has = []*ast.Ident{spec.Name}, has || spec.Doc != nil || spec.Comment != nil
				case *ast.ValueSpec:
					names, has = spec.Names, has || spec.Doc != nil || spec.Comment != nil
				}
				for _, name := range names {
					if name.IsExported() && !has {
						complaints = append(complaints, s.complain(name, "%s has no comment", name.Name))
					}
				}
			}
		}
	}
	return complaints
}

// receiver returns the name of a method's type.
func receiver(f *ast.FuncDecl) *ast.Ident {
	t := f.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner
		default:
			return ast.NewIdent("_")
		}
	}
}

// TestRulesBite shows each rule what it is there to catch.
func TestRulesBite(t *testing.T) {
	for _, tt := range []struct {
		name, dir, code string
		want            int // complaints
	}{
		{"own package above", "room", `import _ "usher/bot"`, 1},
		{"own part", "store", `import _ "usher/store/pgtest"`, 0},
		{"a part imports as its whole", "store/pgtest", `import _ "database/sql"`, 0},
		{"foreign package", "room", `import _ "gopkg.in/yaml.v3"`, 1},
		{"below an allowed one", "room", `import _ "maunium.net/go/mautrix/id/x"`, 1},
		{"a tree", "words", `import _ "github.com/nicksnyder/go-i18n/v2/i18n"`, 0},
		{"the client", "bot", `import _ "maunium.net/go/mautrix"`, 1},
		{"a database", "bot", `import _ "database/sql"`, 1},
		{"the global logger", "homeserver", `import _ "log"`, 1},
		{"standard library", "room", `import _ "net/http"`, 0},
		{"unknown folder", "helpers", ``, 1},
		{"clock", "room", "var _ = time.Now", 1},
		{"clock where it may be", "jobs", "var _ = time.Now", 0},
		{"goroutine", "store", "func f() { go f() }", 1},
		{"goroutine in a test's helper", "store/pgtest", "func f() { go f() }", 0},
		{"context as a bag", "bot", "var _ = context.WithValue", 1},
		{"decoding", "bot", "func f() { json.Unmarshal(nil, nil); json.NewDecoder(nil) }", 2},
		{"encoding", "bot", "func f() { json.Marshal(nil) }", 0},
		{"init", "room", "func init() {}", 1},
		{"variables", "room", "var a, b = 1, make(map[string]int)\nvar c int\nvar d = &T{}\nvar e = sync.Mutex{}", 5},
		{"written to", "room", "var a, b, c = []T{}, T{}, map[int]T{}\nfunc f() { a[0].x = 1; g(&b); delete(c, 1) }", 3},
		{"open to others", "room", "// A is.\nvar A = []int{}", 1},
		{"as good as constants", "room", "var a = errors.New(``)\nvar b = regexp.MustCompile(``)\n//go:embed x\nvar c string\nvar _ I = T{}\n" +
			"var d = []int{1}\n// E is.\nvar E = errors.New(``)", 0},
		{"undocumented", "room", "type T struct{}\nfunc (*T) M() {}\nfunc F() {}\nconst C = 1", 4},
		{"documented", "room", "// T is.\ntype T struct{}\n// Cs are.\nconst (\nC = 1\nD = 2\n)\ntype t int\nfunc (t) M() {}", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, "x.go", "package x\n"+tt.code, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			written := map[string]bool{}
			noteWrites(file, written)
			var got []string
			for _, rule := range rules {
				got = append(got, rule(source{tt.dir, tt.dir + "/x.go", set, file, written})...)
			}
			if len(got) != tt.want {
				t.Errorf("want %d complaints, got %q", tt.want, got)
			}
		})
	}
}
