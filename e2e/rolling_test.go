package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usher/e2e/harness"
)

// successor builds a version of the program to come, with further upgrades of the database. They are laid over the source for this
// build only.
func successor(t *testing.T, upgrades ...string) string {
	t.Helper()
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	known, err := filepath.Glob(filepath.Join(source, "store", "upgrades", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	over := map[string]string{}
	for i, sql := range upgrades {
		n := len(known) + i
		file := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(file, fmt.Appendf(nil, sql, n, n+1, len(known)), 0o600); err != nil {
			t.Fatal(err)
		}
		over[filepath.Join(source, "store", "upgrades", fmt.Sprintf("%02d-next.sql", n+1))] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": over})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "usher")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "goolm", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// Upgrades of versions to come: one that this version survives, and one that it does not.
const (
	harmless = "-- v%d -> v%d (compatible with v%d+): What it may bring\n" +
		"CREATE TABLE next_one (n BIGINT NOT NULL);\nALTER TABLE invitation ADD COLUMN next_one TEXT NOT NULL DEFAULT '';\n"
	harmful = "-- v%d -> v%d: What it may do, but not beside version %d\nALTER TABLE invitation DROP COLUMN reason;\n"
)

// TestRollingUpgrade: a version to come, which changes the database in a way that this one survives, is rolled out one process at a time
// while invitations flow. None is lost or sent again, and each command is answered once. In between, only old ones are left.
func TestRollingUpgrade(t *testing.T) {
	f := newFlow(t)
	next := successor(t, harmless)
	start := func(u *harness.Usher) {
		t.Helper()
		if err := u.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	upgrade := func(u *harness.Usher) {
		t.Helper()
		f.say()
		if err := u.Stop(); err != nil {
			t.Error(err)
		}
		u.Replace(next)
		f.say()
		start(u)
		f.say()
	}
	first, old := f.all[0], f.all[1]
	upgrade(first)
	first.Kill()
	f.say()
	f.allAnswered() // by the old ones, on what the new one has made of the database
	old.Kill()
	f.say()
	start(old)
	if log := old.Tail(1000); !strings.Contains(log, "Database of a newer version") {
		t.Error("an old one that starts on the newer database does not say so")
	}
	f.say()
	start(first)
	for _, u := range f.all[1:] {
		upgrade(u)
	}
	f.allAnswered()
	f.complete()

	// The next but one has to be the only one.
	for _, u := range f.all {
		if err := u.Stop(); err != nil {
			t.Error(err)
		}
	}
	first.Replace(successor(t, harmless, harmful))
	start(first)
	if out, code := old.Run(t.Context(), "-c", "config.yaml"); code != 14 || !strings.Contains(out, "database was upgraded by a newer version") {
		t.Errorf("beside an upgrade that it does not survive, an old one ends with %d\n%s", code, out)
	}
}
