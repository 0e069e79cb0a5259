package homeserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/words"
)

// Whoami returns the user that the homeserver takes the bot's requests for.
func (c *Client) Whoami(ctx context.Context) (id.UserID, error) {
	body, err := c.do(ctx, request{name: "whoami", method: http.MethodGet, path: path("v3", "account", "whoami")})
	return id.UserID(gjson.GetBytes(body, "user_id").String()), err
}

// Versions returns the versions of the specification that the homeserver has, such as "v1.16".
func (c *Client) Versions(ctx context.Context) ([]string, error) {
	body, err := c.do(ctx, request{name: "versions", open: true, method: http.MethodGet, path: path("versions")})
	var versions []string
	for _, v := range gjson.GetBytes(body, "versions").Array() {
		versions = append(versions, v.String())
	}
	return versions, err
}

// Time returns the time of the homeserver's clock, to the second. ErrUnsupported if the homeserver sends no Date header.
func (c *Client) Time(ctx context.Context) (time.Time, error) {
	var date string
	_, err := c.do(ctx, request{
		name: "versions", open: true, method: http.MethodGet, path: path("versions"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			date = resp.Header.Get("Date")
			return nil, nil
		},
	})
	if err != nil {
		return time.Time{}, err
	}
	at, err := http.ParseTime(date)
	if err != nil {
		return time.Time{}, ErrUnsupported
	}
	return at, nil
}

// Register makes the bot's user (https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions).
// That it exists already is fine.
func (c *Client) Register(ctx context.Context) error {
	_, err := c.do(ctx, request{
		name: "register", method: http.MethodPost, path: path("v3", "register"),
		body: map[string]any{"type": "m.login.application_service", "username": c.user.Localpart(), "inhibit_login": true},
	})
	if invites.Errcode(err) == mautrix.MUserInUse.ErrCode {
		return nil
	}
	return err
}

