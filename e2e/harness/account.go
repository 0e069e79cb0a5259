package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// T is what of *testing.T the harness needs; the demo brings its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
	Failed() bool
}

// Patience bounds how long anything that is awaited may take.
const Patience = 60 * time.Second

// Account is a test account with a client logged in. It sees what its /sync shows. Its methods fail the test. It serves one
// goroutine at a time.
type Account struct {
	ID       id.UserID
	Password string
	Client   *mautrix.Client
	Patience time.Duration // bounds each wait for what /sync shows

	t     T
	since string
	seen  []Event            // all events of joined and left rooms so far, in order
	known map[string]bool    // ids of those; a /sync may repeat one
	inbox map[id.RoomID]bool // rooms with an open invitation

	cipher *cipher // nil: an account without encryption
}

// syncFilter keeps /sync to the rooms' events.
const syncFilter = `{"presence":{"types":[]},"account_data":{"types":[]},"room":{"timeline":{"limit":200},"ephemeral":{"types":[]},"account_data":{"types":[]}}}`

// Caller returns a raw caller with the account's token.
func (a *Account) Caller() Caller {
	return Caller{URL: a.Client.HomeserverURL.String(), Token: a.Client.AccessToken}
}

// Do makes a raw request below /_matrix/client as the account and fails unless it answers 200.
func (a *Account) Do(method, path string, body any) Answer {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	answer, err := a.Caller().Do(ctx, method, "/_matrix/client"+path, body)
	if err != nil || answer.Status != http.StatusOK {
		a.t.Fatalf("%s: %s %s: %v %s", a.ID, method, path, err, answer)
	}
	return answer
}

// Try makes a raw request below /_matrix/client as the account and returns what it is answered, whatever that is.
func (a *Account) Try(method, path string, body any) (status int, answer []byte) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	got, err := a.Caller().Do(ctx, method, "/_matrix/client"+path, body)
	if err != nil {
		a.t.Fatalf("%s: %s %s: %v", a.ID, method, path, err)
	}
	return got.Status, got.Body
}

// roomPath is the path of something in a room.
func roomPath(room id.RoomID, parts ...string) string {
	path := "/v3/rooms/" + url.PathEscape(string(room))
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// Invite invites by hand.
func (a *Account) Invite(room id.RoomID, user id.UserID) {
	a.t.Helper()
	a.Do(http.MethodPost, roomPath(room, "invite"), map[string]any{"user_id": user})
}

// Ban bans by hand.
func (a *Account) Ban(room id.RoomID, user id.UserID) {
	a.t.Helper()
	a.Do(http.MethodPost, roomPath(room, "ban"), map[string]any{"user_id": user})
}

// Join joins a room, with the help of servers that know it.
func (a *Account) Join(room id.RoomID, via ...string) {
	a.t.Helper()
	query := url.Values{"via": via, "server_name": via}
	a.Do(http.MethodPost, "/v3/join/"+url.PathEscape(string(room))+"?"+query.Encode(), map[string]any{})
}

// SetState sends a state event.
func (a *Account) SetState(room id.RoomID, kind, key string, content any) {
	a.t.Helper()
	a.Do(http.MethodPut, roomPath(room, "state", kind, key), content)
}

// State returns a state event, or a zero Event when the room has none.
func (a *Account) State(room id.RoomID, kind, key string) (e Event) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	answer, err := a.Caller().Do(ctx, http.MethodGet, "/_matrix/client"+roomPath(room, "state", kind, key)+"?format=event", nil)
	if err == nil && answer.Status == http.StatusOK {
		err = json.Unmarshal(answer.Body, &e)
	}
	if err != nil || (answer.Status != http.StatusOK && answer.Status != http.StatusNotFound) {
		a.t.Fatalf("%s: state %s %q of %s: %v %s", a.ID, kind, key, room, err, answer)
	}
	return e
}

// Membership returns a user's membership ("leave" without a member event) and who sent it.
func (a *Account) Membership(room id.RoomID, user id.UserID) (membership string, sender id.UserID) {
	a.t.Helper()
	e := a.State(room, "m.room.member", string(user))
	if e.ID == "" {
		return "leave", ""
	}
	return e.Field("membership"), id.UserID(e.Sender)
}

