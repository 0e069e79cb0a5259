package operator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"usher/config"
	"usher/exactjson"
	"usher/room"
)

// running asks the Usher that runs with this config whether it can work. found is false where none answers.
func (d *doctor) running(ctx context.Context) (f finding, found bool) {
	reasons, _, err := ready(ctx, d.cfg)
	switch {
	case err != nil:
		return finding{}, false
	case len(reasons) > 0:
		return finding{mark: ill, found: room.Say("doctor.not_ready", "reasons", strings.Join(reasons, "; ")), remedy: room.Say("remedy.not_ready")}, true
	}
	return finding{mark: well, found: room.Say("doctor.ready")}, true
}

// ready asks the Usher that runs with a config why it can't work, and when the last transaction came, in Unix milliseconds; 0: none has,
// or it does not say. It returns no reasons for a ready one, and an error if none answers.
func ready(ctx context.Context, cfg *config.Config) (reasons []string, heard int64, err error) {
	network, address := config.Network(cfg.Appservice.Listen)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { // the local machine where the host is empty or unspecified
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://usher/_matrix/mau/ready", nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+cfg.Appservice.HSToken.Reveal())
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return nil, 0, err
	}
	if ready := exactjson.Get(body, "ready").Kind; ready != exactjson.True && ready != exactjson.False {
		return nil, 0, errors.New("another program answers")
	}
	for reason := range exactjson.Items(body, "reasons") {
		reasons = append(reasons, exactjson.Text(reason))
	}
	heard = exactjson.Get(body, "last_transaction").Int()
	return reasons, heard, nil
}
