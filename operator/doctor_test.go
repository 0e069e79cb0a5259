package operator

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/config"
	"usher/store"
	"usher/words"
)

// answers are the bodies of a stub homeserver, by the end of the path. A body with an errcode is an answer with status 401 for
// M_UNKNOWN_TOKEN, else 400.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if date := a["date"]; date != "" {
		w.Header().Set("Date", date)
	}
	for end, body := range a {
		if strings.HasSuffix(r.URL.Path, end) {
			switch {
			case strings.Contains(body, "M_UNKNOWN_TOKEN"):
				w.WriteHeader(http.StatusUnauthorized)
			case strings.Contains(body, "errcode"):
				w.WriteHeader(http.StatusBadRequest)
			}
			fmt.Fprint(w, body)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"errcode":"M_UNRECOGNIZED"}`)
}

func TestDoctor(t *testing.T) {
	const well = "✓ config      read and without faults\n✓ database    "
	for _, tt := range []struct {
		name    string
		change  answers
		setting func(*config.Config)
		unwell  bool
		says    []string
	}{
		{name: "well", says: []string{well, "✓ homeserver ", "v1.16", "✓ clock ", "✓ as_token ", "✓ device ", "✓ way back ", "✓ rate limits "}},
		{name: "no homeserver", change: answers{"/versions": `{"errcode":"M_UNKNOWN"}`}, unwell: true, says: []string{"✗ homeserver ", "→ Look at homeserver.address"}},
		{name: "not a homeserver", change: answers{"/versions": `{}`}, unwell: true, says: []string{"✗ homeserver ", "not as a homeserver does"}},
		{name: "clock", change: answers{"date": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, unwell: true, says: []string{"✗ clock ", "differs from this machine's by ", "→ Set both by NTP"}},
		{name: "token", change: answers{"/whoami": `{"errcode":"M_UNKNOWN_TOKEN"}`}, unwell: true, says: []string{"✗ as_token ", "→ Give the homeserver the registration"}},
		{name: "another user", change: answers{"/whoami": `{"user_id":"@else:example.org"}`}, unwell: true, says: []string{"✗ as_token ", "@else:example.org"}},
		{name: "before the first start", change: answers{"/whoami": `{"errcode":"M_FORBIDDEN"}`}, says: []string{"✓ as_token ", "is not there yet"}},
		{name: "puppet", setting: func(c *config.Config) { c.Puppet = config.Puppet{Enabled: true, ASToken: "p"} }, says: []string{"✓ puppet ", "invite as themselves"}},
		{name: "way back refused", change: answers{"/ping": `{"errcode":"M_BAD_STATUS"}`}, unwell: true, says: []string{"✗ way back ", "→ hs_token must be the same"}},
		{name: "no way back", change: answers{"/ping": `{"errcode":"M_CONNECTION_FAILED"}`}, unwell: true, says: []string{"✗ way back ", "→ appservice.address must lead"}},
		{name: "a ping is not known", change: answers{"/ping": ""}, says: []string{"✓ way back ", "!ping"}},
		{name: "MSC4190", change: answers{"/login": `{"flows":[{"type":"m.login.password"}]}`}, says: []string{"✓ device ", "MSC4190"}},
		{name: "no database", setting: func(c *config.Config) { c.Database.URI = "/nowhere/at/all/usher.db" }, unwell: true, says: []string{"✗ database ", "/nowhere/at/all/usher.db", "→ Look at database.type"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := answers{
				"/versions": `{"versions":["r0.6.1","v1.16"]}`, "/whoami": `{"user_id":"@usher:example.org"}`, "/ping": `{"duration_ms":1}`,
				"/login": `{"flows":[{"type":"m.login.application_service"}]}`,
			}
			for end, body := range tt.change {
				a[end] = body
				if body == "" {
					delete(a, end)
				}
			}
			server := httptest.NewServer(a)
			defer server.Close()
			cfg := config.Default()
			cfg.Homeserver = config.Homeserver{Address: server.URL, Domain: "example.org"}
			cfg.Appservice.ASToken, cfg.Appservice.HSToken, cfg.Appservice.Listen = "as", "hs", "127.0.0.1:0"
			cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
			if tt.setting != nil {
				tt.setting(cfg)
			}
			var out bytes.Buffer
			if err := Doctor(t.Context(), cfg, DoctorOptions{}, &out); errors.Is(err, ErrUnwell) != tt.unwell || err != nil && !tt.unwell {
				t.Errorf("%v\n%s", err, out.String())
			}
			for _, text := range tt.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("no %q in\n%s", text, out.String())
				}
			}
		})
	}
}

// TestDoctorAsksTheRunningUsher: doctor says why the Usher that runs with the config is not ready. Another program on its port is not Usher.
func TestDoctorAsksTheRunningUsher(t *testing.T) {
	for body, want := range map[string]string{
		`{"ready":false,"reasons":["the database can't take transactions"]}`: "✗ usher       the Usher that runs here is not ready: the database can't take transactions",
		`{"ready":true,"reasons":[]}`:                                        "✓ usher ",
		`hello`:                                                              "",
	} {
		usher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		defer usher.Close()
		hs := httptest.NewServer(answers{"/versions": `{}`})
		defer hs.Close()
		cfg := config.Default()
		cfg.Homeserver = config.Homeserver{Address: hs.URL, Domain: "example.org"}
		cfg.Appservice.Listen = usher.Listener.Addr().String()
		cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
		var out bytes.Buffer
		if err := Doctor(t.Context(), cfg, DoctorOptions{}, &out); !errors.Is(err, ErrUnwell) {
			t.Error(err)
		}
		if !strings.Contains(out.String(), want) || want == "" && strings.Contains(out.String(), " usher ") {
			t.Errorf("%s: %s", body, out.String())
		}
	}
}

// TestDoctorFindsDamage: in whichever table or index it is.
func TestDoctorFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	s, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: path})
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	err = errors.Join(s.SQL().QueryRow(`SELECT rootpage FROM sqlite_master WHERE name = 'ledger_inviter'`).Scan(&page), s.SQL().QueryRow(`PRAGMA page_size`).Scan(&size), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = file.WriteAt(bytes.Repeat([]byte{0xAA}, int(size)), (page-1)*size); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	d := &doctor{cfg: config.Default()}
	d.cfg.Database.URI = config.Secret(path)
	if f := d.database(t.Context()); f.well || !strings.Contains(words.For("").Text(f.found), "damaged") {
		t.Errorf("%+v", f)
	}
}
