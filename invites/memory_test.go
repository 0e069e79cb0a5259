package invites

import (
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
	return nil, ErrNoView
}

func (outside) Collect(context.Context, id.RoomID, []string, bool) ([]Change, bool, error) {
	return nil, false, ErrNoView
}

// TestListsThatCannotBeRead: policies name whatever rooms they like; those that the bot can't read are not remembered.
func TestListsThatCannotBeRead(t *testing.T) {
	s := &Service{Homeserver: outside{}}
	p := policy.Merge()
	for n := range 500 {
		p.Document.Whom.Lists = append(p.Document.Whom.Lists, id.RoomID(fmt.Sprintf("!%d", n)))
	}
	for _, line := range s.Lists(t.Context(), p) {
		if line.Err == nil {
			t.Fatalf("%+v", line)
		}
	}
	if n := len(s.memory.lists); n > 0 {
		t.Errorf("%d lists are remembered", n)
	}
}
