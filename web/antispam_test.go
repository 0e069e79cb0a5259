package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/exactjson"
	"usher/invites/native"
	"usher/room"
)

// judge is a stand-in that remembers the last question.
type judge struct {
	asked  native.Question
	answer native.Answer
	err    error
	wait   bool
}

func (j *judge) Answer(ctx context.Context, q native.Question) (native.Answer, error) {
	if j.asked = q; j.wait {
		time.Sleep(time.Hour)
	}
	if q.Room == "!bug:x" {
		panic("a bug")
	}
	return j.answer, j.err
}

// results counts callbacks by their result.
type results []string

func (r *results) Callback(name, result, code string, _ time.Duration) {
	*r = append(*r, name+" "+result+" "+code)
}

func endpoint(j Judge) (*Site, *results) {
	var counted results
	fails := map[string]bool{"federated_user_may_invite": true}
	return New(Options{Log: zerolog.Nop(), Antispam: &Antispam{
		Token: "secret", Timeout: 50 * time.Millisecond, FailsOpen: func(callback string) bool { return fails[callback] }, Judge: j, Counters: &counted, Log: zerolog.Nop(),
	}}), &counted
}

func call(h http.Handler, path, token, body string) (int, map[string]any) {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got map[string]any
	if json.Unmarshal(w.Body.Bytes(), &got) != nil {
		got = nil // no JSON: the module could not read it
	}
	return w.Code, got
}

// TestCallbacks: each path shape has each callback, and its fields reach the judge.
func TestCallbacks(t *testing.T) {
	for callback, tt := range map[string]struct {
		body string
		want native.Question
	}{
		"user_may_invite":           {`{"inviter":"@a:x","invitee":"@b:y","room_id":"!r:x"}`, native.Question{Sender: "@a:x", Target: "@b:y", Room: "!r:x"}},
		"user_may_send_3pid_invite": {`{"inviter":"@a:x","medium":"email","address":"b@y","room_id":"!r:x"}`, native.Question{Sender: "@a:x", Room: "!r:x", Medium: "email", Address: "b@y"}},
		"user_may_join_room":        {`{"user":"@a:x","room":"!r:x","is_invited":true}`, native.Question{Sender: "@a:x", Room: "!r:x", Invited: true}},
		"accept_make_join":          {`{"user":"@a:x","room":"!r:x"}`, native.Question{Sender: "@a:x", Room: "!r:x"}},
		"federated_user_may_invite": {`{"event":{"sender":"@a:x","state_key":"@b:y","room_id":"!r:x"}}`, native.Question{Sender: "@a:x", Target: "@b:y", Room: "!r:x"}},
	} {
		for _, prefix := range []string{"/_usher/antispam/", "/_meowlnir/antispam/auto/", "/_meowlnir/antispam/!m:x/", "/api/1/spam_check/"} {
			j := &judge{answer: native.Answer{Verdict: room.Allow}}
			site, counted := endpoint(j)
			status, got := call(site, prefix+callback, "secret", tt.body)
			if status != 200 || got == nil || len(got) != 0 {
				t.Errorf("%s%s is answered %d %v", prefix, callback, status, got)
			}
			j.asked.Event = nil
			if tt.want.Callback = native.Callback(callback); j.asked.Callback != tt.want.Callback || j.asked.Sender != tt.want.Sender || j.asked.Target != tt.want.Target ||
				j.asked.Room != tt.want.Room || j.asked.Medium != tt.want.Medium || j.asked.Address != tt.want.Address || j.asked.Invited != tt.want.Invited {
				t.Errorf("%s asks %+v", callback, j.asked)
			}
			if len(*counted) != 1 || (*counted)[0] != callback+" allow " {
				t.Errorf("counted %v", *counted)
			}
		}
	}
}

