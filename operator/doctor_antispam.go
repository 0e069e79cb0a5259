package operator

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher/config"
	"usher/exactjson"
	"usher/room"
)

// antispam checks whether the homeserver asks the running Usher before invitations.
func (d *doctor) antispam(ctx context.Context) finding {
	seen, err := callbacks(ctx, d.cfg)
	if err != nil {
		return finding{mark: unchecked, found: room.Say("doctor.antispam_unasked", "error", err), remedy: room.Say("remedy.antispam_unasked")}
	}
	asked := slices.DeleteFunc(slices.Clone(seen), func(name string) bool { return name == "ping" })
	slices.Sort(asked)
	switch {
	case len(seen) == 0:
		return finding{mark: warned, found: room.Say("doctor.antispam_silent"), remedy: room.Say("remedy.antispam_silent")}
	case len(asked) == 0:
		return finding{mark: well, found: room.Say("doctor.antispam_pinged"), remedy: room.Say("remedy.antispam_pinged")}
	case !slices.Contains(asked, "user_may_invite"):
		return finding{mark: warned, found: room.Say("doctor.antispam", "callbacks", strings.Join(asked, ", ")), remedy: room.Say("remedy.antispam_pinged")}
	}
	return finding{mark: well, found: room.Say("doctor.antispam", "callbacks", strings.Join(asked, ", "))}
}

// callbacks asks the Usher that runs with a config which callbacks have come since it acts.
func callbacks(ctx context.Context, cfg *config.Config) (names []string, err error) {
	listen := cfg.Appservice.Listen
	if cfg.Antispam.At == config.AtWeb {
		listen = cfg.Web.Listen
	}
	network, address := config.Network(listen)
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://usher/_usher/antispam/seen", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+cfg.Antispam.Token.Reveal())
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	for name := range exactjson.Members(body, "seen") {
		names = append(names, name)
	}
	return names, nil
}
