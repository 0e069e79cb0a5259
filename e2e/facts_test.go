package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestHomeserverFacts holds what Usher takes for granted about the homeservers, so that an upgrade of one that changes it is
// seen here first. Where the two differ, the table says so.
func TestHomeserverFacts(t *testing.T) {
	f := newFacts(t)
	t.Run("registration and tokens", f.tokens)
	t.Run("invite as somebody", f.assertion)
	t.Run("state", f.state)
	t.Run("refusals", f.refusals)
	t.Run("transaction ids of requests", f.transactionIDs)
	t.Run("pushes", f.pushes)
	t.Run("endpoints", f.endpoints)
}

// facts is a homeserver without Usher, an owner's room with the bot in it, and callers for both registrations.
type facts struct {
	*harness.World
	owner, guest *harness.Account
	room         string // path of the room
	roomID       string
	botID        string
}

func newFacts(t *testing.T) *facts {
	f := &facts{World: harness.New(t, harness.Options{Alone: true}), botID: "@usher:usher.test"}
	if err := f.Door.To(harness.Accept); err != nil {
		t.Fatal(err)
	}
	f.owner, f.guest = f.Account("owner"), f.Account("guest")
	return f
}

// bot is a caller with the bot's token, asserting user (empty: the registration's sender).
func (f *facts) bot(user string) harness.Caller {
	return harness.Caller{URL: f.Server.URL, Token: f.Bot.ASToken, UserID: user}
}

// puppet is a caller with the puppet registration's token.
func (f *facts) puppet(user string) harness.Caller {
	return harness.Caller{URL: f.Server.URL, Token: f.Puppet.ASToken, UserID: user}
}

// want is what the homeservers answer.
type want struct {
	status int
	code   string
}

// check makes a request and compares the answer with what the homeserver at hand is known for.
func (f *facts) check(t *testing.T, what string, c harness.Caller, method, path string, body any, dendrite, synapse want) harness.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	answer, err := c.Do(ctx, method, "/_matrix/client"+path, body)
	expected := dendrite
	if f.Server.Kind == homeserver.Synapse {
		expected = synapse
	}
	if err != nil || answer.Status != expected.status || answer.Get("errcode") != expected.code {
		t.Errorf("%s: got %s (%v), known: %d %s", what, answer, err, expected.status, expected.code)
	}
	return answer
}

// same checks a request that both homeservers answer alike.
func (f *facts) same(t *testing.T, what string, c harness.Caller, method, path string, body any, w want) harness.Answer {
	t.Helper()
	return f.check(t, what, c, method, path, body, w, w)
}

type m = map[string]any

var (
	fine       = want{http.StatusOK, ""}
	forbidden  = want{http.StatusForbidden, "M_FORBIDDEN"}
	badToken   = want{http.StatusUnauthorized, "M_UNKNOWN_TOKEN"}
	noEndpoint = want{http.StatusNotFound, "M_UNRECOGNIZED"}
	notFound   = want{http.StatusNotFound, "M_NOT_FOUND"}
)

const whoami = "/v3/account/whoami"

func (f *facts) tokens(t *testing.T) {
	register := m{"type": "m.login.application_service", "username": "usher", "inhibit_login": true}
	f.same(t, "bot before it is registered", f.bot(f.botID), "GET", whoami, nil, forbidden)
	f.same(t, "register the bot", f.bot(""), "POST", "/v3/register", register, fine)
	f.same(t, "register it again", f.bot(""), "POST", "/v3/register", register, want{400, "M_USER_IN_USE"})
	f.same(t, "bot", f.bot(f.botID), "GET", whoami, nil, fine)
	f.same(t, "bot token for a user outside", f.bot(string(f.owner.ID)), "GET", whoami, nil, forbidden)
	f.same(t, "puppet token for a local user", f.puppet(string(f.owner.ID)), "GET", whoami, nil, fine)
	f.same(t, "puppet token for nobody", f.puppet("@nobody:usher.test"), "GET", whoami, nil, forbidden)
	f.check(t, "puppet token for a remote user", f.puppet("@a:other.test"), "GET", whoami, nil, badToken, forbidden)
	f.same(t, "wrong token", harness.Caller{URL: f.Server.URL, Token: "wrong"}, "GET", whoami, nil, badToken)
	f.check(t, "register the sender", f.bot(""), "POST", "/v3/register",
		m{"type": "m.login.application_service", "username": f.Bot.Sender, "inhibit_login": true},
		want{400, "M_USER_IN_USE"}, fine)
}

func (f *facts) assertion(t *testing.T) {
	f.roomID = string(f.owner.CreateRoom(harness.RoomOptions{Version: "11"}))
	f.room = "/v3/rooms/" + url.PathEscape(f.roomID)
	owner := f.puppet(string(f.owner.ID))
	f.same(t, "the bot is invited", owner, "POST", f.room+"/invite", m{"user_id": f.botID}, fine)
	f.same(t, "the bot joins", f.bot(f.botID), "POST", "/v3/join/"+url.PathEscape(f.roomID), m{}, fine)
	f.same(t, "invite as the owner", owner, "POST", f.room+"/invite", m{"user_id": f.guest.ID, "reason": "tea"}, fine)
	e := f.owner.State(id.RoomID(f.roomID), "m.room.member", string(f.guest.ID))
	if e.Sender != string(f.owner.ID) || e.Field("membership") != "invite" || e.Field("reason") != "tea" {
		t.Errorf("the invitation is not the owner's: %+v", e)
	}
	f.same(t, "join as the guest", f.puppet(string(f.guest.ID)), "POST", "/v3/join/"+url.PathEscape(f.roomID), m{}, fine)
}