// Say sends a text message and returns its event id.
func (a *Account) Say(room id.RoomID, text string) id.EventID {
	a.t.Helper()
	return a.Send(room, &event.MessageEventContent{MsgType: event.MsgText, Body: text})
}

// SayPlain sends a text unencrypted, also to an encrypted room.
func (a *Account) SayPlain(room id.RoomID, text string) id.EventID {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	sent, err := a.Client.SendMessageEvent(ctx, room, event.EventMessage, &event.MessageEventContent{MsgType: event.MsgText, Body: text})
	if err != nil {
		a.t.Fatalf("%s: sending to %s: %v", a.ID, room, err)
	}
	return sent.EventID
}

// SayHTML sends a message with HTML.
func (a *Account) SayHTML(room id.RoomID, text, html string) id.EventID {
	a.t.Helper()
	return a.Send(room, &event.MessageEventContent{MsgType: event.MsgText, Body: text, Format: event.FormatHTML, FormattedBody: html})
}

// Send sends a message event.
func (a *Account) Send(room id.RoomID, content any) id.EventID {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	kind := event.EventMessage
	if a.cipher != nil && a.cipher.encrypted(ctx, room) {
		var err error
		if content, err = a.cipher.seal(ctx, room, kind, content); err != nil {
			a.t.Fatalf("%s: encrypting for %s: %v", a.ID, room, err)
		}
		kind = event.EventEncrypted
	}
	sent, err := a.Client.SendMessageEvent(ctx, room, kind, content)
	if err != nil {
		a.t.Fatalf("%s: sending to %s: %v", a.ID, room, err)
	}
	return sent.EventID
}

// Await waits until /sync shows an event that matches, those seen before included.
func (a *Account) Await(what string, match func(Event) bool) Event {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), a.Patience)
	defer cancel()
	for {
		for _, e := range a.seen { // all of them: a key that has come may have opened one
			if match(e) {
				return e
			}
		}
		if err := a.sync(ctx); err != nil {
			a.t.Fatalf("%s waited for %s: %v; saw last:\n%s", a.ID, what, err, a.recent(8))
		}
	}
}

// AwaitInvite waits until /sync shows an invitation to a room.
func (a *Account) AwaitInvite(room id.RoomID) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), a.Patience)
	defer cancel()
	for !a.inbox[room] {
		if err := a.sync(ctx); err != nil {
			a.t.Fatalf("%s waited for an invitation to %s: %v", a.ID, room, err)
		}
	}
}

// AwaitAnyInvite waits until /sync shows an invitation, and returns its room.
func (a *Account) AwaitAnyInvite() id.RoomID {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), a.Patience)
	defer cancel()
	for {
		for room := range a.inbox {
			return room
		}
		if err := a.sync(ctx); err != nil {
			a.t.Fatalf("%s waited for any invitation: %v", a.ID, err)
		}
	}
}

// AwaitMember waits until the room's timeline shows a user's membership.
func (a *Account) AwaitMember(room id.RoomID, user id.UserID, membership string) Event {
	a.t.Helper()
	return a.Await(fmt.Sprintf("%s of %s in %s", membership, user, room), func(e Event) bool {
		return e.Room == string(room) && e.Type == "m.room.member" && e.Is(string(user)) && e.Field("membership") == membership
	})
}

// AwaitReaction waits for a reaction on an event by the sender.
func (a *Account) AwaitReaction(on id.EventID, sender id.UserID, key string) Event {
	a.t.Helper()
	return a.Await("reaction "+key+" on "+string(on), func(e Event) bool {
		r := e.Relation()
		return e.Type == "m.reaction" && e.Sender == string(sender) && r.On == string(on) && r.Key == key
	})
}

// AwaitReply waits for a notice by the sender that replies to an event.
func (a *Account) AwaitReply(to id.EventID, sender id.UserID) Event {
	a.t.Helper()
	return a.Await("a notice in reply to "+string(to), func(e Event) bool {
		return e.Type == "m.room.message" && e.Sender == string(sender) && e.Relation().ReplyTo == string(to)
	})
}

