package main

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/config"
	"usher/policy"
)

// TestManualListsEverySetting keeps docs/operations.md complete.
func TestManualListsEverySetting(t *testing.T) {
	manual := page(t, "docs/operations.md")
	for _, path := range settings(reflect.TypeFor[config.Config](), "") {
		if !strings.Contains(manual, "| `"+path+"` |") {
			t.Errorf("%s is not in the table of settings", path)
		}
	}
}

// settings lists the paths of a config's values.
func settings(t reflect.Type, path string) (paths []string) {
	if t.Kind() != reflect.Struct {
		return []string{path}
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if path != "" {
			name = path + "." + name
		}
		paths = append(paths, settings(t.Field(i).Type, name)...)
	}
	return paths
}

// TestManualListsEveryExitCode keeps the exit codes of the manual.
func TestManualListsEveryExitCode(t *testing.T) {
	manual := page(t, "docs/operations.md")
	for _, code := range []int{exitDone, exitOther, exitUsage, exitConfig, exitToken, exitHomeserver, exitDatabase, exitListen, exitFile, exitDoctor} {
		if !strings.Contains(manual, fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("exit code %d is not in the table", code)
		}
	}
}

// TestManualHasTheDefaults compares the values in the table of settings, where a cell is just that.
func TestManualHasTheDefaults(t *testing.T) {
	manual := page(t, "docs/operations.md")
	compared := 0
	for path, want := range values(reflect.ValueOf(*config.Default()), "") {
		_, rest, _ := strings.Cut(manual, "| `"+path+"` | ")
		cell, _, _ := strings.Cut(rest, " |")
		if word := strings.Trim(cell, "`"); cell == "`"+word+"`" && path != "puppet.id" {
			compared++
			if word != want {
				t.Errorf("the default of %s is %s, not %s", path, want, word)
			}
		}
	}
	if compared < 20 {
		t.Errorf("only %d compared", compared)
	}
}

// values maps the paths of a config's values to how they are written.
func values(v reflect.Value, path string) map[string]string {
	if v.Kind() != reflect.Struct {
		text := fmt.Sprint(v)
		switch value := v.Interface().(type) {
		case time.Duration:
			text = regexp.MustCompile(`([hm])(0[ms])+$`).ReplaceAllString(value.String(), "$1")
		case config.Size:
			text = fmt.Sprintf("%dMiB", value>>20)
		case config.Secret:
			text = value.Reveal()
		}
		return map[string]string{path: text}
	}
	all := map[string]string{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if path != "" {
			name = path + "." + name
		}
		maps.Copy(all, values(v.Field(i), name))
	}
	return all
}

// page reads a document.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are the documents, by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[name] = page(t, name)
		}
	}
	return all
}

// TestLinksLeadSomewhere: each link to a file, or to a heading in one, finds it.
func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link[1], "#")
			to := path.Join(path.Dir(name), file)
			if file == "" {
				to = name
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if anchor != "" && !slices.Contains(anchors(all[to]), anchor) {
				t.Errorf("%s: there is no #%s in %s", name, anchor, to)
			}
		}
	}
}

// anchors are the names that headings have in links.
func anchors(text string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestDocumentsNameWhatIsThere: make targets, settings, variables.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	makefile := page(t, "Makefile")
	known := settings(reflect.TypeFor[config.Config](), "")
	sections := map[string]bool{}
	for _, setting := range known {
		section, _, _ := strings.Cut(setting, ".")
		sections[section] = true
	}
	all := pages(t)
	for _, name := range []string{"config.example.yaml", "Dockerfile", "Makefile", ".github/workflows/ci.yaml"} {
		all[name] = page(t, name)
	}
	for name, text := range all {
		for _, target := range regexp.MustCompile("(?m)(?:`|^|run: )make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+target[1]+":") {
				t.Errorf("%s names make %s", name, target[1])
			}
		}
		for _, setting := range regexp.MustCompile("`([a-z]+)\\.([a-z_]+(?:\\.[a-z_]+)?)`").FindAllStringSubmatch(text, -1) {
			if whole := setting[1] + "." + setting[2]; setting[2] != "yaml" && !isPolicyField(whole) && !strings.HasPrefix(name, "docs/plan") && sections[setting[1]] && !slices.ContainsFunc(known, func(k string) bool { return k == whole }) {
				t.Errorf("%s names the setting %s", name, whole)
			}
		}
		for _, variable := range regexp.MustCompile(`\bUSHER_([A-Z]+__[A-Z_]+)`).FindAllStringSubmatch(text, -1) {
			setting := strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(variable[1], "_FILE"), "__", "."))
			if !slices.Contains(known, setting) {
				t.Errorf("%s names $USHER_%s", name, variable[1])
			}
		}
	}
}

// isPolicyField reports whether a path is of a field of policies, which has the name of a section of the config.
func isPolicyField(path string) bool { _, is := policy.Lookup(path); return is }

// TestDesignNamesWhatIsThere: the types, functions and fields that the design, and who secures it, speak of.
func TestDesignNamesWhatIsThere(t *testing.T) {
	there := map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			var names []*ast.Ident
			switch n := n.(type) {
			case *ast.FuncDecl:
				names = []*ast.Ident{n.Name}
			case *ast.TypeSpec:
				names = []*ast.Ident{n.Name}
			case *ast.Field:
				names = n.Names
			}
			for _, name := range names {
				there[name.Name], there[s.dir+"."+name.Name] = true, true
			}
			return true
		})
	}
	owner := regexp.MustCompile("`([A-Z]\\w+|appservice|bot|commands|encryption|homeserver|invites(?:/\\w+)?|policy|room|store)\\.(?:\\w+\\.)?([A-Za-z]+)`")
	for _, file := range []string{"docs/design.md", "docs/reading.md", "SECURITY.md"} {
		for _, named := range owner.FindAllStringSubmatch(page(t, file), -1) {
			name := named[1] + "." + named[2]
			if _, err := os.Stat(named[1]); err != nil { // a type: its package is not named
				name = named[2]
			}
			if !there[name] && !strings.HasPrefix(named[2], "Test") && named[2] != "go" {
				t.Errorf("%s names %s", file, named[0])
			}
		}
	}
}

