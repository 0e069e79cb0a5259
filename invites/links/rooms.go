package links

import (
	"context"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// Room is one room of a link, as its page may show it. A fact that the maker does not show is empty.
type Room struct {
	Room    id.RoomID
	Name    string
	Topic   string
	Picture id.ContentURIString
	Members int64
	Space   bool
	Knock   bool     // the join rule lets people knock
	Via     []string // servers in the room
}

// Maker is the maker of a link, as its page shows them.
type Maker struct {
	User id.UserID
	Name string // in the first room; may be empty
}

// The state of a room that pages show.
const (
	typeName  = "m.room.name"
	typeTopic = "m.room.topic"
	typePhoto = "m.room.avatar"
)

// enoughMembers is the most members counted for a page.
const enoughMembers = 1_000_000

// Rooms returns some rooms of a link, as far as the maker shows them, and the maker.
func (s *Links) Rooms(ctx context.Context, l invites.Link, rooms []id.RoomID) (list []Room, maker Maker, err error) {
	maker.User = l.Maker
	needs := []room.Key{
		{Type: room.TypeCreate}, {Type: room.TypeJoinRules}, {Type: typeName}, {Type: typeTopic}, {Type: typePhoto}, room.MemberKey(l.Maker),
	}
	for _, r := range rooms {
		one := Room{Room: r, Via: viaOf(s.Self.Domain, l.Maker)}
		snap, err := s.Homeserver.Snapshot(ctx, r, l.Maker, needs, false)
		if invites.UnlessUnseen(err) != nil {
			return nil, maker, err
		}
		if err == nil {
			one.read(snap, l.Shows)
			if maker.Name == "" {
				maker.Name = text(snap, room.MemberKey(l.Maker), "displayname")
			}
		}
		if err == nil && slices.Contains(l.Shows, invites.ShowMembers) {
			if one.Members, err = s.Homeserver.MemberCount(ctx, r, l.Maker, enoughMembers); invites.UnlessUnseen(err) != nil {
				return nil, maker, err
			}
		}
		list = append(list, one)
	}
	return list, maker, nil
}

// read takes the shown facts from the room's state.
func (r *Room) read(snap *room.Snapshot, shows []string) {
	for _, show := range shows {
		switch show {
		case invites.ShowName:
			r.Name = text(snap, room.Key{Type: typeName}, "name")
		case invites.ShowTopic:
			r.Topic = text(snap, room.Key{Type: typeTopic}, "topic")
		case invites.ShowPicture:
			r.Picture = id.ContentURIString(text(snap, room.Key{Type: typePhoto}, "url"))
		}
	}
	r.Space = text(snap, room.Key{Type: room.TypeCreate}, "type") == "m.space"
	rule, _ := snap.JoinRule()
	r.Knock = rule == "knock" || rule == "knock_restricted"
}

// maxShown bounds a text of a room on a page, in bytes.
const maxShown = 500

func text(snap *room.Snapshot, key room.Key, field string) string {
	event, _ := snap.Event(key)
	if event == nil {
		return ""
	}
	return room.Shorten(exactjson.Text(event.Content, field), maxShown)
}

// viaOf are servers in the rooms of a maker: a room's id need not tell one.
func viaOf(domain string, maker id.UserID) []string {
	via := []string{domain}
	if server := maker.Homeserver(); server != domain && !room.IsIPLiteral(server) {
		via = append(via, server)
	}
	return via
}
