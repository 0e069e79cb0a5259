package commands

import (
	"encoding/json"
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// TestTouches: an invitation of people by their ids runs beside others of other people; every other command runs alone, and so does each in a
// room with quotas or approval.
func TestTouches(t *testing.T) {
	for _, c := range []struct {
		text   string
		policy map[string]any
		users  []id.UserID // nil: it runs alone
	}{
		{"!invite @bob:here", nil, []id.UserID{"@bob:here"}},
		{"!invite @bob:here @x:there with a reason", nil, []id.UserID{"@bob:here", "@x:there"}},
		{"!invite @bob:here --dry-run", nil, []id.UserID{"@bob:here"}},
		{"!invite @bob:here", map[string]any{"whom": map[string]any{"max_members": 3, "cooldown": map[string]any{"leave": "1d"}}}, []id.UserID{"@bob:here"}},
		{"!invite @bob:here", map[string]any{"quota": map[string]any{"person": map[string]any{"count": 3, "per": "1h"}}}, nil},
		{"!invite @bob:here", map[string]any{"approval": map[string]any{"required": true}}, nil},
		{"!invite @bob:here", map[string]any{"nothing": true}, []id.UserID{"@bob:here"}}, // unreadable: each is refused
		{"!invite carol", nil, nil},
		{"!invite @usher:here", nil, nil},
		{"!invite @bob:here #hall:here", nil, nil},
		{"!invite help", nil, nil},
		{"!uninvite @bob:here", nil, nil},
		{"!policy set delegate true", nil, nil},
		{"!pending", nil, nil},
		{"!invite @1:x @2:x @3:x @4:x @5:x @6:x @7:x @8:x @9:x @10:x @11:x @12:x @13:x @14:x @15:x @16:x @17:x", nil, nil},
	} {
		d, hs := newRunner(t)
		if c.policy != nil {
			c.policy["version"] = 1
			hs.Set(lobby, "chat.usher.policy", "", alice, c.policy)
		}
		raw, err := json.Marshal(map[string]any{"content": map[string]any{"msgtype": "m.text", "body": c.text}})
		if err != nil {
			t.Fatal(err)
		}
		now := d.Clock.Now()
		_, call, reply, err := d.Read(t.Context(), invites.Received{Event: "$1", Room: lobby, Sender: alice, Type: "m.room.message", Raw: raw, SentAt: now, ReceivedAt: now})
		if err != nil || call == nil {
			t.Errorf("%s: %+v, %v", c.text, reply, err)
			continue
		}
		if users, all := call.Touches(t.Context()); all != (c.users == nil) || !all && !slices.Equal(users, c.users) {
			t.Errorf("%s with %v: concerns %v, all %v", c.text, c.policy, users, all)
		}
	}
}
