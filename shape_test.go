package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The limits of the house. A figure is named by its kind and place, such as "methods store.Store".
var limits = map[string]int{
	"methods":   25, // of a type
	"fields":    16, // of a struct; an embedded type is one
	"interface": 12, // methods of an interface, with those of each embedded interface of this module
	"functions": 3,  // fields of a function type in a struct
	"lines":     60, // of a function
	"file":      400,
}

// exempt are figures beyond their limits for good.
var exempt = map[string]string{
	"fields config.Config":   "settings",
	"fields store.Store":     "a subject each",
	"fields invites.Change":  "a row",
	"fields invites.Card":    "a row",
	"fields invites.Letter":  "a row",
	"fields metrics.Metrics": "a metric each",
}

// todo are figures beyond their limits today. None may grow. Delete the line once the figure is within its limit: the table
// is to be empty.
var todo = map[string]int{}

// maxPronouns is the highest share of what, who, whom, whose, that and those among the words of comments, in percent.
// A comment names its subject instead: the event, the row, the user, the key, the room.
const maxPronouns = 1.5

// TestShape holds types, functions and files to the limits.
func TestShape(t *testing.T) {
	got := measure(sources(t))
	for name, n := range got {
		kind, _, _ := strings.Cut(name, " ")
		most, later := todo[name]
		switch {
		case n <= limits[kind] && later:
			t.Errorf("%s is %d, within its limit: delete its line in todo", name, n)
		case n <= limits[kind] && exempt[name] != "":
			t.Errorf("%s is %d, within its limit: delete its line in exempt", name, n)
		case n > limits[kind] && exempt[name] == "" && n > most:
			t.Errorf("%s is %d, more than %d", name, n, max(most, limits[kind]))
		}
	}
	for name := range todo {
		if _, there := got[name]; !there {
			t.Errorf("%s is gone: delete its line in todo", name)
		}
	}
	for name := range exempt {
		if _, there := got[name]; !there {
			t.Errorf("%s is gone: delete its line in exempt", name)
		}
	}
}

// TestShapeIsMeasured shows measure one of everything.
func TestShapeIsMeasured(t *testing.T) {
	parse := func(name, code string) source {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return source{dir: path.Dir(name), name: name, set: set, file: file}
	}
	got := measure([]source{
		parse("a/one.go", `package a
type F func()
type T struct { a, b int; f func(); g, h F; s []func(); io.Closer }
func (t T) One() {}
type G[K any] struct{}
func (g *G[K]) One() {
}
type I interface { One(); Two() }
type J interface { io.Closer; I; Three() }
`),
		parse("a/two.go", `package a
func (t *T) Two() {}
`),
		parse("b/b.go", `package b
import x "usher/a"
type K interface { x.J; Four() }
type S struct { f x.F; stop context.CancelFunc }
`),
	})
	for name, want := range map[string]int{
		"methods a.T": 2, "methods a.G": 1, "fields a.T": 7, "functions a.T": 3, "functions b.S": 2, "interface a.I": 2, "interface a.J": 4,
		"interface b.K": 5, "lines a/one.go:T.One": 1, "lines a/one.go:G.One": 2, "file a/two.go": 2, "file a/one.go": 9,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
}

// measure returns all figures of the files.
func measure(files []source) map[string]int {
	m := measurement{figures: map[string]int{}, types: map[string]declared{}}
	for _, s := range files {
		m.figures["file "+s.name] = s.set.File(s.file.Pos()).LineCount()
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				m.function(s, decl)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						m.types[s.dir+"."+spec.Name.Name] = declared{spec.Type, s}
					}
				}
			}
		}
	}
	for name, d := range m.types {
		switch written := d.written.(type) {
		case *ast.StructType:
			for _, field := range written.Fields.List {
				n := max(1, len(field.Names))
				m.figures["fields "+name] += n
				if m.isFunction(field.Type, d.in) {
					m.figures["functions "+name] += n
				}
			}
		case *ast.InterfaceType:
			m.figures["interface "+name] = m.methods(written, d.in)
		}
	}
	return m.figures
}

// measurement is the work of measure.
type measurement struct {
	figures map[string]int
	types   map[string]declared // by folder and name
}

// declared is a type as its file declares it.
type declared struct {
	written ast.Expr
	in      source
}

func (m measurement) function(s source, f *ast.FuncDecl) {
	name := f.Name.Name
	if f.Recv != nil {
		name = receiver(f).Name + "." + name
		m.figures["methods "+s.dir+"."+receiver(f).Name]++
	}
	m.figures["lines "+s.name+":"+name] = s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
}

// find returns the declaration of a type of this module.
func (m measurement) find(e ast.Expr, in source) (declared, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		d, ok := m.types[in.dir+"."+e.Name]
		return d, ok
	case *ast.IndexExpr:
		return m.find(e.X, in)
	case *ast.SelectorExpr:
		pkg, _ := e.X.(*ast.Ident)
		for _, spec := range in.file.Imports {
			full, _ := strconv.Unquote(spec.Path.Value)
			dir, own := strings.CutPrefix(full, "usher/")
			if own && pkg != nil && (spec.Name == nil && path.Base(dir) == pkg.Name || spec.Name != nil && spec.Name.Name == pkg.Name) {
				d, ok := m.types[dir+"."+e.Sel.Name]
				return d, ok
			}
		}
	}
	return declared{}, false
}

