package appservice

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// TestPendingShared: whichever replica is given what, each invitation's end is noticed. One replica forgets an invitation when it is
// given the end of it; the others keep it.
func TestPendingShared(t *testing.T) {
	var replicas [2]*Intake
	var kept [2][]invites.MemberEvent
	for i := range replicas {
		pending := NewPending()
		pending.Share = func(r id.RoomID, user id.UserID) {
			for _, other := range replicas {
				if other.o.Pending != pending {
					other.o.Pending.Heard(r, user)
				}
			}
		}
		replicas[i] = NewIntake(IntakeOptions{
			Inbox: memberInbox{&kept[i]}, Token: "hush", Bot: "@usher:x", Prefix: "!", Pending: pending, Log: zerolog.Nop(),
		})
	}
	for step, given := range []struct {
		to         int
		membership string
	}{{0, "invite"}, {0, "leave"}, {1, "invite"}, {0, "leave"}, {1, "invite"}, {1, "join"}, {0, "invite"}, {1, "ban"}} {
		body := `{"events":[{"type":"m.room.member","state_key":"@a:x","event_id":"$e` + given.membership + `","room_id":"!r","sender":"@a:x",` +
			`"origin_server_ts":1,"content":{"membership":"` + given.membership + `"}}]}`
		before := len(kept[given.to])
		if status, _ := put(replicas[given.to], body); status != 200 || len(kept[given.to]) != before+1 {
			t.Errorf("step %d: %s, given to replica %d, was not kept", step, given.membership, given.to)
		}
	}
}

// memberInbox keeps member events.
type memberInbox struct{ kept *[]invites.MemberEvent }

func (m memberInbox) Receive(_ context.Context, _ []invites.Received, _ func(invites.Received) bool, members ...invites.MemberEvent) ([]invites.Received, error) {
	*m.kept = append(*m.kept, members...)
	return nil, nil
}
func (memberInbox) Quarantine(context.Context, []invites.Undecodable) error     { return nil }
func (memberInbox) Redact(context.Context, id.EventID, id.UserID) (bool, error) { return false, nil }
