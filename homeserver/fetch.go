package homeserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// start fetches for everybody who waits, so it does not end with the caller's context. Where one request fails, those that have not
// been made are not: what they bring would make no snapshot, and there may be thousands, to a homeserver that is down.
func (s *State) start(ctx context.Context, c *cached, flights []*flight) {
	ctx = context.WithoutCancel(ctx)
	var failed atomic.Pointer[flight]
	one := func(f *flight) {
		if first := failed.Load(); first != nil {
			f.err = first.err
		} else if s.fetch(ctx, c.room, "", f); f.err != nil {
			failed.Store(f)
		}
		s.keep(c, f)
	}
	var members, others []*flight
	for _, f := range flights {
		if f.key.Type == typeMember {
			members = append(members, f)
		} else {
			others = append(others, f)
		}
	}
	if len(members) < manyMembers {
		s.each(flights, one)
		return
	}
	s.each(others, one)
	go func() {
		if err := s.client.members(ctx, c.room, members); err != nil {
			s.o.Log.Warn().Err(err).Stringer("room_id", c.room).Msg("Can't read a room's members at once; they are read one by one")
			s.each(members, one)
			return
		}
		for _, f := range members {
			s.keep(c, f)
		}
	}()
}

// manyMembers is for how many people a room's whole list is asked: one answer, of some 400 bytes a member, is then less
// than as many requests, whatever the room.
const manyMembers = 300

// members fills flights of member events from a room's list as the bot sees it
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers), holding no more of the others than
// one at a time. Who is not on the list has no such event.
func (c *Client) members(ctx context.Context, r id.RoomID, flights []*flight) error {
	wanted := make(map[string]*flight, len(flights))
	for _, f := range flights {
		wanted[f.key.StateKey] = f
	}
	_, err := c.do(ctx, request{
		name: "members", method: http.MethodGet, path: path("v3", "rooms", r, "members"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			d := json.NewDecoder(resp.Body)
			if err := enter(d, "chunk"); err != nil {
				return nil, err
			}
			return nil, eachItem(d, func(raw json.RawMessage) (err error) {
				if f := wanted[gjson.GetBytes(raw, "state_key").Str]; f != nil {
					f.event, err = parseEvent(raw, f.key)
				}
				return err
			})
		},
	})
	return err
}

// fetchers bounds how many requests one decision has under way.
const fetchers = 8

// each does work on every flight, several side by side, and does not wait for it.
func (s *State) each(flights []*flight, work func(*flight)) {
	queue := make(chan *flight, len(flights))
	for _, f := range flights {
		queue <- f
	}
	close(queue)
	for range min(fetchers, len(flights)) {
		go func() {
			for f := range queue {
				work(f)
			}
		}()
	}
}

// fetch fills a flight.
func (s *State) fetch(ctx context.Context, r id.RoomID, as id.UserID, f *flight) {
	if f.key == createKey && s.o.Creates != nil {
		raw, err := s.o.Creates.CreateEvent(ctx, r)
		if err != nil && !errors.Is(err, invites.ErrNotFound) {
			s.o.Log.Warn().Err(err).Stringer("room_id", r).Msg("Can't read the kept create event")
		}
		if f.event, f.err = parseEvent(raw, f.key); f.err == nil {
			return
		}
	}
	raw, err := s.client.StateEvent(ctx, r, f.key, as)
	switch {
	case invites.Errcode(err) == mautrix.MNotFound.ErrCode:
		f.event, f.err = nil, nil
		return
	case invites.HTTPStatus(err) == http.StatusForbidden:
		f.err = invites.ErrNoView
		return
	case err != nil:
		f.err = err
		return
	}
	if f.event, f.err = parseEvent(raw, f.key); f.err != nil || f.key != createKey || s.o.Creates == nil {
		return
	}
	if err := s.o.Creates.SaveCreateEvent(ctx, r, raw); err != nil {
		s.o.Log.Warn().Err(err).Stringer("room_id", r).Msg("Can't keep the create event")
	}
}

// parseEvent reads a state event in client format, which must be the one asked for.
func parseEvent(raw json.RawMessage, k room.Key) (*room.Event, error) {
	got := gjson.GetManyBytes(raw, "type", "state_key", "sender", "event_id", "content")
	typ, key, sender, event, content := got[0], got[1], got[2], got[3], got[4]
	if typ.Str != k.Type || key.Type != gjson.String || key.Str != k.StateKey || sender.Str == "" || !content.Exists() {
		return nil, &invites.ActError{Class: invites.ClassFailed, Status: http.StatusOK, Err: errAnswer}
	}
	return &room.Event{ID: id.EventID(event.Str), Sender: id.UserID(sender.Str), Content: json.RawMessage(content.Raw)}, nil
}
