package operator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/config"
	"usher/words"
)

// TestDoctorAntispam: the doctor tells whether the homeserver asks, and what is missing.
func TestDoctorAntispam(t *testing.T) {
	var answer string
	usher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_usher/antispam/seen" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, answer)
	}))
	defer usher.Close()
	cfg := config.Default()
	cfg.Antispam.Enabled, cfg.Antispam.Token, cfg.Appservice.Listen = true, "secret", strings.TrimPrefix(usher.URL, "http://")
	d := &doctor{setup: setup{cfg: cfg}}
	for _, tt := range []struct {
		answer string
		mark   mark
		says   string
	}{
		{`{"seen":null}`, warned, "never"},
		{`{"seen":{"ping":"2026-01-01T00:00:00Z"}}`, well, "pings"},
		{`{"seen":{"ping":"2026-01-01T00:00:00Z","user_may_join_room":"2026-01-01T00:00:00Z"}}`, warned, "user_may_join_room"},
		{`{"seen":{"user_may_invite":"2026-01-01T00:00:00Z"}}`, well, "user_may_invite"},
	} {
		answer = tt.answer
		if f := d.antispam(t.Context()); f.mark != tt.mark || !strings.Contains(words.For("").Text(f.found), tt.says) {
			t.Errorf("%s: %s %s", tt.answer, f.mark, words.For("").Text(f.found))
		}
	}
	cfg.Antispam.Token = "another"
	if f := d.antispam(t.Context()); f.mark != unchecked || f.remedy.Empty() {
		t.Error(f)
	}
}
