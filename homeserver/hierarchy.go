package homeserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// Bounds of one look at a space.
const (
	hierarchyRooms = 200
	hierarchyPages = 10
	hierarchyTakes = 15 * time.Second
	hierarchyDepth = "4"
)

// Hierarchy returns a space and the rooms in it, as a user sees them (empty: the bot), and whether these are all
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidhierarchy).
func (c *Client) Hierarchy(ctx context.Context, space id.RoomID, as id.UserID) (rooms []invites.SpaceRoom, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, hierarchyTakes)
	defer cancel()
	from := ""
	for range hierarchyPages {
		query := url.Values{"limit": {"50"}, "max_depth": {hierarchyDepth}}
		if from != "" {
			query.Set("from", from)
		}
		body, err := c.do(ctx, request{name: "hierarchy", must: "rooms", as: as, method: http.MethodGet, path: path("v1", "rooms", space, "hierarchy"), query: query})
		if err != nil {
			return nil, false, err
		}
		for raw := range exactjson.Items(body, "rooms") {
			if one := spaceRoom(raw); one.Room != "" && len(one.Room) <= room.MaxID {
				rooms = append(rooms, one)
			}
		}
		next := exactjson.Text(body, "next_batch")
		if next == "" || next == from {
			return rooms, next == "", nil
		}
		if from = next; len(rooms) >= hierarchyRooms {
			break
		}
	}
	return rooms[:min(len(rooms), hierarchyRooms)], false, nil
}

// Hierarchy is Client.Hierarchy.
func (r records) Hierarchy(ctx context.Context, space id.RoomID, as id.UserID) ([]invites.SpaceRoom, bool, error) {
	return r.client.Hierarchy(ctx, space, as)
}

func spaceRoom(raw []byte) invites.SpaceRoom {
	one := invites.SpaceRoom{
		Room: id.RoomID(exactjson.Text(raw, "room_id")), Name: exactjson.Text(raw, "name"), JoinRule: exactjson.Text(raw, "join_rule"),
		Space: exactjson.Text(raw, "room_type") == "m.space", Readable: exactjson.Get(raw, "world_readable").Kind == exactjson.True,
	}
	allowed, _ := exactjson.Get(raw, "allowed_room_ids").Texts()
	for _, r := range allowed {
		one.Allowed = append(one.Allowed, id.RoomID(r))
	}
	for child := range exactjson.Items(raw, "children_state") {
		via, _ := exactjson.Get(child, "content", "via").Texts()
		r := id.RoomID(exactjson.Text(child, "state_key"))
		if len(via) == 0 || !strings.HasPrefix(string(r), "!") || len(r) > room.MaxID {
			continue
		}
		link := invites.SpaceLink{
			Room: r, At: exactjson.Get(child, "origin_server_ts").Int(), Suggested: exactjson.Get(child, "content", "suggested").Kind == exactjson.True,
		}
		if order := exactjson.Text(child, "content", "order"); len(order) <= 50 && !strings.ContainsFunc(order, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			link.Order = order
		}
		one.Children = append(one.Children, link)
	}
	slices.SortStableFunc(one.Children, invites.SpaceLink.Compare)
	return one
}
