package operator

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/web"
)

func TestDoctorFetchesPages(t *testing.T) {
	site := httptest.NewServer(web.New(web.Options{Log: zerolog.Nop(), Pages: web.NewPages("https://x.example", web.Mark("secret"))}))
	defer site.Close()
	other := httptest.NewServer(http.RedirectHandler(site.URL+web.MarkPath, http.StatusFound))
	defer other.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, tt := range []struct {
		name, address string
		token         config.Secret
		running       bool
		mark          mark
		key           string
	}{
		{"no pages", "", "secret", true, unchecked, "doctor.pages.none"}, {"not running", site.URL, "secret", false, unchecked, "doctor.pages.later"},
		{"this Usher", site.URL, "secret", true, well, "doctor.pages"}, {"another Usher", site.URL, "another", true, ill, "doctor.pages.other"},
		{"a redirect", other.URL, "secret", true, ill, "doctor.pages.other"}, {"nobody", gone.URL, "secret", true, ill, "doctor.pages.unreachable"},
		{"a wrong path", site.URL + "/door", "secret", true, ill, "doctor.pages.other"},
	} {
		cfg := config.Default()
		cfg.Web.PublicURL, cfg.Appservice.HSToken = tt.address, tt.token
		d := doctor{setup: setup{cfg: cfg}}
		if got := d.pages(t.Context(), tt.running); got.mark != tt.mark || got.found.Key != tt.key {
			t.Errorf("%s: %s %v", tt.name, got.mark, got.found)
		}
	}
}
