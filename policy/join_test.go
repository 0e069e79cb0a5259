package policy_test

import (
	"encoding/json"
	"testing"

	"usher/policy"
	"usher/room"
)

// TestDecideJoin: users who may change the policy always pass. Where their power is not known, nobody is refused for certain.
func TestDecideJoin(t *testing.T) {
	content := json.RawMessage(`{"version":1,"join":{"max_members":2}}`)
	known := map[room.Key]*room.Event{
		{Type: "m.room.create"}:       {ID: "$create", Sender: owner, Content: json.RawMessage(`{"room_version":"11"}`)},
		{Type: "m.room.power_levels"}: {ID: "$levels", Sender: owner, Content: json.RawMessage(`{"users":{"@owner:here":100,"@mod:here":50}}`)},
	}
	unknown := map[room.Key]*room.Event{{Type: "m.room.create"}: known[room.Key{Type: "m.room.create"}]}
	p := guardOf(t, owner, string(content))
	for _, tt := range []struct {
		name    string
		state   room.State
		members int64
		want    room.Verdict
	}{
		{"room for one more", room.State{Events: known, Complete: true}, 1, room.Allow},
		{"full", room.State{Events: known, Complete: true}, 2, room.Deny},
		{"full, and the power levels are not known", room.State{Events: unknown}, 2, room.Unknown},
		{"room for one more, and the power levels are not known", room.State{Events: unknown}, 1, room.Allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := room.NewSnapshot(tt.state)
			f := policy.Facts{Have: policy.FactMembers, Members: tt.members}
			if got := policy.DecideJoin(s, "@guest:here", p, f); got.Verdict != tt.want {
				t.Errorf("got %s %s", got.Verdict, got.Code)
			}
		})
	}
	listed := guardOf(t, owner, `{"version":1,"join":{"deny":true},"whom":{"lists":["!list:here"]}}`)
	for hit, want := range map[*policy.Hit]room.Verdict{nil: room.Allow, {List: "!list:here"}: room.Deny} {
		f := policy.Facts{Have: policy.FactLists, Hit: hit}
		if got := policy.DecideJoin(room.NewSnapshot(room.State{Events: known, Complete: true}), "@guest:here", listed, f); got.Verdict != want {
			t.Errorf("hit %v: %s %s", hit, got.Verdict, got.Code)
		}
	}
	full := policy.Facts{Have: policy.FactMembers, Members: 2}
	if got := policy.DecideJoin(room.NewSnapshot(room.State{Events: known, Complete: true}), mod, p, full); got.Verdict != room.Allow {
		t.Errorf("a moderator: %s %s", got.Verdict, got.Code)
	}
}
