package homeserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// InvitedMembers returns the open invitations of a room, as its state shows them to the bot
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers).
func (c *Client) InvitedMembers(ctx context.Context, r id.RoomID, now time.Time) (found []invites.MemberEvent, err error) {
	err = c.eachMember(ctx, r, "invite", func(raw []byte, user id.UserID) {
		m := invites.MemberEvent{
			Event: id.EventID(exactjson.Text(raw, "event_id")), Room: r, Target: user, Sender: id.UserID(exactjson.Text(raw, "sender")),
			Membership: "invite", ThirdParty: exactjson.Find(raw, "content", "third_party_invite") != nil,
			Token:  exactjson.Text(raw, "content", "third_party_invite", "signed", "token"),
			SentAt: time.UnixMilli(exactjson.Get(raw, "origin_server_ts").Int()), SeenAt: now,
		}
		usable := m.Event != "" && m.Sender != "" && len(m.Event) <= room.MaxID && len(m.Sender) <= room.MaxID && len(m.Target) <= room.MaxID
		if usable && m.Target != c.user {
			found = append(found, m)
		}
	})
	return found, err
}

// Knocking returns the events of the users who knock at a room, as its state shows them to the bot.
func (c *Client) Knocking(ctx context.Context, r id.RoomID, now time.Time) (found []invites.Received, err error) {
	err = c.eachMember(ctx, r, "knock", func(raw []byte, user id.UserID) {
		key := string(user)
		ev := invites.Received{
			Event: id.EventID(exactjson.Text(raw, "event_id")), Room: r, Sender: id.UserID(exactjson.Text(raw, "sender")), Type: room.TypeMember, StateKey: &key,
			Raw: bytes.Clone(raw), SentAt: time.UnixMilli(exactjson.Get(raw, "origin_server_ts").Int()), ReceivedAt: now,
		}
		if ev.Event != "" && ev.Sender == user && len(ev.Event) <= room.MaxID && len(user) <= room.MaxID {
			found = append(found, ev)
		}
	})
	return found, err
}

// eachMember hands each member event of a room with a membership to f, as the bot sees the room.
func (c *Client) eachMember(ctx context.Context, r id.RoomID, membership string, f func(raw []byte, user id.UserID)) error {
	_, err := c.do(ctx, request{
		name: "members", method: http.MethodGet, path: path("v3", "rooms", r, "members"), query: url.Values{"membership": {membership}},
		reader: memberReader(func(raw json.RawMessage) error {
			user := exactjson.Text(raw, "state_key")
			found := exactjson.Get(raw, "content", "membership") // the homeserver has chosen, also where this can't be read
			if user != "" && (found.Text() == membership || found.Kind != exactjson.String) {
				f(raw, id.UserID(user))
			}
			return nil
		}),
	})
	return err
}

// memberReader reads a list of members. It holds one event at a time.
func memberReader(f func(json.RawMessage) error) mautrix.ClientResponseHandler {
	return func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
		d := json.NewDecoder(resp.Body)
		if err := enter(d, "chunk"); err != nil {
			return nil, err
		}
		return nil, eachItem(d, f)
	}
}

// Members returns the users with a membership, such as "join", in a room as the bot sees it.
func (c *Client) Members(ctx context.Context, r id.RoomID, membership string) (users []id.UserID, err error) {
	if membership == "join" { // every homeserver answers this at once, while the general question may wait behind its /sync
		err = c.eachJoined(ctx, r, "", func(user string) bool {
			users = append(users, id.UserID(user))
			return true
		})
		return users, err
	}
	err = c.eachMember(ctx, r, membership, func(_ []byte, user id.UserID) { users = append(users, user) })
	return users, err
}

