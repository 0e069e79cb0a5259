package commands

import (
	"os"
	"strings"
	"testing"
)

// TestEachCommandHasItsPlace: a file of its name, and the row in README.md that says how it is given.
func TestEachCommandHasItsPlace(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Table() {
		if _, err := os.Stat(c.Name + ".go"); err != nil {
			t.Error(err)
		}
		if row := "\n| `" + strings.ReplaceAll(c.form("!"), "|", `\|`) + "` | "; !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row that begins with %s", row)
		}
	}
}