// TestCallbackAnswers: statuses and bodies for each outcome. Every body is JSON: the homeserver's module takes anything else for an outage.
func TestCallbackAnswers(t *testing.T) {
	const invite, remote = "/_usher/antispam/user_may_invite", "/_usher/antispam/federated_user_may_invite"
	const body = `{"inviter":"@a:x","invitee":"@b:y","room_id":"!r:x"}`
	refusal := native.Answer{Code: "policy.ask.level", Reason: room.Say("native.undecided")}
	for _, tt := range []struct {
		name, path, token, body string
		judge                   judge
		status                  int
		errcode, code           string
	}{
		{"allowed", invite, "secret", body, judge{answer: native.Answer{Verdict: room.Allow}}, 200, "", ""},
		{"refused", invite, "secret", body, judge{answer: refusal}, 403, "M_FORBIDDEN", "policy.ask.level"},
		{"no token", invite, "", body, judge{}, 401, "M_MISSING_TOKEN", ""},
		{"wrong token", invite, "secre", body, judge{}, 403, "M_FORBIDDEN", ""},
		{"no JSON", invite, "secret", "hello", judge{}, 400, "M_NOT_JSON", ""},
		{"unknown, closed", invite, "secret", body, judge{answer: native.Answer{Verdict: room.Unknown}}, 403, "M_FORBIDDEN", native.CodeUndecided},
		{"unknown, open", remote, "secret", `{}`, judge{answer: native.Answer{Verdict: room.Unknown}}, 200, "", ""},
		{"error", invite, "secret", body, judge{err: errors.New("down")}, 403, "M_FORBIDDEN", native.CodeUndecided},
		{"too slow", invite, "secret", body, judge{wait: true}, 403, "M_FORBIDDEN", native.CodeUndecided},
		{"bug", invite, "secret", `{"inviter":"@a:x","room_id":"!bug:x"}`, judge{}, 403, "M_FORBIDDEN", native.CodeUndecided},
		{"callback of no interest", "/_usher/antispam/check_event_for_spam", "secret", body, judge{}, 200, "", ""},
	} {
		site, _ := endpoint(&tt.judge)
		status, got := call(site, tt.path, tt.token, tt.body)
		errcode, _ := got["errcode"].(string)
		code, _ := got["chat.usher.code"].(string)
		if got == nil || status != tt.status || errcode != tt.errcode || code != tt.code {
			t.Errorf("%s: %d %v", tt.name, status, got)
		}
		if sentence, _ := got["error"].(string); (tt.code != "") != (sentence != "") {
			t.Errorf("%s: the sentence is %q", tt.name, sentence)
		}
	}
	site, _ := endpoint(&judge{})
	if status, got := call(site, "/_usher/antispam/ping", "secret", `{"id":"abc"}`); status != 200 || got["id"] != "abc" || got["status"] != "ok" {
		t.Error("ping is answered", status, got)
	}
	r := httptest.NewRequest("GET", "/_usher/antispam/seen", nil)
	w := httptest.NewRecorder()
	if site.ServeHTTP(w, r); w.Code != 401 {
		t.Error("anybody may see the times of callbacks:", w.Code)
	}
	r.Header.Set("Authorization", "Bearer secret")
	w = httptest.NewRecorder()
	if site.ServeHTTP(w, r); w.Code != 200 || !strings.Contains(w.Body.String(), `"ping":"2`) {
		t.Error(w.Code, w.Body)
	}
	if status, _ := call(New(Options{Log: zerolog.Nop()}), invite, "secret", body); status != 404 {
		t.Error("an endpoint that is off answers", status)
	}
}

// TestRelayedCallbacks: a callback that no active process takes is answered as configured.
func TestRelayedCallbacks(t *testing.T) {
	relay := NewRelay(transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("nobody is active") }), "secret",
		&Antispam{Token: "secret", Timeout: time.Second, FailsOpen: func(callback string) bool { return callback == "user_may_join_room" }}, zerolog.Nop())
	for _, tt := range []struct {
		path, token string
		status      int
	}{
		{"/_usher/antispam/user_may_join_room", "secret", 200}, {"/_usher/antispam/user_may_invite", "secret", 403},
		{"/_usher/antispam/user_may_join_room", "guess", 403}, {"/page", "", 503},
	} {
		if status, _ := call(relay, tt.path, tt.token, `{}`); status != tt.status {
			t.Errorf("%s is answered %d", tt.path, status)
		}
	}
}

// TestNext: another service is asked too, and either may refuse.
func TestNext(t *testing.T) {
	const invite = "/_usher/antispam/user_may_invite"
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer theirs" {
			w.WriteHeader(401)
			_, _ = w.Write([]byte(`{}`))
			return
		}
		body, _ := io.ReadAll(r.Body)
		switch user := exactjson.Text(body, "inviter"); {
		case r.URL.Path == "/base/check_event_for_spam", user == "@spam:x":
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"errcode":"M_FORBIDDEN","error":"theirs"}`))
		case user == "@broken:x":
			_, _ = w.Write([]byte("<html>"))
		case user == "@away:x":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case user == "@trouble:x":
			w.WriteHeader(502)
			_, _ = w.Write([]byte(`{}`))
		default:
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	defer next.Close()
	j := &judge{}
	site := New(Options{Log: zerolog.Nop(), Antispam: &Antispam{Token: "secret", Timeout: time.Second, FailsOpen: func(string) bool { return false }, Judge: j,
		Next: &Next{URL: next.URL + "/base", Token: "theirs", Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, Counters: new(results), Log: zerolog.Nop()}})
	ours := native.Answer{Code: "ours", Reason: room.Say("native.undecided")}
	for _, tt := range []struct {
		path, user string
		answer     native.Answer
		status     int
		code, said string
	}{
		{invite, "@ann:x", native.Answer{Verdict: room.Allow}, 200, "", ""},
		{invite, "@spam:x", native.Answer{Verdict: room.Allow}, 403, "", "theirs"},
		{invite, "@spam:x", native.Answer{Verdict: room.Unknown}, 403, "", "theirs"},
		{invite, "@spam:x", ours, 403, "ours", ""},
		{invite, "@broken:x", native.Answer{Verdict: room.Allow}, 403, native.CodeUndecided, ""},
		{invite, "@trouble:x", native.Answer{Verdict: room.Allow}, 403, native.CodeUndecided, ""},
		{"/api/1/spam_check/check_event_for_spam", "@ann:x", ours, 403, "", "theirs"},
	} {
		j.answer = tt.answer
		status, got := call(site, tt.path, "secret", `{"inviter":"`+tt.user+`","invitee":"@b:y","room_id":"!r:x"}`)
		code, _ := got["chat.usher.code"].(string)
		said, _ := got["error"].(string)
		if status != tt.status || code != tt.code || tt.said != "" && said != tt.said {
			t.Errorf("%s by %s: %d %v", tt.path, tt.user, status, got)
		}
	}
}
