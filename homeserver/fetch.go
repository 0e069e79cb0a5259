package homeserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// start fetches for everybody who waits, so it does not end with the caller's context. Where one request fails, those that have not
// been made are not: what they bring would make no snapshot, and there may be thousands, to a homeserver that is down.
func (s *State) start(ctx context.Context, c *cached, fetches []*fetch) {
	ctx = context.WithoutCancel(ctx)
	var failed atomic.Pointer[fetch]
	confirmed := sync.OnceValue(func() error { return s.confirm(ctx, c.room, "") })
	one := func(f *fetch) {
		if first := failed.Load(); first != nil {
			f.err = first.err
		} else if s.read(ctx, c.room, "", f); f.err != nil {
			if errors.Is(f.err, invites.ErrNoView) {
				f.err = confirmed()
			}
			failed.Store(f)
		}
		s.keep(c, f)
	}
	var members, others []*fetch
	for _, f := range fetches {
		if f.key.Type == room.TypeMember {
			members = append(members, f)
		} else {
			others = append(others, f)
		}
	}
	if len(members) < manyMembers {
		each(fetches, one)
		return
	}
	each(others, one)
	go func() {
		if err := s.client.fillMembers(ctx, c.room, members); err != nil {
			s.o.Log.Warn().Err(err).Stringer("room_id", c.room).Msg("Can't read a room's members at once; they are read one by one")
			each(members, one)
			return
		}
		for _, f := range members {
			s.keep(c, f)
		}
	}()
}

// fetchers bounds how many requests one decision has under way.
const fetchers = perRoom

// each does work on every fetch, several side by side, and does not wait for it.
func each(fetches []*fetch, work func(*fetch)) {
	queue := make(chan *fetch, len(fetches))
	for _, f := range fetches {
		queue <- f
	}
	close(queue)
	for range min(fetchers, len(fetches)) {
		go func() {
			for f := range queue {
				work(f)
			}
		}()
	}
}

// confirm looks again after the homeserver has refused to show a user (empty: the bot) a room: it reads the user's own member event.
// The error is ErrNoView only if the user is not in the room, or the homeserver refuses again. One refusal alone may be a mistake.
func (s *State) confirm(ctx context.Context, r id.RoomID, as id.UserID) error {
	own := &fetch{key: room.MemberKey(cmp.Or(as, s.client.user))}
	if s.read(ctx, r, as, own); own.err != nil {
		return own.err
	}
	if membership(own.event) == "join" {
		return &invites.ActError{Class: invites.ClassFailed, Status: http.StatusForbidden, Err: errAnswer}
	}
	return invites.ErrNoView
}

// forbidden reports whether the homeserver itself refuses to show something.
func forbidden(err error) bool {
	return invites.Refused(err) && invites.HTTPStatus(err) == http.StatusForbidden
}

// read fills a fetch.
func (s *State) read(ctx context.Context, r id.RoomID, as id.UserID, f *fetch) {
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
	if err == nil {
		raw, err = s.client.withRedaction(ctx, r, as, raw)
	}
	switch {
	case invites.Errcode(err) == mautrix.MNotFound.ErrCode:
		f.event, f.err = nil, nil
		return
	case forbidden(err):
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

// parseEvent reads a state event in client format, which must be the one asked for. An event that is no proper JSON, such as one with a
// key twice, exists all the same: its content is malformed, and asking again would not mend it.
func parseEvent(raw json.RawMessage, k room.Key) (*room.Event, error) {
	key, known := exactjson.Get(raw, "state_key").Str()
	sender, content := exactjson.Text(raw, "sender"), exactjson.Find(raw, "content")
	if unreadable(raw) {
		return &room.Event{Sender: id.UserID(exactjson.Text(raw, "sender")), ID: id.EventID(exactjson.Text(raw, "event_id"))}, nil
	}
	if exactjson.Text(raw, "type") != k.Type || !known || key != k.StateKey || sender == "" || content == nil {
		return nil, &invites.ActError{Class: invites.ClassFailed, Status: http.StatusOK, Err: errAnswer}
	}
	return &room.Event{
		ID: id.EventID(exactjson.Text(raw, "event_id")), Sender: id.UserID(sender), Content: bytes.Clone(content),
		RedactedBy: redactedBy(raw),
	}, nil
}

// ownTypes begins the types of Usher's own state events. A redaction leaves nothing of their content.
const ownTypes = "chat.usher."

// withRedaction returns a state event of Usher's own, if its content is empty, as the homeserver shows it by its id: Dendrite names the redaction there
// only. An event that is not shown is taken as it is.
func (c *Client) withRedaction(ctx context.Context, r id.RoomID, as id.UserID, raw json.RawMessage) (json.RawMessage, error) {
	event, content := id.EventID(exactjson.Text(raw, "event_id")), exactjson.Find(raw, "content")
	if !strings.HasPrefix(exactjson.Text(raw, "type"), ownTypes) || event == "" || redactedBy(raw) != "" || len(exactjson.Get(content).Items) > 0 {
		return raw, nil
	}
	whole, err := c.Event(ctx, r, event, as)
	if denied(err) {
		return raw, nil
	}
	return whole, err
}

// redactedBy returns the user who redacted an event, empty where the homeserver names nobody.
func redactedBy(raw []byte) id.UserID {
	return id.UserID(exactjson.Text(raw, "unsigned", "redacted_because", "sender"))
}

// unreadable reports whether raw is an object by its brackets, but no proper JSON.
func unreadable(raw []byte) bool {
	trimmed := bytes.TrimSpace(raw)
	if !exactjson.IsObject(trimmed) || trimmed[len(trimmed)-1] != '}' {
		return false
	}
	_, _, ok := exactjson.Parse(trimmed)
	content := exactjson.Find(trimmed, "content")
	return !ok && content == nil
}
