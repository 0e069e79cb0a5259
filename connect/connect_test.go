package connect

import (
	"errors"
	"io/fs"
	"net"
	"os"
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

// TestListenOnSocket: a left socket is replaced, and only a socket; the user and the group of the process may connect.
func TestListenOnSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "usher.sock")
	first, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Error(info, err)
	}
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error("took a socket in use:", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as a kill leaves it
	_ = first.Close()
	again, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()

	for name, make := range map[string]func(string) error{
		"file":           func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"folder":         func(path string) error { return os.Mkdir(path, 0o700) },
		"link to a file": func(path string) error { return os.Symlink(filepath.Join(dir, "file"), path) },
		"dangling link":  func(path string) error { return os.Symlink(filepath.Join(dir, "nothing"), path) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if l, err := Listen("unix:" + path); err == nil {
			_ = l.Close()
			t.Error("listens in place of a", name)
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			t.Error("removed a", name)
		}
	}
}