func (f *facts) state(t *testing.T) {
	path := f.room + "/state/m.room.power_levels?format=event"
	answer := f.same(t, "a state event", f.bot(f.botID), "GET", path, nil, fine)
	for _, field := range []string{"event_id", "sender", "content", "room_id", "type"} {
		if answer.Get(field) == "" {
			t.Errorf("?format=event lacks %s: %s", field, answer)
		}
	}
	f.same(t, "state that is not there", f.bot(f.botID), "GET", f.room+"/state/m.room.member/@x:usher.test?format=event", nil, notFound)
	f.same(t, "state for a stranger", f.Account("stranger").Caller(), "GET", path, nil, forbidden)
	f.same(t, "state of an unknown room", f.bot(f.botID), "GET", "/v3/rooms/!none:usher.test/state/m.room.create", nil, forbidden)
}

func (f *facts) refusals(t *testing.T) {
	owner, invite := f.puppet(string(f.owner.ID)), f.room+"/invite"
	banned, stranger := f.Account("banned"), f.Account("stranger")
	f.owner.Ban(id.RoomID(f.roomID), banned.ID)
	f.same(t, "invite of somebody joined", owner, "POST", invite, m{"user_id": f.guest.ID}, forbidden)
	f.check(t, "invite of somebody banned", owner, "POST", invite, m{"user_id": banned.ID}, forbidden, want{403, "M_BAD_STATE"})
	f.same(t, "invite by somebody outside", f.puppet(string(stranger.ID)), "POST", invite, m{"user_id": "@y:usher.test"}, forbidden)
	f.same(t, "first invite", owner, "POST", invite, m{"user_id": stranger.ID}, fine)
	f.same(t, "second invite", f.bot(f.botID), "POST", invite, m{"user_id": stranger.ID}, fine)
	if _, sender := f.owner.Membership(id.RoomID(f.roomID), stranger.ID); string(sender) != f.botID {
		t.Errorf("a second invitation no longer replaces the first: sender %s", sender)
	}
	f.owner.SetState(id.RoomID(f.roomID), "m.room.power_levels", "", m{"users": m{string(f.owner.ID): 100}, "invite": 50})
	f.same(t, "invite without the power", f.puppet(string(f.guest.ID)), "POST", invite, m{"user_id": "@y:usher.test"}, forbidden)
	f.check(t, "kick of somebody absent", owner, "POST", f.room+"/kick", m{"user_id": "@y:usher.test"},
		want{403, "M_UNKNOWN"}, forbidden)
}

func (f *facts) transactionIDs(t *testing.T) {
	send := func(user string, body string) string {
		return f.same(t, body, f.puppet(user), "PUT", f.room+"/send/m.room.message/one", m{"msgtype": "m.notice", "body": body}, fine).Get("event_id")
	}
	first := send(string(f.owner.ID), "first")
	if again := send(string(f.owner.ID), "again"); again != first {
		t.Errorf("a transaction id no longer deduplicates: %s, %s", first, again)
	}
	if other := send(string(f.guest.ID), "another user"); other != first {
		t.Errorf("transaction ids are now apart for each asserted user: %s, %s", first, other)
	}
}

func (f *facts) pushes(t *testing.T) {
	is := func(kind, key string) func(harness.Event) bool {
		return func(e harness.Event) bool { return e.Room == f.roomID && e.Type == kind && e.Is(key) }
	}
	f.pushed(t, "the invitation of the bot", is("m.room.member", f.botID), true)
	redacted := f.owner.Say(id.RoomID(f.roomID), "!invite @somebody:usher.test")
	f.owner.Do("PUT", f.room+"/redact/"+url.PathEscape(string(redacted))+"/r1", m{})
	f.owner.SetState(id.RoomID(f.roomID), "m.room.tombstone", "", m{"body": "moved", "replacement_room": "!next:usher.test"})
	f.pushed(t, "a tombstone", is("m.room.tombstone", ""), true)
	f.pushed(t, "a redaction", func(e harness.Event) bool { return e.Type == "m.room.redaction" }, f.Server.Kind == homeserver.Synapse)
	answer := f.same(t, "a redacted event", f.bot(f.botID), "GET", f.room+"/event/"+url.PathEscape(string(redacted)), nil, fine)
	if !strings.Contains(answer.Get("unsigned"), "redacted_because") {
		t.Errorf("a redacted event does not show it: %s", answer)
	}
}

// pushed checks whether an event comes in a transaction. That none comes is known only from one that came after it: call it for those last.
func (f *facts) pushed(t *testing.T, what string, match func(harness.Event) bool, known bool) {
	t.Helper()
	patience := harness.Patience
	if !known {
		patience = 100 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := f.Door.AwaitEvent(ctx, match); (err == nil) != known {
		t.Errorf("%s: pushed %v, known: %v", what, err == nil, known)
	}
}

func (f *facts) endpoints(t *testing.T) {
	f.check(t, "ping", f.bot(""), "POST", "/v1/appservice/usher/ping", m{"transaction_id": "x"}, noEndpoint, fine)
	f.check(t, "room summary", f.bot(f.botID), "GET", "/v1/room_summary/"+url.PathEscape(f.roomID), nil, noEndpoint, fine)
	f.check(t, "knock", f.puppet(string(f.guest.ID)), "POST", "/v3/knock/"+url.PathEscape(f.roomID), m{}, noEndpoint, forbidden)
	f.same(t, "login as the bot", f.bot(""), "POST", "/v3/login", m{"type": "m.login.application_service",
		"identifier": m{"type": "m.id.user", "user": "usher"}}, fine)
	f.check(t, "make a device", f.bot(f.botID), "PUT", "/v3/devices/NEW", m{}, want{404, "M_FORBIDDEN"}, want{201, ""})
}
