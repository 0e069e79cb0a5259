package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"usher/config"
	"usher/connect"
	"usher/web"
)

// newSite makes the web pages and endpoints of the active process.
func (b *bot) newSite(*config.Config) *web.Site { return web.New(web.Options{Log: b.log}) }

// webHandler serves web.listen: the active process has a site, another one passes requests on.
type webHandler struct{ *process }

// ServeHTTP implements http.Handler.
func (p webHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b := p.acting.Load(); b != nil {
		b.site.ServeHTTP(w, r)
		return
	}
	p.relay.ServeHTTP(w, r)
}

// serveWeb listens at web.listen, if that is set, and calls failed where the listener ends by itself. The caller calls stop, which waits for
// requests under way as long as its context lasts.
func (p *process) serveWeb(failed context.CancelCauseFunc) (stop func(context.Context) error, err error) {
	if p.cfg.Web.Listen == "" {
		return func(context.Context) error { return nil }, nil
	}
	listener, err := connect.Listen(p.cfg.Web.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: web: %w", connect.ErrListen, err)
	}
	server := connect.Server(webHandler{p})
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("%w: web: %w", connect.ErrListen, err))
		}
	}()
	p.log.Info().Stringer("address", listener.Addr()).Msg("Web listener started")
	return server.Shutdown, nil
}
