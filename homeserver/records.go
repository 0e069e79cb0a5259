package homeserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// SendState sets a piece of state as a user: a local one by identity assertion, or the bot.
func (s *State) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	sent, err := s.client.SendState(ctx, r, as, k, content)
	s.Changed(r, k)
	return sent, err
}

// StateEvent returns a state event, current or past, read as in Snapshot.
func (s *State) StateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (e invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		raw, err := s.client.Event(ctx, r, event, as)
		if err == nil {
			e, err = parseStateEvent(gjson.ParseBytes(raw))
		}
		return err
	})
	return e, err
}

// CurrentEvent returns the current event of a piece of state, also where the bot can't see the room's history; with Hidden set.
func (s *State) CurrentEvent(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key) (e invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		raw, err := s.client.StateEvent(ctx, r, k, as)
		if err == nil {
			e, err = parseStateEvent(gjson.ParseBytes(raw))
		}
		return err
	})
	e.Before, e.Replaces, e.Hidden = nil, "", true
	return e, err
}

// asEither reads as the bot, or where that is refused, as a viewer who may be asserted.
func (s *State) asEither(viewer id.UserID, read func(as id.UserID) error) error {
	err := read("")
	if denied(err) && viewer != "" && viewer != s.client.user && s.client.CanAssert(viewer) {
		return read(viewer)
	}
	return err
}

// denied reports whether the homeserver does not show something to a user.
func denied(err error) bool {
	status := invites.HTTPStatus(err)
	return status == http.StatusForbidden || status == http.StatusNotFound
}

// parseStateEvent reads a state event with what came before it.
func parseStateEvent(raw gjson.Result) (e invites.StateEvent, err error) {
	key, content := raw.Get("state_key"), raw.Get("content")
	if key.Type != gjson.String || raw.Get("type").Str == "" || !content.IsObject() {
		return e, &invites.ActError{Class: invites.ClassRefused, Status: http.StatusOK, Err: errAnswer}
	}
	e.Key = room.Key{Type: raw.Get("type").Str, StateKey: key.Str}
	e.Event = room.Event{ID: id.EventID(raw.Get("event_id").Str), Sender: id.UserID(raw.Get("sender").Str), Content: json.RawMessage(content.Raw)}
	e.SentAt = time.UnixMilli(raw.Get("origin_server_ts").Int())
	e.Replaces = id.EventID(raw.Get("unsigned.replaces_state").Str)
	if before := raw.Get("unsigned.prev_content"); before.IsObject() {
		e.Before = json.RawMessage(before.Raw)
	}
	return e, nil
}

// historyPages bounds how far back a history is read: homeservers may answer with few events, or none, and more behind them.
const historyPages = 10