// eachJoined hands the joined members of a room to f, one at a time, until f returns false. as is the user who asks (empty: the bot).
func (c *Client) eachJoined(ctx context.Context, r id.RoomID, as id.UserID, f func(user string) bool) error {
	_, err := c.do(ctx, request{
		name: "joined_members", as: as, method: http.MethodGet, path: path("v3", "rooms", r, "joined_members"),
		reader: func(_ *http.Request, resp *http.Response, _ any, _ int64) ([]byte, error) {
			return nil, eachKey(resp.Body, "joined", f)
		},
	})
	return err
}

// countJoined counts the joined members of a room.
func (c *Client) countJoined(ctx context.Context, r id.RoomID, as id.UserID) (n int64, err error) {
	err = c.eachJoined(ctx, r, as, func(string) bool { n++; return true })
	return n, err
}

// Alone reports whether the bot is the only joined member of a room. It reads no further than to the second member.
func (c *Client) Alone(ctx context.Context, r id.RoomID) (bool, error) {
	alone := true
	err := c.eachJoined(ctx, r, "", func(user string) bool {
		alone = alone && user == c.user.String()
		return alone
	})
	return alone && err == nil, err
}

// manyMembers is the number of members from which on a room's whole list is read: one answer, of some 400 bytes a member, is then
// smaller than as many requests, whatever the room.
const manyMembers = 300

// fillMembers fills fetches of member events from a room's list as the bot sees it. It holds one other event at a time. A user who is
// not on the list has no member event.
func (c *Client) fillMembers(ctx context.Context, r id.RoomID, fetches []*fetch) error {
	wanted := make(map[string]*fetch, len(fetches))
	for _, f := range fetches {
		wanted[f.key.StateKey] = f
	}
	_, err := c.do(ctx, request{
		name: "members", method: http.MethodGet, path: path("v3", "rooms", r, "members"),
		reader: memberReader(func(raw json.RawMessage) (err error) {
			if f := wanted[exactjson.Text(raw, "state_key")]; f != nil {
				f.event, err = parseEvent(raw, f.key)
			}
			return err
		}),
	})
	return err
}

// counts knows how many members some rooms have.
type counts struct {
	mu    sync.Mutex
	rooms map[id.RoomID]*count
}

// count is the number of joined members of a room when they were counted, and the number of changed memberships since: the number now
// differs by no more than that.
type count struct {
	members, changes int64
	counted          bool // else a request is under way
	expires          time.Time
}

// maxCounts bounds the number of rooms with a count.
const maxCounts = 4096

// changed notes that a membership in a room changed.
func (c *counts) changed(r id.RoomID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if of := c.rooms[r]; of != nil {
		of.changes++
	}
}

func (c *counts) forget(r id.RoomID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rooms, r)
}

func (c *counts) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.rooms)
}

// compare returns a number of members on the same side of enough as the true one. known is false where it can't tell.
func (c *counts) compare(r id.RoomID, enough int64, now time.Time) (n int64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.rooms[r]
	if of == nil || !of.counted || !now.Before(of.expires) {
		return 0, false
	}
	least, most := of.members-of.changes, of.members+of.changes
	if most < enough {
		return most, true
	}
	return least, least >= enough
}

// begin makes a count that notes changes from now on.
func (c *counts) begin(r id.RoomID, expires time.Time) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rooms) >= maxCounts {
		clear(c.rooms)
	}
	of := &count{expires: expires}
	c.rooms[r] = of
	return of
}

// end notes the number of members that was counted.
func (c *counts) end(of *count, members int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of.members, of.counted = members, true
}

// MemberCount returns how many users are joined to a room, or, where that is cheaper, an upper bound below enough. It counts anew only
// where the changes since the last time might matter.
func (s *State) MemberCount(ctx context.Context, r id.RoomID, viewer id.UserID, enough int64) (int64, error) {
	if n, known := s.counts.compare(r, enough, s.o.Now()); known {
		return n, nil
	}
	of := s.counts.begin(r, s.o.Now().Add(s.o.TTL))
	var members int64
	err := s.asEither(viewer, func(as id.UserID) (err error) {
		members, err = s.client.countJoined(ctx, r, as)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.counts.end(of, members)
	return members, nil
}