// isFunction tells whether a type is a function type, also by a name of this module's.
func (m measurement) isFunction(e ast.Expr, in source) bool {
	if _, ok := e.(*ast.FuncType); ok {
		return true
	}
	if s, ok := e.(*ast.SelectorExpr); ok && strings.HasSuffix(s.Sel.Name, "Func") {
		return true // context.CancelFunc, http.HandlerFunc
	}
	d, ok := m.find(e, in)
	return ok && m.isFunction(d.written, d.in)
}

// methods counts the methods of an interface. An embedded interface of another module counts as one.
func (m measurement) methods(i *ast.InterfaceType, in source) (n int) {
	for _, field := range i.Methods.List {
		d, _ := m.find(field.Type, in)
		if embedded, ok := d.written.(*ast.InterfaceType); ok && len(field.Names) == 0 {
			n += m.methods(embedded, d.in)
			continue
		}
		n += max(1, len(field.Names))
	}
	return n
}

var (
	aWord    = regexp.MustCompile(`[A-Za-z][A-Za-z'’]*`)
	aPronoun = regexp.MustCompile(`(?i)^(what|who|whom|whose|that|those)$`)
)

// TestPlainComments bounds the share of pronouns in comments. With -v it prints the share of each package.
func TestPlainComments(t *testing.T) {
	type count struct{ words, pronouns int }
	counts := map[string]count{}
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, word := range aWord.FindAllString(group.Text(), -1) {
				for _, name := range []string{s.dir, "all"} {
					c := counts[name]
					c.words++
					if aPronoun.MatchString(word) {
						c.pronouns++
					}
					counts[name] = c
				}
			}
		}
	}
	share := func(c count) float64 { return 100 * float64(c.pronouns) / float64(c.words) }
	for name, c := range counts {
		t.Logf("%-20s %5d words, %.1f %% pronouns", name, c.words, share(c))
	}
	if got := share(counts["all"]); got > maxPronouns {
		t.Errorf("%.2f %% of the words in comments are pronouns, more than %.2f %%: name the subject", got, maxPronouns)
	}
}

// besideNothing are the names of test files that belong to a package, not to one of its files.
var besideNothing = map[string]string{
	"bench":    "benchmarks",
	"docs":     "compares a document with the code",
	"example":  "runnable examples of the package",
	"export":   "opens internals to tests in package x_test",
	"fuzz":     "fuzz targets",
	"property": "random tests of the whole package",
	"race":     "a constant that depends on the race detector",
	"norace":   "a constant that depends on the race detector",
	"setup":    "support of the other tests",
	"stub":     "support of the other tests",
}

// alone are test files that stand beside no file, with the reason.
var alone = map[string]string{
	"architecture":                  "rules of the whole module",
	"importtable":                   "rules of the whole module",
	"shape":                         "rules of the whole module",
	"words":                         "rules of the whole module",
	"check/vectors":                 "runs the published test vectors",
	"commands/hostile":              "input meant to annoy, over several commands",
	"commands/transcript":           "a conversation of many commands",
	"store/claims":                  "a subject of the suite for both databases",
	"store/hostile":                 "a subject of the suite for both databases",
	"packaging/packaging":           "tests the packages of a release",
	"store/suite":                   "the suite for both databases",
	"store/upgrades":                "the files in upgrades",
	"invites/powertest/guardoracle": "the property test",
	"invites/powertest/laworacle":   "the property test",
	"invites/powertest/oracle":      "the property test",
	"invites/powertest/power":       "the property test",
	"invites/powertest/story":       "the property test",
	"invites/powertest/storyrooms":  "the property test",
	"invites/powertest/storyjoins":  "the property test",
	"invites/powertest/storyplans":  "the property test",
	"invites/powertest/storymoves":  "the property test",
}

// TestTestsStandBesideTheirFiles: each x_test.go has its x.go.
func TestTestsStandBesideTheirFiles(t *testing.T) {
	used := map[string]bool{}
	for _, name := range goFiles(t) {
		base, isTest := strings.CutSuffix(name, "_test.go")
		if !isTest {
			continue
		}
		for _, system := range []string{"_linux", "_unix"} {
			base = strings.TrimSuffix(base, system)
		}
		_, err := os.Stat(base + ".go")
		used[base] = true
		switch {
		case err == nil && alone[base] != "":
			t.Errorf("%s.go exists: delete the line of its test in alone", base)
		case err != nil && alone[base] == "" && besideNothing[path.Base(base)] == "":
			t.Errorf("%s stands beside no file: name it as the file that it tests, or list it with a reason", name)
		}
	}
	for base := range alone {
		if !used[base] {
			t.Errorf("%s_test.go is gone: delete its line in alone", base)
		}
	}
}
