package judge

import (
	"usher/invites"

	"context"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// outside is a homeserver where the bot is in no room.
type outside struct{ Homeserver }

func (outside) Snapshot(context.Context, id.RoomID, id.UserID, []room.Key, bool) (*room.Snapshot, error) {
	return nil, invites.ErrNoView
}

func (outside) Collect(context.Context, id.RoomID, []string, bool) ([]invites.StateChange, bool, error) {
	return nil, false, invites.ErrNoView
}

// TestListsThatCannotBeRead: policies name whatever rooms they like; those that the bot can't read are not remembered.
func TestListsThatCannotBeRead(t *testing.T) {
	s := New(nil, outside{}, nil, invites.Identity{}).Lists
	p := policy.Merge()
	for n := range 500 {
		p.Document.Whom.Lists = append(p.Document.Whom.Lists, id.RoomID(fmt.Sprintf("!%d", n)))
	}
	for _, line := range s.Of(t.Context(), p, "@carol:here") {
		if line.Err == nil {
			t.Fatalf("%+v", line)
		}
	}
	if n := len(s.kept); n > 0 {
		t.Errorf("%d lists are remembered", n)
	}
}