// History returns the last events of one piece of state, newest first, read as in Snapshot.
func (s *State) History(ctx context.Context, r id.RoomID, viewer id.UserID, k room.Key, limit int) (list []invites.StateEvent, err error) {
	err = s.asEither(viewer, func(as id.UserID) error {
		list = nil
		from := ""
		for range historyPages {
			page, next, err := s.client.Messages(ctx, r, as, k.Type, from, limit)
			if err != nil {
				return err
			}
			for _, raw := range page {
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

// count is how many are joined to a room, as it was counted, and how often a membership changed since: the number now is
// no further from it than that.
type count struct {
	members, changes int64
	counted          bool // else somebody is at it
	expires          time.Time
}

// MemberCount returns how many users are joined to a room, or, where that is cheaper, an upper bound below enough. It counts anew only
// where the changes since the last time might matter.
func (s *State) MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error) {
	s.mu.Lock()
	c := s.counts[r]
	if c != nil && c.counted && s.o.Now().Before(c.expires) {
		least, most := c.members-c.changes, c.members+c.changes
		if most < enough || least >= enough {
			s.mu.Unlock()
			return either(most < enough, most, least), nil
		}
	}
	c = &count{expires: s.o.Now().Add(s.o.TTL)}
	if len(s.counts) >= maxCounts {
		clear(s.counts)
	}
	s.counts[r] = c // changes count from now on
	s.mu.Unlock()
	var members int64
	err := s.asEither(viewer, func(as id.UserID) (err error) {
		members, err = s.client.Joined(ctx, r, as)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	c.members, c.counted = members, true
	return members, nil
}

// maxCounts bounds how many rooms' members are known.
const maxCounts = 4096

func either(which bool, yes, no int64) int64 {
	if which {
		return yes
	}
	return no
}

// collection is what Collect has handed out of a room, and what changed since.
type collection struct {
	types   []string
	dirty   map[room.Key]bool
	whole   bool // all was handed out
	expires time.Time
}

// Bounds of collections: how many changes are fetched one by one, and after which time everything is.
const (
	maxDirty      = 50
	collectionTTL = 24 * time.Hour
)

// Collect returns the state events of some types in a room that the bot is in: all of them where whole is true, else the changes since
// the last call for the same room, whose result the caller must have. Calls for one room must not overlap.
func (s *State) Collect(ctx context.Context, r id.RoomID, types []string, have bool) (changes []invites.StateChange, whole bool, err error) {
	if _, err := s.snapshotAsBot(ctx, r, nil, false); err != nil {
		return nil, false, err // a homeserver shows an old state to somebody who has left
	}
	s.mu.Lock()
	c := s.collections[r]
	whole = !have || c == nil || !c.whole || len(c.dirty) > maxDirty || s.o.Now().After(c.expires)
	if whole {
		c = &collection{types: types, expires: s.o.Now().Add(collectionTTL)}
		s.collections[r] = c
	}
	dirty := c.dirty
	c.dirty = map[room.Key]bool{}
	s.mu.Unlock()
	if whole {
		changes, err = s.client.StateOf(ctx, r, types)
		if err == nil {
			s.mu.Lock()
			c.whole = true
			s.mu.Unlock()
		}
		return changes, true, err
	}
	for k := range dirty {
		f := &flight{key: k}
		s.fetch(ctx, r, "", f)
		if f.err != nil {
			s.mu.Lock()
			c.whole = false // what was handed out may be anything
			s.mu.Unlock()
			return nil, false, f.err
		}
		changes = append(changes, invites.StateChange{Key: k, Event: f.event})
	}
	return changes, false, nil
}

// changedRecords notes a change for counts and collections. s.mu is held.
func (s *State) changedRecords(r id.RoomID, k room.Key) {
	if c := s.counts[r]; c != nil && k.Type == "m.room.member" {
		c.changes++
	}
	// Beyond maxDirty they are not looked at one by one.
	if c := s.collections[r]; c != nil && len(c.dirty) <= maxDirty && slices.Contains(c.types, k.Type) {
		c.dirty[k] = true
	}
}

// Forget makes the cache forget an event that may have been redacted: its content is another now. Which events are being fetched is
// not known yet.
func (s *State) Forget(r id.RoomID, event id.EventID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.collections, r) // they don't know their events' ids
	found := s.rooms[r]
	if found == nil {
		return
	}
	c := found.Value.(*cached)
	maps.DeleteFunc(c.flights, func(k room.Key, _ *flight) bool { return k != createKey })
	for k, e := range c.events {
		if e != nil && e.ID == event && k != createKey {
			delete(c.events, k)
			c.snap = nil
		}
	}
}

// forgetRecords forgets counts and collections of a room. s.mu is held.
func (s *State) forgetRecords(r id.RoomID) {
	delete(s.counts, r)
	delete(s.collections, r)
}

// Spaces returns the rooms that claimed a room as their child. Their state tells whether they still do.
func (s *State) Spaces(r id.RoomID) []id.RoomID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spaces[r]
}

// maxSpaces bounds how many rooms may claim one as their child, and so what a decision reads of it. A claim beyond it does not count,
// and everybody may claim everything: so it is far more than somebody brings the bot into to keep a room from its own space's policy.
const maxSpaces = 4096

// Link remembers claims of spaces, and returns those that are new.
func (s *State) Link(claims []invites.SpaceChild) (fresh []invites.SpaceChild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if known := s.spaces[c.Child]; len(known) < maxSpaces && !slices.Contains(known, c.Space) {
			s.spaces[c.Child] = append(slices.Clip(known), c.Space)
			fresh = append(fresh, c)
		}
	}
	return fresh
}

// Children returns what a room claims as its children if it is a space: what the bot asks on entering one.
func (s *State) Children(ctx context.Context, r id.RoomID) ([]invites.SpaceChild, error) {
	snap, err := s.snapshotAsBot(ctx, r, nil, false)
	if err != nil {
		return nil, err
	}
	if create, _ := snap.Event(createKey); create == nil || exactjson.Text(create.Content, "type") != "m.space" {
		return nil, nil
	}
	events, err := s.client.StateOf(ctx, r, []string{spaceChild})
	children := make([]invites.SpaceChild, len(events))
	for i, e := range events {
		children[i] = invites.SpaceChild{Space: r, Child: id.RoomID(e.Key.StateKey)}
	}
	return children, err
}

// What a space says of a room, and a room of a space.
const (
	spaceChild  = "m.space.child"
	spaceParent = "m.space.parent"
)

// SendState sets a piece of state as a user (empty: the bot).
func (c *Client) SendState(ctx context.Context, r id.RoomID, as id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	body, err := c.do(ctx, request{
		name: "send_state", as: as, method: http.MethodPut, path: path("v3", "rooms", r, "state", k.Type, k.StateKey), body: content,
	})
	return id.EventID(gjson.GetBytes(body, "event_id").String()), err
}

// Messages returns a page of a room's events of one type, newest first, and where the next begins.
func (c *Client) Messages(ctx context.Context, r id.RoomID, as id.UserID, eventType, from string, limit int) (page []gjson.Result, next string, err error) {
	filter, err := json.Marshal(map[string]any{"types": []string{eventType}})
	if err != nil {
		return nil, "", err
	}
	query := url.Values{"dir": {"b"}, "limit": {strconv.Itoa(limit)}, "filter": {string(filter)}}
	if from != "" {
		query.Set("from", from)
	}
	body, err := c.do(ctx, request{name: "messages", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "messages"), query: query})
	return gjson.GetBytes(body, "chunk").Array(), gjson.GetBytes(body, "end").String(), err
}

// Joined counts who is joined to a room, holding no more of them than one at a time.
func (c *Client) Joined(ctx context.Context, r id.RoomID, as id.UserID) (n int64, err error) {
	_, err = c.do(ctx, request{
		name: "joined_members", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "joined_members"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			return nil, eachKey(resp.Body, "joined", func(string) bool { n++; return true })
		},
	})
	return n, err
}

// StateOf returns a room's state events of some types, as the bot sees them, holding no more of the others than one at a time.
func (c *Client) StateOf(ctx context.Context, r id.RoomID, types []string) (found []invites.StateChange, err error) {
	_, err = c.do(ctx, request{
		name: "full_state", method: http.MethodGet, path: path("v3", "rooms", r, "state"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			return nil, eachItem(json.NewDecoder(resp.Body), func(raw json.RawMessage) error {
				e, err := parseStateEvent(gjson.ParseBytes(raw))
				if err == nil && slices.Contains(types, e.Key.Type) {
					found = append(found, invites.StateChange{Key: e.Key, Event: &e.Event})
				}
				return nil
			})
		},
	})
	return found, err
}

// eachItem hands each item of the array that comes to f, until it returns an error.
func eachItem(d *json.Decoder, f func(json.RawMessage) error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return fmt.Errorf("%w: %w", errAnswer, err)
		}
		if err := f(item); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}
