package commands

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/words"
)

// TestEachCommandHasItsPlace: each command has a file of its name.
func TestEachCommandHasItsPlace(t *testing.T) {
	for _, c := range Table() {
		if _, err := os.Stat(c.Name + ".go"); err != nil {
			t.Error(err)
		}
	}
}

// TestReadmeHasTheTable: the table of README.md has the usage of each command, in the order of Table, and no other row.
func TestReadmeHasTheTable(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(!.*?)` \\| .").FindAllSubmatch(readme, -1) {
		rows = append(rows, string(row[1]))
	}
	for _, c := range Table() {
		want = append(want, strings.ReplaceAll(c.usage("!"), "|", `\|`))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("README.md has the rows\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// TestTableIsValid: each form can be described to clients, its functions are there, and no two commands share a name.
func TestTableIsValid(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Table() {
		for _, name := range append(c.Aliases, c.Name) {
			if names[name] {
				t.Errorf("two commands are called %s", name)
			}
			names[name] = true
		}
		for _, f := range c.forms() {
			if err := f.description(words.For("")).Validate(); err != nil {
				t.Errorf("%s: %v", f.name(), err)
			}
			if f.run() == nil || f.about().Empty() {
				t.Errorf("%s says or does nothing", f.name())
			}
			for _, p := range f.params() {
				if !p.Optional && p.missing.Empty() {
					t.Errorf("%s: nothing is said when %s is missing", f.name(), p.Key)
				}
			}
		}
	}
}

// usage is the command with all its parts as people type it.
func (c *Command) usage(prefix string) string {
	words := append([]string{prefix + c.Name}, usages(c.Before)...)
	var parts []string
	for _, p := range c.Parts {
		parts = append(parts, strings.Join(append([]string{p.Name}, usages(p.Params)...), " "))
	}
	if parts != nil {
		words = append(words, "["+strings.Join(parts, " | ")+"]")
	}
	return strings.Join(append(words, usages(c.Params)...), " ")
}
