package bot

import (
	"path/filepath"
	"strings"
	"testing"

	"usher/store"
)

// TestPlaceTellsWhere: a file by its whole path, and of PostgreSQL no password.
func TestPlaceTellsWhere(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for uri, want := range map[string]string{
		"file:usher.db?mode=rwc": filepath.Join(here, "usher.db"),
		"sub/usher.db":           filepath.Join(here, "sub/usher.db"),
		"file:///var/usher.db":   "/var/usher.db",
	} {
		if got := place(store.Config{Type: "sqlite", URI: uri}); got != want {
			t.Errorf("%s: got %s", uri, got)
		}
	}
	if got := place(store.Config{Type: "postgres", URI: "postgres://u:secret@host/db"}); strings.Contains(got, "secret") {
		t.Errorf("got %s", got)
	}
}
