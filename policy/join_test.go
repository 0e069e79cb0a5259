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

// TestAsks: the antispam service is asked about users from outside only: an invitation or a membership lets a user in by itself.
func TestAsks(t *testing.T) {
	const guest = "@guest:here"
	rules := func(rule, allow string) *room.Event {
		return &room.Event{ID: "$rules", Sender: owner, Content: json.RawMessage(`{"join_rule":"` + rule + `","allow":[` + allow + `]}`)}
	}
	const checker, other = `{"type":"fi.mau.spam_checker"}`, `{"type":"m.room_membership","room_id":"!other:here"}`
	for _, tt := range []struct {
		name       string
		rules      *room.Event
		membership string
		asks       bool
		among      int
	}{
		{"restricted", rules("restricted", checker+","+other), "", true, 1},
		{"knocking, too", rules("knock_restricted", checker), "leave", true, 0},
		{"to members of another room", rules("restricted", other), "", false, 1},
		{"invited", rules("restricted", checker), "invite", false, 0},
		{"a member", rules("restricted", checker), "join", false, 0},
		{"another rule", rules("invite", checker), "", false, 0},
		{"no rule", nil, "", false, 0},
	} {
		events := map[room.Key]*room.Event{{Type: room.TypeJoinRules}: tt.rules}
		if tt.membership != "" {
			events[room.MemberKey(guest)] = &room.Event{ID: "$member", Sender: guest, Content: json.RawMessage(`{"membership":"` + tt.membership + `"}`)}
		}
		asks, among, known := policy.Asks(room.NewSnapshot(room.State{Events: events, Complete: true}), guest)
		if asks != tt.asks || len(among) != tt.among || !known {
			t.Errorf("%s: asks %t among %v, known %t", tt.name, asks, among, known)
		}
	}
}
