package bot

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"usher/config"
)

// TestStopDuringStart: a stop while the homeserver does not answer the start is no error.
func TestStopDuringStart(t *testing.T) {
	asked := make(chan struct{}, 100)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	defer server.Close()
	defer close(over)
	cfg := config.Default()
	cfg.Homeserver = config.Homeserver{Address: server.URL, Domain: "here"}
	cfg.Appservice.ASToken, cfg.Appservice.HSToken = "as", "hs"
	cfg.Database.URI = config.Secret(filepath.Join(t.TempDir(), "usher.db"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-asked; cancel() }()
	start := time.Now()
	if err := Run(ctx, cfg, "test", Reload{}); err != nil || ctx.Err() == nil || time.Since(start) > 20*time.Second {
		t.Error(err, time.Since(start))
	}
}
