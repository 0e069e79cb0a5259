package connect

import (
	"path/filepath"
	"strings"
	"testing"

	"usher/store"
)

// TestPlace: an SQLite file by its absolute path, PostgreSQL without its password.
func TestPlace(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	for uri, want := range map[string]string{
		"file:usher.db?mode=rwc": filepath.Join(here, "usher.db"),
		"sub/usher.db":           filepath.Join(here, "sub/usher.db"),
		"file:///var/usher.db":   "/var/usher.db",
	} {
		if got := Place(store.Config{Type: "sqlite", URI: uri}); got != want {
			t.Errorf("%s: got %s", uri, got)
		}
	}
	if got := Place(store.Config{Type: "postgres", URI: "postgres://u:secret@host/db"}); strings.Contains(got, "secret") {
		t.Errorf("got %s", got)
	}
}
