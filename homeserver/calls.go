package homeserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
	"usher/words"
)

// other returns the first server among some that is not the homeserver itself; empty without one.
func (c *connection) other(servers ...string) string {
	for _, s := range servers {
		if s != c.domain {
			return s
		}
	}
	return ""
}

// shows turns an answer into an error if it does not show the effect of the request, such as the id of the event that was sent.
func shows(effect string, err error) error {
	if err == nil && effect == "" {
		return &invites.ActError{Class: invites.ClassFailed, Status: http.StatusOK, Err: errAnswer}
	}
	return err
}

// join joins a room, by id or alias, and returns its id. On Dendrite a join may go on after the answer, which is 202 then.
func (c *Client) join(ctx context.Context, roomOrAlias string, via []string, as id.UserID, reason string) (id.RoomID, error) {
	servers := via
	if roomOrAlias[:1] == "#" {
		servers = append(slices.Clone(via), id.UserID(roomOrAlias).Homeserver())
	}
	body, err := c.do(ctx, request{
		name: "join", remote: c.other(servers...), as: as, method: http.MethodPost, path: path("v3", "join", roomOrAlias),
		query: url.Values{"via": via, "server_name": via}, // the newer name and the older
		body:  withReason(reason, ""),
	})
	joined := id.RoomID(exactjson.Text(body, "room_id"))
	return joined, shows(joined.String(), err)
}

// change is the request of a membership change other than a join.
func (c *Client) change(e invites.Effect) (request, error) {
	target, remote := e.Target, ""
	switch e.Action {
	case room.Invite:
		remote = c.other(target.Homeserver())
	case room.Kick, room.Ban, room.Unban:
	case room.Leave:
		target = "" // it is the performer
	default:
		return request{}, &invites.ActError{Class: invites.ClassRefused, Err: errors.New("no membership change: " + string(e.Action))}
	}
	return request{
		name: string(e.Action), remote: remote, actor: e.Actor, as: e.Performer, method: http.MethodPost, path: path("v3", "rooms", e.Room, string(e.Action)),
		body: withReason(cmp.Or(e.Reason, words.For(e.Language).Text(e.Because)), target),
	}, nil
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
	sent := id.EventID(exactjson.Text(body, "event_id"))
	return sent, shows(sent.String(), err)
}

// Event returns one event as a user sees it (empty: the bot).
func (c *Client) Event(ctx context.Context, r id.RoomID, event id.EventID, as id.UserID) (json.RawMessage, error) {
	return c.do(ctx, request{name: "event", must: "type", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "event", event)})
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
	body, err := c.do(ctx, request{
		name: "alias", remote: c.other(id.UserID(alias).Homeserver()), method: http.MethodGet, path: path("v3", "directory", "room", alias),
	})
	servers, _ := exactjson.Get(body, "servers").Texts()
	r := id.RoomID(exactjson.Text(body, "room_id"))
	return r, servers, shows(r.String(), err)
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

// Bounds of the annotations of one event that are read.
const (
	annotationPages = 5
	annotationPage  = "100"
)

// Annotations returns the last annotations of an event, the oldest first (https://spec.matrix.org/latest/client-server-api/#relationships-api).
func (c *Client) Annotations(ctx context.Context, r id.RoomID, event id.EventID) (list []json.RawMessage, err error) {
	from := ""
	for range annotationPages {
		query := url.Values{"limit": {annotationPage}, "dir": {"b"}}
		if from != "" {
			query.Set("from", from)
		}
		body, err := c.do(ctx, request{name: "relations", must: "chunk", method: http.MethodGet, path: path("v1", "rooms", r, "relations", event, "m.annotation"), query: query})
		if err != nil {
			return nil, err
		}
		for raw := range exactjson.Items(body, "chunk") {
			list = append(list, raw)
		}
		if from = exactjson.Text(body, "next_batch"); from == "" {
			break
		}
	}
	slices.Reverse(list)
	return list, nil
}
