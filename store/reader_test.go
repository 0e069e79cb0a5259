package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"usher/invites"
	"usher/store"
	"usher/store/pgtest"
)

// TestReader reads beside a store open for writing, and can't write.
func TestReader(t *testing.T) {
	databases := map[string]func(t *testing.T) string{
		"sqlite": func(t *testing.T) string { return filepath.Join(t.TempDir(), "usher.db") },
		"postgres": func(t *testing.T) string {
			s, err := server()
			pgtest.Need(t, err)
			return s.Database(t)
		},
	}
	for typ, uri := range databases {
		t.Run(typ, func(t *testing.T) {
			cfg := store.Config{Type: typ, URI: uri(t)}
			s := open(t, cfg.Type, cfg.URI)
			for n, verdict := range []string{"done", "refused", "done"} {
				row := invites.Audit{At: time.UnixMilli(int64(1000 + n)), Kind: "effect", Action: "invite", Room: "!r", Target: "@t:x", Actor: "@a:x", Verdict: verdict}
				if _, err := s.Record(t.Context(), nil, []invites.Audit{row}); err != nil {
					t.Fatal(err)
				}
			}
			r, err := store.OpenReader(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for want, q := range map[int]invites.AuditQuery{
				3: {}, 2: {Room: "!r", Since: time.UnixMilli(1001)}, 0: {User: "@nobody:x"}, 1: {User: "@a:x", Since: time.UnixMilli(1002)},
			} {
				got := 0
				if err := r.EachAudit(t.Context(), q, func(invites.Audit) error { got++; return nil }); err != nil || got != want {
					t.Errorf("%+v: %d rows, want %d; %v", q, got, want, err)
				}
			}
			enough := errors.New("enough")
			if err := r.EachAudit(t.Context(), invites.AuditQuery{}, func(invites.Audit) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := store.OpenReader(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "none.db")}); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := store.OpenReader(t.Context(), store.Config{Type: "sqlite", URI: ":memory:"}); !errors.Is(err, store.ErrURI) {
		t.Errorf("in memory: %v", err)
	}
}