// TestEachCodeIsExplained: whatever people or the audit are given as a reason stands in a document.
func TestEachCodeIsExplained(t *testing.T) {
	var docs strings.Builder
	for _, text := range pages(t) {
		docs.WriteString(text)
	}
	found := 0
	for _, s := range sources(t) {
		text := page(t, s.name)
		for _, code := range regexp.MustCompile(`(?:\b[Cc]ode\w+ +(?:room\.Rule +)?= |\.Reason\()"([a-zA-Z_.]+)"`).FindAllStringSubmatch(text, -1) {
			found++
			if s.dir != "room" && !strings.Contains(docs.String(), "`"+code[1]+"`") { // room has a test of its own
				t.Errorf("%s: no document explains %s", s.name, code[1])
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d found", found)
	}
}

// TestAuditIsExplained: each kind of an audit row, and each code made of a kind of card and of its end.
func TestAuditIsExplained(t *testing.T) {
	var docs strings.Builder
	for _, text := range pages(t) {
		docs.WriteString(text)
	}
	kinds := regexp.MustCompile(`\bAudit\w+ +AuditKind = "(\w+)"`).FindAllStringSubmatch(page(t, "invites/change.go"), -1)
	_, row, _ := strings.Cut(page(t, "docs/ledger.md"), "\n| `kind` |")
	row, _, _ = strings.Cut(row, "\n")
	for _, kind := range kinds {
		if !strings.Contains(row, "`"+kind[1]+"`") {
			t.Errorf("docs/ledger.md does not explain rows of the kind %s", kind[1])
		}
	}
	cards := page(t, "invites/card.go")
	questions := regexp.MustCompile(`\bCard\w+ +CardKind = "(\w+)"`).FindAllStringSubmatch(cards, -1)
	ends := regexp.MustCompile(`\bCard\w+ +CardState = "(\w+)"`).FindAllStringSubmatch(cards, -1)
	for _, question := range questions {
		for _, end := range ends {
			code := question[1] + "." + end[1]
			open := end[1] == "open" || end[1] == "cancelled" // a cancelled card has a code of its own
			if banned := end[1] == "banned" && question[1] != "knock"; !open && !banned && !strings.Contains(docs.String(), "`"+code+"`") {
				t.Errorf("no document explains %s", code)
			}
		}
	}
	if len(kinds) < 3 || len(questions) < 3 || len(ends) < 6 {
		t.Errorf("found %d kinds of rows, %d of cards and %d ends", len(kinds), len(questions), len(ends))
	}
}

// TestManualListsEveryAlert: and no other.
func TestManualListsEveryAlert(t *testing.T) {
	_, table, _ := strings.Cut(page(t, "docs/operations.md"), "| alert | what to do |")
	table, _, _ = strings.Cut(table, "\n\n")
	var there []string
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(page(t, "docs/monitoring/usher.rules.yml"), -1) {
		there = append(there, alert[1])
	}
	listed := regexp.MustCompile(`\bUsher[A-Z]\w+`).FindAllString(table, -1)
	for _, name := range append(listed, there...) {
		if !slices.Contains(there, name) || !slices.Contains(listed, name) {
			t.Errorf("%s is only in the rules or only in the manual", name)
		}
	}
	if len(there) < 5 {
		t.Errorf("only %d alerts found", len(there))
	}
}

// TestReliabilityNamesTests: each test that the promises are shown by is there, and each that the Makefile runs by name.
func TestReliabilityNamesTests(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			there[found[1]] = true
			there[path.Base(path.Dir(filepath.ToSlash(name)))+"."+found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"docs/reliability.md", "SECURITY.md", "CONTRIBUTING.md"} {
		for _, named := range regexp.MustCompile("`((?:[a-z]+\\.)?(?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(page(t, file), -1) {
			if !there[named[1]] {
				t.Errorf("%s names %s", file, named[1])
			}
		}
	}
	for _, run := range regexp.MustCompile(`-run '?(\S+)`).FindAllStringSubmatch(page(t, "Makefile"), -1) {
		for _, named := range regexp.MustCompile(`Test\w+`).FindAllString(run[1], -1) { // the beginning of a name suffices
			if !slices.ContainsFunc(slices.Collect(maps.Keys(there)), func(name string) bool { return strings.HasPrefix(name, named) }) {
				t.Errorf("the Makefile runs %s", named)
			}
		}
	}
}

// TestWalkExists: each function in the list of calls from the socket to /invite is in its file.
func TestWalkExists(t *testing.T) {
	page, err := os.ReadFile("docs/reading.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("(?m)^\\| \\d+ \\| \\[([^]]+)\\]\\([^)]+\\) \\| `(?:(\\w+)\\.)?(\\w+)` \\|").FindAllStringSubmatch(string(page), -1)
	if len(steps) == 0 || len(steps) > 20 {
		t.Errorf("%d calls", len(steps))
	}
	for _, step := range steps {
		source, err := os.ReadFile(step[1])
		if err != nil {
			t.Fatal(err)
		}
		receiver := ""
		if step[2] != "" {
			receiver = `\(\w+ \*?` + step[2] + `\) `
		}
		if !regexp.MustCompile(`(?m)^func ` + receiver + step[3] + `\(`).Match(source) {
			t.Errorf("%s has no %s %s", step[1], step[2], step[3])
		}
	}
}
