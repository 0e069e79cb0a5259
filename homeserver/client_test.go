package homeserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func TestErrors(t *testing.T) {
	const request = "POST /v3/rooms/!r/invite"
	for name, c := range map[string]struct {
		status int
		body   string
		header string // Retry-After
		class  invites.Class
		code   string
		retry  time.Duration
	}{
		"forbidden":          {403, `{"errcode":"M_FORBIDDEN","error":"no"}`, "", invites.ClassRefused, "M_FORBIDDEN", 0},
		"bad state":          {403, `{"errcode":"M_BAD_STATE"}`, "", invites.ClassRefused, "M_BAD_STATE", 0},
		"blocked":            {403, `{"errcode":"M_INVITE_BLOCKED"}`, "", invites.ClassRefused, "M_INVITE_BLOCKED", 0},
		"locked":             {401, `{"errcode":"M_USER_LOCKED"}`, "", invites.ClassRefused, "M_USER_LOCKED", 0},
		"limit of users":     {403, `{"errcode":"M_USER_LIMIT_EXCEEDED"}`, "", invites.ClassRefused, "M_USER_LIMIT_EXCEEDED", 0},
		"room version":       {400, `{"errcode":"M_INCOMPATIBLE_ROOM_VERSION"}`, "", invites.ClassRefused, "M_INCOMPATIBLE_ROOM_VERSION", 0},
		"not found":          {404, `{"errcode":"M_NOT_FOUND"}`, "", invites.ClassRefused, "M_NOT_FOUND", 0},
		"unknown errcode":    {418, `{"errcode":"ORG.EXAMPLE_TEA"}`, "", invites.ClassRefused, "ORG.EXAMPLE_TEA", 0},
		"token":              {401, `{"errcode":"M_UNKNOWN_TOKEN"}`, "", invites.ClassStopped, "M_UNKNOWN_TOKEN", 0},
		"no token":           {401, `{"errcode":"M_MISSING_TOKEN"}`, "", invites.ClassStopped, "M_MISSING_TOKEN", 0},
		"limited, body":      {429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}`, "", invites.ClassLater, "M_LIMIT_EXCEEDED", 2500 * time.Millisecond},
		"limited, header":    {429, `{"errcode":"M_LIMIT_EXCEEDED"}`, "7", invites.ClassLater, "M_LIMIT_EXCEEDED", 7 * time.Second},
		"limited, both":      {429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":9000}`, "7", invites.ClassLater, "M_LIMIT_EXCEEDED", 9 * time.Second},
		"limited, a proxy":   {429, `slow down`, "3", invites.ClassLater, "", 3 * time.Second},
		"limited, nothing":   {429, `{}`, "", invites.ClassLater, "", 0},
		"limited, nonsense":  {429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":"x"}`, "soon", invites.ClassLater, "M_LIMIT_EXCEEDED", 0},
		"limited, negative":  {429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":-5}`, "-9", invites.ClassLater, "M_LIMIT_EXCEEDED", 0},
		"limited, absurd":    {429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1e300}`, "", invites.ClassLater, "M_LIMIT_EXCEEDED", maxRetryAfter},
		"limited by 400":     {400, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1000}`, "", invites.ClassLater, "M_LIMIT_EXCEEDED", time.Second},
		"server error":       {500, `{"errcode":"M_UNKNOWN","error":"oops"}`, "", invites.ClassFailed, "M_UNKNOWN", 0},
		"odd server error":   {500, `{"Err":""}`, "", invites.ClassFailed, "", 0},
		"gateway":            {502, `<html>`, "", invites.ClassFailed, "", 0},
		"timeout":            {408, `{"errcode":"M_UNKNOWN"}`, "", invites.ClassFailed, "M_UNKNOWN", 0},
		"a proxy's 403":      {403, `<html>`, "", invites.ClassFailed, "", 0},
		"deep nonsense":      {403, strings.Repeat("[", 1<<18), "", invites.ClassFailed, "", 0},
		"errcode a number":   {403, `{"errcode":5}`, "", invites.ClassFailed, "", 0},
		"redirect":           {302, ``, "", invites.ClassFailed, "", 0},
		"200 but no JSON":    {200, `welcome to the hotel`, "", invites.ClassFailed, "", 0},
		"200 but half":       {200, `{"a":`, "", invites.ClassFailed, "", 0},
		"connection cut":     {0, ``, "", invites.ClassFailed, "", 0},
		"cut after the head": {200, "", "", invites.ClassFailed, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			header := http.Header{"Location": {"http://elsewhere.example/"}}
			if c.header != "" {
				header.Set("Retry-After", c.header)
			}
			if name == "cut after the head" {
				header.Set("Content-Length", "10")
			}
			s.setHeader(request, c.status, c.body, header)
			err := NewState(s.client(t, time.Minute), StateOptions{}).Act(t.Context(), invites.Effect{
				Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y",
			})
			var act *invites.ActError
			if !errors.As(err, &act) {
				t.Fatalf("got %v", err)
			}
			if act.Class != c.class || act.Code != c.code || act.RetryAfter != c.retry || act.Status != c.status {
				t.Errorf("got class %d, code %q, status %d, retry after %s", act.Class, act.Code, act.Status, act.RetryAfter)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", act), fmt.Sprintf("%#v", act.Err)} {
				if strings.Contains(text, botToken) {
					t.Error("the token is in", text)
				}
			}
			asked := slices.DeleteFunc(s.requests(), func(r string) bool { return strings.Contains(r, "/whoami ") }) // see TestTokenRefused
			if len(asked) != 1 {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// TestWordsOfAnswer: the homeserver's words are one short line, and what terminals and chats obey or hide is spelled out.
func TestWordsOfAnswer(t *testing.T) {
	for body, want := range map[string]string{
		`{"errcode":"M_FORBIDDEN","error":"not  at\nnight"}`:                   "not at night",
		`{"errcode":"M_FORBIDDEN","error":"a\u001b[31m\u202eb"}`:               `a\u001b[31m\u202eb`,
		`{"errcode":"M_FORBIDDEN","error":5}`:                                  "",
		`{"errcode":"M_FORBIDDEN"}`:                                            "",
		`<html>`:                                                               "",
		`{"errcode":"M_FORBIDDEN","error":"` + strings.Repeat("é", 300) + `"}`: strings.Repeat("é", maxWords/2),
	} {
		s := new(stub)
		s.set("POST /v3/rooms/!r/invite", 403, body)
		err := NewState(s.client(t, time.Minute), StateOptions{}).Act(t.Context(), invites.Effect{Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y"})
		if got := invites.Words(err); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// TestRetryAfter reads limits in all forms. An unreadable one is no time, and a large one is bounded.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		header, ms string
		want       time.Duration
	}{
		{"", "", 0}, {"2", "", 2 * time.Second}, {"0.5", "", 500 * time.Millisecond}, {"-5", "", 0}, {"soon", "", 0}, {"NaN", "", 0},
		{"1e999", "", maxRetryAfter}, {"99999999999", "", maxRetryAfter}, {date(90 * time.Second), "", 90 * time.Second}, {date(-time.Hour), "", 0},
		{date(9000 * time.Hour), "", maxRetryAfter}, {"", "1500", 1500 * time.Millisecond}, {"", "1500.7", 1500 * time.Millisecond},
		{"", `"1500"`, 1500 * time.Millisecond}, {"", `"soon"`, 0}, {"", "null", 0}, {"", "[1]", 0}, {"", "-1", 0}, {"", "1e400", maxRetryAfter},
		{"", "9223372036854775808", maxRetryAfter}, {"1", "5000", 5 * time.Second}, {"9", "5000", 9 * time.Second}, {"-9", "5000", 5 * time.Second},
	} {
		body := "{}"
		if tt.ms != "" {
			body = `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":` + tt.ms + `}`
		}
		if got := retryAfter(tt.header, []byte(body), now); got != tt.want {
			t.Errorf("Retry-After %q, retry_after_ms %s: %s, want %s", tt.header, tt.ms, got, tt.want)
		}
	}
	s := new(stub)
	c := s.client(t, time.Minute)
	for body, most := range map[string]time.Duration{"<html>": maxProxysRetry, `{"errcode":"M_LIMIT_EXCEEDED"}`: maxRetryAfter} {
		s.setHeader("GET /v3/joined_rooms", 429, body, http.Header{"Retry-After": {"999999"}})
		_, err := c.JoinedRooms(t.Context())
		if wait, limited := invites.Limited(err); !limited || wait != most {
			t.Errorf("%s: %s, %v", body, wait, limited)
		}
	}
}

func TestDeadlines(t *testing.T) {
	s := &stub{hold: make(chan struct{}), holding: make(chan string, 2)}
	c := s.client(t, 20*time.Millisecond)
	defer close(s.hold)
	_, err := c.Whoami(t.Context())
	var act *invites.ActError
	if !errors.As(err, &act) || act.Class != invites.ClassFailed || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("own deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Whoami(ctx); !errors.Is(err, context.Canceled) || errors.As(err, &act) {
		t.Errorf("the caller's end: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	c, err := NewClient(ClientOptions{Homeserver: "http://127.0.0.1:1", Bot: "@usher:x", Token: botToken, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Whoami(t.Context())
	var act *invites.ActError
	if !errors.As(err, &act) || act.Class != invites.ClassFailed || act.Status != 0 {
		t.Errorf("got %v", err)
	}
}

// TestLog shows that neither tokens nor what people write reach the log.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	s := new(stub)
	c := s.client(t, time.Minute)
	c.log = zerolog.New(&out)
	_, _ = c.Send(t.Context(), "!r", "txn", "m.room.message", map[string]string{"body": "private words"})
	if got := out.String(); strings.Contains(got, botToken) || strings.Contains(got, "private words") || !strings.Contains(got, `"send"`) {
		t.Errorf("logged %s", got)
	}
}

func TestAct(t *testing.T) {
	for name, c := range map[string]struct {
		e    invites.Effect
		want string // the request; empty: none, refused
	}{
		"invite as the bot": {
			invites.Effect{Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y", Reason: "because"},
			`POST /v3/rooms/!r/invite @usher:x {"reason":"because","user_id":"@b:y"}`,
		},
		"the bot's own reason": {
			invites.Effect{Action: room.Kick, Room: "!r", Performer: "@usher:x", Target: "@b:y", Because: room.Say("because.expired")},
			`POST /v3/rooms/!r/kick @usher:x {"reason":"The invitation was not answered in time.","user_id":"@b:y"}`,
		},
		"invite as somebody": {
			invites.Effect{Action: room.Invite, Room: "!r", Performer: "@a:x", Target: "@b:y"}, `POST /v3/rooms/!r/invite @a:x {"user_id":"@b:y"}`,
		},
		"kick":  {invites.Effect{Action: room.Kick, Room: "!r", Performer: "@a:x", Target: "@b:y"}, `POST /v3/rooms/!r/kick @a:x {"user_id":"@b:y"}`},
		"ban":   {invites.Effect{Action: room.Ban, Room: "!r", Performer: "@a:x", Target: "@b:y"}, `POST /v3/rooms/!r/ban @a:x {"user_id":"@b:y"}`},
		"unban": {invites.Effect{Action: room.Unban, Room: "!r", Performer: "@a:x", Target: "@b:y"}, `POST /v3/rooms/!r/unban @a:x {"user_id":"@b:y"}`},
		"join":  {invites.Effect{Action: room.Join, Room: "!r", Performer: "@a:x", Target: "@a:x", Via: []string{"z"}}, `POST /v3/join/!r @a:x {}`},
		"leave": {invites.Effect{Action: room.Leave, Room: "!r", Performer: "@a:x", Target: "@a:x"}, `POST /v3/rooms/!r/leave @a:x {}`},
		"odd room": {
			invites.Effect{Action: room.Kick, Room: "!../a?b#c", Performer: "@a:x", Target: "@b:y"}, `POST /v3/rooms/!../a?b#c/kick @a:x {"user_id":"@b:y"}`,
		},
		"remote performer": {invites.Effect{Action: room.Invite, Room: "!r", Performer: "@a:y", Target: "@b:y"}, ""},
		"no localpart":     {invites.Effect{Action: room.Invite, Room: "!r", Performer: "@:x", Target: "@b:y"}, ""},
		"knock":            {invites.Effect{Action: room.Knock, Room: "!r", Performer: "@a:x", Target: "@a:x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stub)
			if c.want != "" {
				s.set(strings.Join(strings.Fields(c.want)[:2], " "), 200, `{"room_id":"!r"}`)
			}
			err := NewState(s.client(t, time.Minute), StateOptions{}).Act(t.Context(), c.e)
			var act *invites.ActError
			if c.want == "" {
				if !errors.As(err, &act) || act.Class != invites.ClassRefused || len(s.requests()) != 0 {
					t.Errorf("got %v", err)
				}
				return
			}
			if got := s.requests(); err != nil || len(got) != 1 || got[0] != c.want {
				t.Errorf("asked %q, got %v", got, err)
			}
		})
	}
}

func TestCalls(t *testing.T) {
	s := new(stub)
	c := s.client(t, time.Minute)
	ctx := t.Context()
	s.set("GET /v3/account/whoami", 200, `{"user_id":"@usher:x"}`)
	s.set("GET /versions", 200, `{"versions":["r0.6.1","v1.2"]}`)
	s.set("POST /v3/register", 400, `{"errcode":"M_USER_IN_USE","error":"taken"}`)
	s.set("GET /v3/profile/@usher:x", 200, `{"displayname":"Usher","avatar_url":"mxc://x/old"}`)
	s.set("PUT /v3/profile/@usher:x/avatar_url", 200, `{}`)
	s.set("GET /v3/joined_rooms", 200, `{"joined_rooms":["!a","!b"]}`)
	s.set("PUT /v3/rooms/!r/send/m.reaction/t1", 400, `{"errcode":"M_DUPLICATE_ANNOTATION"}`)
	s.set("PUT /v3/rooms/!r/send/m.room.message/t2", 200, `{"event_id":"$e"}`)
	s.set("GET /v3/directory/room/#a:x", 200, `{"room_id":"!a","servers":["x","y"]}`)
	s.set("POST /v1/appservice/usher/ping", 200, `{"duration_ms":3}`)
	s.inRoom()

	check := func(name string, got any, want string, err error) {
		t.Helper()
		if text := fmt.Sprint(got); text != want || err != nil {
			t.Errorf("%s: got %s, %v", name, text, err)
		}
	}
	user, err := c.Whoami(ctx)
	check("whoami", user, "@usher:x", err)
	versions, err := c.Versions(ctx)
	check("versions", versions, "[r0.6.1 v1.2]", err)
	check("register", "", "", c.Register(ctx))
	rooms, err := c.JoinedRooms(ctx)
	check("joined rooms", rooms, "[!a !b]", err)
	event, err := c.Send(ctx, "!r", "t1", "m.reaction", map[string]string{})
	check("duplicate reaction", event, "", err)
	event, err = c.Send(ctx, "!r", "t2", "m.room.message", map[string]string{})
	check("send", event, "$e", err)
	r, via, err := c.Alias(ctx, "#a:x")
	check("alias", fmt.Sprint(r, via), "!a[x y]", err)
	check("ping", "", "", c.Ping(ctx, "usher", "t"))
	at, err := c.Time(ctx)
	check("time", time.Since(at).Abs() < time.Minute, "true", err)
	if err := c.Ping(ctx, "other", "t"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ping: %v", err)
	}

	s.requests()
	check("profile", "", "", c.SetProfile(ctx, "Usher", "mxc://x/new"))
	if got := s.requests(); !slices.Equal(got, []string{
		"GET /v3/profile/@usher:x @usher:x", `PUT /v3/profile/@usher:x/avatar_url @usher:x {"avatar_url":"mxc://x/new"}`,
	}) {
		t.Errorf("asked %q", got)
	}
}

func TestAlone(t *testing.T) {
	for body, want := range map[string]string{
		`{"joined":{"@usher:x":{"display_name":null}}}`:                  "true",
		`{"more":[{}],"joined":{}}`:                                      "true",
		`{"joined":{"@usher:x":{},"@a:x":{}}}`:                           "false",
		`{"joined":{"@a:x":{"avatar_url":"` + strings.Repeat("x", 1<<20): "false",
		`{"joined":{"@usher:x":`:                                         "failed",
		`{"joined":[]}`:                                                  "failed",
		`{}`:                                                             "failed",
		`[]`:                                                             "failed",
	} {
		s := new(stub)
		s.set("GET /v3/rooms/!r/joined_members", 200, body)
		alone, err := s.client(t, time.Minute).Alone(t.Context(), "!r")
		got := fmt.Sprint(alone)
		if err != nil {
			got = "failed"
		}
		if got != want {
			t.Errorf("%.50s: %v, %v", body, alone, err)
		}
	}
}

func TestCanAssert(t *testing.T) {
	c := new(stub).client(t, time.Minute)
	for user, want := range map[id.UserID]bool{
		"@usher:x": true, "@a:x": true, "@a:y": false, "@:x": false, "a:x": false, "@a": false, "": false, "@a:x:8448": false,
	} {
		if c.CanAssert(user) != want {
			t.Errorf("%s: %v", user, !want)
		}
	}
	c.puppet = nil
	if c.CanAssert("@a:x") || !c.CanAssert("@usher:x") {
		t.Error("without a puppet registration only the bot may be asserted")
	}
}
