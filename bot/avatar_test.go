package bot

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"usher/config"
	"usher/homeserver"
)

// profile is a homeserver with the profile and the account data of one user.
type profile struct {
	avatar  string
	data    json.RawMessage
	uploads int
}

func (p *profile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var answer any = struct{}{}
	switch path := r.URL.Path; {
	case strings.Contains(path, "/account_data/") && r.Method == http.MethodPut:
		p.data = raw
	case strings.Contains(path, "/account_data/") && p.data != nil:
		answer = p.data
	case strings.Contains(path, "/account_data/"):
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]string{"errcode": "M_NOT_FOUND"}
	case strings.HasSuffix(path, "/upload"):
		p.uploads++
		answer = map[string]string{"content_uri": "mxc://here/door"}
	case r.Method == http.MethodPut:
		var body map[string]string
		_ = json.Unmarshal(raw, &body)
		p.avatar = body["avatar_url"]
	default:
		answer = map[string]string{"avatar_url": p.avatar}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// TestAvatar: a bot without an avatar gets one, once. What an operator chose stays, in the config, in a client, and by taking the avatar away.
func TestAvatar(t *testing.T) {
	for name, test := range map[string]struct {
		hs          profile
		set         string // in the config
		want, later string // after the first start, and after the avatar was taken away
		uploads     int
	}{
		"none":          {want: "mxc://here/door", uploads: 1},
		"one by hand":   {hs: profile{avatar: "mxc://here/own"}, want: "mxc://here/own", later: "mxc://here/door", uploads: 1},
		"of the config": {set: "mxc://here/set"},
	} {
		hs := test.hs
		server := httptest.NewServer(&hs)
		t.Cleanup(server.Close)
		client, err := homeserver.NewClient(homeserver.ClientOptions{Homeserver: server.URL, Domain: "here", Bot: "@usher:here", Token: "t", Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		p := &process{cfg: &config.Config{}, client: client}
		p.cfg.Appservice.Bot.Avatar = test.set
		for _, want := range []string{test.want, test.later} {
			if err := p.giveAvatar(t.Context()); err != nil || hs.avatar != want {
				t.Errorf("%s: %q, want %q, %v", name, hs.avatar, want, err)
			}
			hs.avatar = ""
		}
		if hs.uploads != test.uploads {
			t.Errorf("%s: %d uploads", name, hs.uploads)
		}
	}
}
