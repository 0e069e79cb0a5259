package policy_test

import (
	"encoding/json"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// TestWithdrawKnock: a withdrawal is about an invitation. The rules let users take back their own knock, and a withdrawal of an invitation
// that has become a knock does not do so for them.
func TestWithdrawKnock(t *testing.T) {
	const guest, bot = id.UserID("@guest:there"), id.UserID("@usher:here")
	for membership, want := range map[string]room.Verdict{"invite": room.Allow, "knock": room.Deny, "leave": room.Deny, "join": room.Deny} {
		events := map[room.Key]*room.Event{}
		set := func(kind, key string, sender id.UserID, content string) {
			events[room.Key{Type: kind, StateKey: key}] = &room.Event{ID: id.EventID("$" + kind + key), Sender: sender, Content: json.RawMessage(content)}
		}
		set(room.TypeCreate, "", bot, `{"room_version":"11"}`)
		set(room.TypePowerLevels, "", bot, `{"users":{"@usher:here":100}}`)
		set(room.TypeMember, string(bot), bot, `{"membership":"join"}`)
		set(room.TypeMember, string(guest), guest, `{"membership":"`+membership+`"}`)
		snap := room.NewSnapshot(room.State{Events: events, Complete: true})
		q := policy.Question{Action: policy.ActionWithdraw, Actor: guest, Performer: bot, Target: guest}
		if d := policy.Decide(snap, q, policy.Merge(), policy.Facts{}); d.Verdict != want {
			t.Errorf("%s: %+v", membership, d)
		}
	}
}
