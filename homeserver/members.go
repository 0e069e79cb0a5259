package homeserver

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// maxID is the length of an identifier in bytes (https://spec.matrix.org/latest/appendices/#common-identifier-format).
const maxID = 255

// Invited returns the open invitations of a room, as its state shows them to the bot
// (https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers).
func (c *Client) Invited(ctx context.Context, r id.RoomID, now time.Time) ([]invites.MemberEvent, error) {
	body, err := c.do(ctx, request{
		name: "members", method: http.MethodGet, path: path("v3", "rooms", r, "members"), query: url.Values{"membership": {"invite"}},
	})
	var found []invites.MemberEvent
	gjson.GetBytes(body, "chunk").ForEach(func(_, e gjson.Result) bool {
		m := invites.MemberEvent{
			Event: id.EventID(e.Get("event_id").Str), Room: r, Target: id.UserID(e.Get("state_key").Str), Sender: id.UserID(e.Get("sender").Str),
			Membership: "invite", ThirdParty: e.Get("content.third_party_invite").Exists(),
			SentAt: time.UnixMilli(e.Get("origin_server_ts").Int()), SeenAt: now,
		}
		usable := m.Event != "" && m.Sender != "" && m.Target != "" && len(m.Event) <= maxID && len(m.Sender) <= maxID && len(m.Target) <= maxID
		if usable && m.Target != c.user && e.Get("content.membership").Str == "invite" {
			found = append(found, m)
		}
		return true
	})
	return found, err
}