// SetProfile sets the bot's display name and avatar, an mxc: URI, where they differ: each change is an event in every
// room. An empty one is left as it is.
func (c *Client) SetProfile(ctx context.Context, name, avatar string) error {
	body, err := c.do(ctx, request{name: "profile", method: http.MethodGet, path: path("v3", "profile", c.user)})
	if err != nil && invites.Errcode(err) != mautrix.MNotFound.ErrCode {
		return err
	}
	for key, want := range map[string]string{"displayname": name, "avatar_url": avatar} {
		if want == "" || gjson.GetBytes(body, key).String() == want {
			continue
		}
		_, err := c.do(ctx, request{
			name: "set_profile", method: http.MethodPut, path: path("v3", "profile", c.user, key), body: map[string]string{key: want},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// JoinedRooms returns the rooms that the bot is in.
func (c *Client) JoinedRooms(ctx context.Context) ([]id.RoomID, error) {
	body, err := c.do(ctx, request{name: "joined_rooms", method: http.MethodGet, path: path("v3", "joined_rooms")})
	found := gjson.GetBytes(body, "joined_rooms").Array()
	rooms := make([]id.RoomID, 0, len(found))
	for _, r := range found {
		rooms = append(rooms, id.RoomID(r.String()))
	}
	return rooms, err
}

// join joins a room, by id or alias, and returns its id.
func (c *Client) join(ctx context.Context, roomOrAlias string, via []string, as id.UserID, reason string) (id.RoomID, error) {
	body, err := c.do(ctx, request{
		name: "join", as: as, method: http.MethodPost, path: path("v3", "join", roomOrAlias),
		query: url.Values{"via": via, "server_name": via}, // the newer name and the older
		body:  withReason(reason, ""),
	})
	return id.RoomID(gjson.GetBytes(body, "room_id").String()), err
}

// change makes one membership change other than a join.
func (c *Client) change(ctx context.Context, e invites.Effect) error {
	target := e.Target
	switch e.Action {
	case room.Invite, room.Kick, room.Ban, room.Unban:
	case room.Leave:
		target = "" // it is the performer
	default:
		return &invites.ActError{Class: invites.ClassRefused, Err: errors.New("no membership change: " + string(e.Action))}
	}
	_, err := c.do(ctx, request{
		name: string(e.Action), as: e.Performer, method: http.MethodPost, path: path("v3", "rooms", e.Room, string(e.Action)),
		body: withReason(cmp.Or(e.Reason, words.For("").Text(e.Because)), target),
	})
	return err
}

// Send sends an event as the bot. txn makes it idempotent: the same one again returns the event already sent
// (https://spec.matrix.org/latest/client-server-api/#transaction-identifiers). A reaction that is there already counts as
// sent, with an empty event id.
func (c *Client) Send(ctx context.Context, r id.RoomID, txn, eventType string, content any) (id.EventID, error) {
	body, err := c.do(ctx, request{
		name: "send", method: http.MethodPut, path: path("v3", "rooms", r, "send", eventType, txn), body: content,
	})
	if invites.Errcode(err) == "M_DUPLICATE_ANNOTATION" {
		return "", nil
	}
	return id.EventID(gjson.GetBytes(body, "event_id").String()), err
}

// Event returns one event as a user sees it (empty: the bot).
func (c *Client) Event(ctx context.Context, r id.RoomID, event id.EventID, as id.UserID) (json.RawMessage, error) {
	return c.do(ctx, request{name: "event", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "event", event)})
}

// StateEvent returns one event of a room's current state as a user sees it (empty: the bot); for somebody who has left,
// of the state as they left it. M_NOT_FOUND says that there is none.
// It asks for whole events (specification 1.16; the homeservers had it long before): the content alone could be made to
// look like one.
func (c *Client) StateEvent(ctx context.Context, r id.RoomID, k room.Key, as id.UserID) (json.RawMessage, error) {
	return c.do(ctx, request{
		name: "state", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "state", k.Type, k.StateKey),
		query: url.Values{"format": {"event"}},
	})
}

// Alias looks an alias up. It returns the room and servers that know it.
func (c *Client) Alias(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	body, err := c.do(ctx, request{name: "alias", method: http.MethodGet, path: path("v3", "directory", "room", alias)})
	var servers []string
	for _, s := range gjson.GetBytes(body, "servers").Array() {
		servers = append(servers, s.String())
	}
	return id.RoomID(gjson.GetBytes(body, "room_id").String()), servers, err
}

// Ping has the homeserver call the application service of the given registration id
// (https://spec.matrix.org/latest/application-service-api/#pinging). ErrUnsupported where it can't.
func (c *Client) Ping(ctx context.Context, appservice, txn string) error {
	_, err := c.do(ctx, request{
		name: "ping", method: http.MethodPost, path: path("v1", "appservice", appservice, "ping"), body: map[string]string{"transaction_id": txn},
	})
	if status := invites.HTTPStatus(err); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		return ErrUnsupported
	}
	return err
}

// Alone tells whether nobody but the bot is joined to a room. It reads no further than to the second member.
func (c *Client) Alone(ctx context.Context, r id.RoomID) (bool, error) {
	alone := true
	_, err := c.do(ctx, request{
		name: "joined_members", method: http.MethodGet, path: path("v3", "rooms", r, "joined_members"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			return nil, eachKey(resp.Body, "joined", func(user string) bool {
				alone = alone && user == c.user.String()
				return alone
			})
		},
	})
	return alone && err == nil, err
}

// eachKey hands the keys of the object under field, in the object that r holds, to f, until it returns false.
func eachKey(r io.Reader, field string, f func(key string) bool) error {
	d := json.NewDecoder(r)
	err := enter(d, field)
	if err == nil {
		err = expect(d, json.Delim('{'))
	}
	if err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if key, _ := name.(string); !f(key) {
			return nil
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

// enter reads an object up to the value of a field.
func enter(d *json.Decoder, field string) error {
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil || name == field {
			return err
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return errAnswer
}

func expect(d *json.Decoder, want json.Token) error {
	token, err := d.Token()
	if err == nil && token != want {
		return errAnswer
	}
	return err
}

func path(parts ...any) []any { return parts }

// withReason is the body of a membership change; both parts are left out when empty.
func withReason(reason string, target id.UserID) map[string]string {
	body := make(map[string]string, 2)
	if reason != "" {
		body["reason"] = reason
	}
	if target != "" {
		body["user_id"] = target.String()
	}
	return body
}
