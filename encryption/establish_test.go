package encryption

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"maunium.net/go/mautrix"

	"usher/store"
	"usher/store/pgtest"
)

// onPostgres has a device keep its keys on PostgreSQL.
func onPostgres(t *testing.T, uri string) func(*Options) {
	return func(o *Options) {
		t.Helper()
		keys, err := store.OpenKeys(t.Context(), store.Config{Type: "postgres", URI: uri, MaxOpenConns: 4, MaxIdleConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = keys.Close() })
		o.Keys = keys
	}
}

// TestTakeover: the next process on the same keys goes on with the same device, and reads events with keys from in between.
func TestTakeover(t *testing.T) {
	pg, err := pgtest.Start()
	pgtest.Need(t, err)
	t.Cleanup(func() { _ = pg.Stop() })
	s, uri := newStub(t), pg.Database(t)
	a := newPerson(t, s, alice)
	var missed []string
	for _, round := range []string{"at first", "after a stop", "after another"} {
		missed = append(missed, round+", meanwhile")
		meanwhile := a.say(missed[len(missed)-1], bot)
		d, came, stop := newDevice(t, s, &fakeRooms{}, t.TempDir(), onPostgres(t, uri))
		if round != "at first" { // before the first start, the bot has no device to send keys to
			if opened, err := d.Open(t.Context(), meanwhile); err != nil || text(opened) != missed[len(missed)-1] {
				t.Errorf("%s: opens %q, %v", round, text(opened), err)
			}
		}
		ev := a.say(round, bot)
		for await(t, came) != secret {
		}
		if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != round {
			t.Errorf("%s: opens %q, %v", round, text(opened), err)
		}
		_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", m{"body": round})
		if err != nil {
			t.Fatal(err)
		}
		if heard, err := a.hear(s, sealed); err != nil || heard.Content.Raw["body"] != round {
			t.Errorf("%s: alice hears %v, %v", round, heard, err)
		}
		stop()
	}
	if n := len(s.keys[bot]); n != 1 {
		t.Errorf("the bot has %d devices", n)
	}
}

// TestLoginRefused tells a homeserver without a login for application services from one in trouble.
func TestLoginRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   bool
	}{
		"unsupported":         {400, `{"errcode":"M_APPSERVICE_LOGIN_UNSUPPORTED"}`, true},
		"unknown":             {400, `{"errcode":"M_UNKNOWN","error":"Unknown login type"}`, true},
		"forbidden":           {403, `{"errcode":"M_FORBIDDEN"}`, true},
		"unrecognized":        {404, `{"errcode":"M_UNRECOGNIZED"}`, true},
		"not found":           {404, "404 page not found", true},
		"a page":              {404, "<html>", true},
		"method not allowed":  {405, "", true},
		"a proxy forbids":     {403, "<html>", false},
		"limited":             {429, `{"errcode":"M_LIMIT_EXCEEDED"}`, false},
		"timeout":             {408, `{"errcode":"M_UNKNOWN"}`, false},
		"error":               {500, `{"errcode":"M_UNKNOWN"}`, false},
		"gateway":             {502, `{"errcode":"M_UNKNOWN"}`, false},
		"nobody listens":      {0, "", false},
		"success, no meaning": {200, "<html>", false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tt.status == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		client, err := (&setup{o: Options{Homeserver: server.URL, Bot: bot}, http: http.DefaultClient}).client("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Login(t.Context(), &mautrix.ReqLogin{}); err == nil || withoutLogin(err) != tt.want {
			t.Errorf("%s: %v: %v", name, err, !tt.want)
		}
		server.Close()
	}
}

func TestRestart(t *testing.T) {
	s, dir := newStub(t), t.TempDir()
	a := newPerson(t, s, alice)
	_, _, stop := newDevice(t, s, &fakeRooms{}, dir, nil)
	stop()
	ev := a.say("while it was down", bot)
	d, _, stop := newDevice(t, s, &fakeRooms{}, dir, nil)
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "while it was down" {
		t.Errorf("got %q, %v", text(opened), err)
	}
	if len(s.keys[bot]) != 1 {
		t.Errorf("the bot has %d devices after a restart", len(s.keys[bot]))
	}
	stop()

	// The device is deleted: another takes its place, and earlier events stay readable.
	s.mu.Lock()
	delete(s.keys[bot], "DEVICE1")
	s.mu.Unlock()
	d, _, stop = newDevice(t, s, &fakeRooms{}, dir, nil)
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "while it was down" {
		t.Errorf("with a new device: got %q, %v", text(opened), err)
	}
	if s.keys[bot]["DEVICE2"] == nil {
		t.Errorf("the bot has %v", s.keys[bot])
	}
	stop()

	// The database is lost: the identity is the same.
	master := fmt.Sprint(s.signing[bot]["master_key"])
	for _, file := range []string{"keys.db", "keys.db-wal", "keys.db-shm"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	newDevice(t, s, &fakeRooms{}, dir, nil)
	if fmt.Sprint(s.signing[bot]["master_key"]) != master {
		t.Error("the bot has another identity")
	}
}
