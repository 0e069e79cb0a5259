package homeserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// records reads events that are not cached, as the bot, or where the homeserver refuses that, as another user.
type records struct{ client *Client }

// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
func (s *State) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	sent, err := s.client.SendState(ctx, r, as, k, content)
	s.Changed(r, k)
	return sent, err
}

// StateEvent returns a state event, current or past, read as in Snapshot.
func (s *records) StateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (e invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		raw, err := s.client.Event(ctx, r, event, as)
		if err == nil {
			e, err = parseStateEvent(raw)
		}
		return err
	})
	return e, err
}

// CurrentEvent returns the current event of a piece of state, also where the bot can't see the room's history; with Hidden set.
func (s *records) CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (e invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		raw, err := s.client.StateEvent(ctx, r, k, as)
		if err == nil {
			e, err = parseStateEvent(raw)
		}
		return err
	})
	e.Before, e.Replaces, e.Hidden = nil, "", true
	return e, err
}

// asEither reads as the bot, or where that is refused, as a viewer who may be asserted.
func (s *records) asEither(viewer id.UserID, read func(as id.UserID) error) error {
	err := read("")
	if denied(err) && viewer != "" && viewer != s.client.user && s.client.CanAssert(viewer) {
		return read(viewer)
	}
	return err
}

// denied reports whether the homeserver does not show something to a user.
func denied(err error) bool {
	status := invites.HTTPStatus(err)
	return invites.Refused(err) && (status == http.StatusForbidden || status == http.StatusNotFound)
}

// parseStateEvent reads a state event with the content that it replaced.
func parseStateEvent(raw []byte) (e invites.StateEvent, err error) {
	key, typ, content := exactjson.Get(raw, "state_key"), exactjson.Text(raw, "type"), exactjson.Find(raw, "content")
	if key.Kind != exactjson.String || typ == "" || !exactjson.IsObject(content) {
		return e, &invites.ActError{Class: invites.ClassRefused, Status: http.StatusOK, Err: errAnswer}
	}
	e.Key = room.Key{Type: typ, StateKey: key.Text()}
	e.Event = room.Event{
		ID: id.EventID(exactjson.Text(raw, "event_id")), Sender: id.UserID(exactjson.Text(raw, "sender")), Content: bytes.Clone(content), RedactedBy: redactedBy(raw),
	}
	e.SentAt = time.UnixMilli(exactjson.Get(raw, "origin_server_ts").Int())
	if e.RedactedBy != "" {
		e.RedactedAt = time.UnixMilli(exactjson.Get(raw, "unsigned", "redacted_because", "origin_server_ts").Int())
	}
	e.Replaces = id.EventID(exactjson.Text(raw, "unsigned", "replaces_state"))
	if before := exactjson.Find(raw, "unsigned", "prev_content"); exactjson.IsObject(before) {
		e.Before = bytes.Clone(before)
	}
	return e, nil
}

// historyPages bounds how far back a history is read: homeservers may answer with few events, or none, and more behind them.
const historyPages = 10

// History returns the last events of one piece of state, newest first, read as in Snapshot.
func (s *records) History(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key, limit int) (list []invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		list = nil
		from := ""
		for range historyPages {
			page, next, err := s.client.Messages(ctx, r, as, []string{k.Type}, from, limit)
			if err != nil {
				return err
			}
			for _, raw := range page {
				if raw, err = s.client.withRedaction(ctx, r, as, raw); err != nil {
					return err
				}
				if e, err := parseStateEvent(raw); err == nil && e.Key == k && len(list) < limit {
					list = append(list, e)
				}
			}
			if next == "" || next == from || len(page) == 0 || len(list) == limit {
				break
			}
			from = next
		}
		return nil
	})
	return list, err
}

// Members returns the users with a membership in a room as the bot sees it.
func (s *records) Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error) {
	return s.client.Members(ctx, r, membership)
}

// Resolve looks an alias up, and servers that know the room.
func (s *records) Resolve(ctx context.Context, alias id.RoomAlias) (id.RoomID, []string, error) {
	return s.client.Alias(ctx, alias)
}

// Redacted tells whether an event has been redacted, read as in Snapshot (https://spec.matrix.org/latest/client-server-api/#redactions).
func (s *records) Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error) {
	raw, err := s.client.Event(ctx, r, event, "")
	if denied(err) && viewer != "" && s.client.CanAssert(viewer) {
		raw, err = s.client.Event(ctx, r, event, viewer)
	}
	if forbidden(err) {
		return false, invites.ErrNoView
	}
	return exactjson.Find(raw, "unsigned", "redacted_because") != nil, err
}

// SendState sets a piece of state as a user (empty: the bot).
func (c *Client) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	body, err := c.do(ctx, request{
		name: "send_state", as: as, method: http.MethodPut, path: path("v3", "rooms", r, "state", k.Type, k.StateKey), body: content,
	})
	sent := id.EventID(exactjson.Text(body, "event_id"))
	return sent, shows(sent.String(), err)
}

// Messages returns a page of a room's events of some types, newest first, and where the next begins.
func (c *Client) Messages(ctx context.Context, r id.RoomID, as id.UserID, types []string, from string, limit int) (page [][]byte, next string, err error) {
	filter, err := json.Marshal(map[string]any{"types": types})
	if err != nil {
		return nil, "", err
	}
	query := url.Values{"dir": {"b"}, "limit": {strconv.Itoa(limit)}, "filter": {string(filter)}}
	if from != "" {
		query.Set("from", from)
	}
	body, err := c.do(ctx, request{name: "messages", must: "chunk", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "messages"), query: query})
	return slices.Collect(exactjson.Items(body, "chunk")), exactjson.Text(body, "end"), err
}