// Seen returns the events that match among those that /sync has shown so far.
func (a *Account) Seen(match func(Event) bool) []Event {
	var found []Event
	for _, e := range a.seen {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// sync long-polls once.
func (a *Account) sync(ctx context.Context) error {
	query := url.Values{"filter": {syncFilter}, "timeout": {"5000"}}
	if a.since == "" {
		query.Set("timeout", "0")
	} else {
		query.Set("since", a.since)
	}
	answer, err := a.Caller().Do(ctx, http.MethodGet, "/_matrix/client/v3/sync?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("sync: %s", answer)
	}
	if a.cipher != nil {
		if err := a.cipher.take(ctx, answer.Body); err != nil {
			return err
		}
	}
	return a.take(ctx, answer.Body)
}

// take adds what a /sync shows.
func (a *Account) take(ctx context.Context, body []byte) error {
	type events struct {
		Events []Event `json:"events"`
	}
	type room struct {
		State    events `json:"state"`
		Timeline events `json:"timeline"`
	}
	var sync struct {
		Next  string `json:"next_batch"`
		Rooms struct {
			Join   map[id.RoomID]room            `json:"join"`
			Leave  map[id.RoomID]room            `json:"leave"`
			Invite map[id.RoomID]json.RawMessage `json:"invite"`
		} `json:"rooms"`
	}
	if err := json.Unmarshal(body, &sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	a.since = sync.Next
	if a.cipher != nil {
		for i := range a.seen { // a key may come after what it opens
			a.cipher.open(ctx, &a.seen[i])
		}
	}
	for in := range sync.Rooms.Invite {
		a.inbox[in] = true
	}
	for _, rooms := range []map[id.RoomID]room{sync.Rooms.Join, sync.Rooms.Leave} {
		for in, r := range rooms {
			delete(a.inbox, in)
			for _, e := range append(r.State.Events, r.Timeline.Events...) {
				if !a.known[e.ID] {
					e.Room, e.Wire = string(in), e.Type
					if a.cipher != nil {
						a.cipher.open(ctx, &e)
					}
					a.seen, a.known[e.ID] = append(a.seen, e), true
				}
			}
		}
	}
	return nil
}

// recent lists the last events seen, for messages of tests.
func (a *Account) recent(n int) string {
	var out strings.Builder
	for _, e := range a.seen[max(0, len(a.seen)-n):] {
		fmt.Fprintf(&out, "  %s %s by %s: %.300s\n", e.Room, e.Type, e.Sender, e.Content)
	}
	return out.String()
}

// Grant gives users power levels in a room, and leaves the other levels as they are.
func (a *Account) Grant(room id.RoomID, level int, users ...id.UserID) {
	a.t.Helper()
	var content map[string]any
	if err := json.Unmarshal(a.State(room, "m.room.power_levels", "").Content, &content); err != nil {
		a.t.Fatalf("%s: power levels of %s: %v", a.ID, room, err)
	}
	all, _ := content["users"].(map[string]any)
	if all == nil {
		all = map[string]any{}
	}
	for _, u := range users {
		all[string(u)] = level
	}
	content["users"] = all
	a.SetState(room, "m.room.power_levels", "", content)
}

// Test returns the test that the account serves.
func (a *Account) Test() T { return a.t }

// React reacts to an event and returns the reaction's id.
func (a *Account) React(room id.RoomID, on id.EventID, key string) id.EventID {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	sent, err := a.Client.SendReaction(ctx, room, on, key)
	if err != nil {
		a.t.Fatalf("%s: reacting in %s: %v", a.ID, room, err)
	}
	return sent.EventID
}

// Redact takes an event back.
func (a *Account) Redact(room id.RoomID, event id.EventID) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	if _, err := a.Client.RedactEvent(ctx, room, event); err != nil {
		a.t.Fatalf("%s: redacting in %s: %v", a.ID, room, err)
	}
}
