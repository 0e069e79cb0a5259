package operator

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"usher/room"
	"usher/web"
)

// pagesTake is how long the public address may take to answer.
const pagesTake = 10 * time.Second

// pages asks for the running Usher at the public address of its pages, as a browser would.
func (d *doctor) pages(ctx context.Context, running bool) finding {
	address := d.cfg.Web.PublicURL
	if address == "" {
		return finding{unchecked, room.Say("doctor.pages.none"), room.Say("remedy.pages.none")}
	}
	if !running {
		return finding{mark: unchecked, found: room.Say("doctor.pages.later", "address", address)}
	}
	ctx, cancel := context.WithTimeout(ctx, pagesTake)
	defer cancel()
	remedy := room.Say("remedy.pages", "address", address, "listen", d.cfg.Web.Listen)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+web.MarkPath, nil)
	if err != nil {
		return finding{ill, room.Say("doctor.pages.unreachable", "address", address, "error", err), remedy}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return finding{ill, room.Say("doctor.pages.unreachable", "address", address, "error", err), remedy}
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
	if response.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != web.Mark(d.cfg.Appservice.HSToken.Reveal()) {
		return finding{ill, room.Say("doctor.pages.other", "address", address, "status", response.StatusCode), remedy}
	}
	return finding{mark: well, found: room.Say("doctor.pages", "address", address)}
}
