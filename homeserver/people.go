package homeserver

import (
	"context"
	"net/http"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// People answers questions about users, as the bot.
type People struct{ Client *Client }

// Exists reports whether the homeserver has a profile of one of its users
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3profileuserid). A profile that may not be read exists. Synapse
// answers 404 M_UNKNOWN for a user without a profile; a 404 without an errcode is a proxy's.
func (p People) Exists(ctx context.Context, user id.UserID) (bool, error) {
	_, err := p.Client.do(ctx, request{name: "profile", method: http.MethodGet, path: path("v3", "profile", user)})
	switch missing := invites.HTTPStatus(err) == http.StatusNotFound && invites.Errcode(err) != ""; {
	case missing:
		return false, nil
	case forbidden(err):
		return true, nil
	}
	return err == nil, err
}

// Members returns the display names of the joined members of a room, by their ids. A name may be empty.
func (p People) Members(ctx context.Context, r id.RoomID) (map[id.UserID]string, error) {
	body, err := p.Client.do(ctx, request{name: "joined_members", must: "joined", method: http.MethodGet, path: path("v3", "rooms", r, "joined_members")})
	names := map[id.UserID]string{}
	for user, profile := range exactjson.Members(exactjson.Find(body, "joined")) {
		names[id.UserID(user)] = exactjson.Text(profile, "display_name")
	}
	return names, err
}

// Author returns the sender of an event.
func (p People) Author(ctx context.Context, r id.RoomID, event id.EventID) (id.UserID, error) {
	raw, err := p.Client.Event(ctx, r, event, "")
	return id.UserID(exactjson.Text(raw, "sender")), err
}
