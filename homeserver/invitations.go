package homeserver

import (
	"context"
	"net/http"
	"net/url"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// invitationFilter leaves out of /sync all that is not needed for invitations.
const invitationFilter = `{"room":{"timeline":{"limit":1,"types":[]},"state":{"types":[],"lazy_load_members":true},"ephemeral":{"types":[]},` +
	`"account_data":{"types":[]}},"presence":{"types":[]},"account_data":{"types":[]}}`

// Invitations returns the bot's open invitations that are new since a position, all of them for an empty one; the rooms that the bot has
// left since, or whose invitations are taken back; and the next position
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3sync). Dendrite shows those of other servers' users nowhere else.
func (c Account) Invitations(ctx context.Context, since string) (open []invites.OwnInvitation, over []id.RoomID, next string, err error) {
	query := url.Values{"filter": {invitationFilter}, "timeout": {"0"}, "set_presence": {"offline"}}
	if since != "" {
		query.Set("since", since)
	}
	body, err := c.do(ctx, request{name: "sync", must: "next_batch", method: http.MethodGet, path: path("v3", "sync"), query: query})
	if err != nil {
		return nil, nil, "", err
	}
	for r, invitation := range exactjson.Members(body, "rooms", "invite") {
		for raw := range exactjson.Items(invitation, "invite_state", "events") {
			if exactjson.Text(raw, "type") == room.TypeMember && exactjson.Text(raw, "state_key") == c.user.String() {
				open = append(open, invites.OwnInvitation{
					Room: id.RoomID(r), Sender: id.UserID(exactjson.Text(raw, "sender")),
					Direct: exactjson.Get(raw, "content", "is_direct").Kind == exactjson.True,
				})
			}
		}
	}
	for r := range exactjson.Members(body, "rooms", "leave") {
		over = append(over, id.RoomID(r))
	}
	next = exactjson.Text(body, "next_batch")
	return open, over, next, shows(next, nil)
}
