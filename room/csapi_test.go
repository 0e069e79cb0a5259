package room

import (
	"encoding/json"
	"testing"

	"maunium.net/go/mautrix/id"
)

func TestClientAPI(t *testing.T) {
	const levels = `{"users":{"` + olga + `":100,"` + bela + `":50}}`
	absent, banned, knocking := map[id.UserID]string{olga: join, bela: join}, map[id.UserID]string{olga: join, bela: join, caro: ban}, map[id.UserID]string{olga: join, caro: knock}
	left := map[id.UserID]string{olga: join, caro: leave}
	tests := []struct {
		name                   string
		create                 string
		members                map[id.UserID]string
		action                 Action
		rules                  Rule
		any, synapse, dendrite Rule   // by AnyHomeserver, Synapse, Dendrite
		errcode                string // Synapse's
	}{
		{"invite of somebody banned", "", banned, Action{Type: Invite, Sender: olga, Target: caro},
			RuleInviteTargetBanned, RuleInviteTargetBanned, RuleInviteTargetBanned, RuleInviteTargetBanned, "M_BAD_STATE"},
		{"invite of somebody joined", "", everyone(), Action{Type: Invite, Sender: olga, Target: caro},
			RuleInviteTargetJoined, RuleInviteTargetJoined, RuleInviteTargetJoined, RuleInviteTargetJoined, "M_FORBIDDEN"},
		{"kick of somebody never seen", "", absent, Action{Type: Kick, Sender: olga, Target: caro},
			RuleKick, RuleAPIKickAbsent, RuleAPIKickAbsent, RuleAPIKickAbsent, "M_FORBIDDEN"},
		{"kick of somebody who left", "", left, Action{Type: Kick, Sender: olga, Target: caro},
			RuleKick, RuleAPIKickAbsent, RuleAPIKickAbsent, RuleAPIKickAbsent, "M_FORBIDDEN"},
		{"kick of somebody banned", "", banned, Action{Type: Kick, Sender: olga, Target: caro},
			RuleUnban, RuleAPIKickAbsent, RuleAPIKickAbsent, RuleAPIKickAbsent, "M_BAD_STATE"},
		{"kick without the power", "", everyone(), Action{Type: Kick, Sender: caro, Target: dino},
			RuleKickPower, RuleKickPower, RuleKickPower, RuleKickPower, "M_FORBIDDEN"},
		{"refusal of a knock", "", knocking, Action{Type: Kick, Sender: olga, Target: caro},
			RuleKick, RuleKick, RuleKick, RuleAPIKnock, ""},
		{"knock taken back", "", knocking, Action{Type: Leave, Sender: caro, Target: caro},
			RuleLeave, RuleLeave, RuleLeave, RuleAPIKnock, ""},
		{"join after a knock", "", knocking, Action{Type: Join, Sender: caro, Target: caro},
			RuleJoinPublic, RuleJoinPublic, RuleJoinPublic, RuleAPIKnock, ""},
		{"unban", "", banned, Action{Type: Unban, Sender: olga, Target: caro},
			RuleUnban, RuleUnban, RuleUnban, RuleUnban, ""},
		{"unban of somebody who left", "", left, Action{Type: Unban, Sender: olga, Target: caro},
			RuleKick, RuleAPIUnbanNotBanned, RuleAPIUnbanNotBanned, RuleAPIUnbanNotBanned, "M_BAD_STATE"},
		{"unban of somebody never seen", "", absent, Action{Type: Unban, Sender: olga, Target: caro},
			RuleKick, RuleKick, RuleKick, RuleAPIUnbanNotBanned, ""},
		{"second leave", "", left, Action{Type: Leave, Sender: caro, Target: caro},
			RuleLeaveNotInRoom, RuleLeaveNotInRoom, RuleAPIRepeat, RuleLeaveNotInRoom, ""},
		{"leave of somebody never seen", "", absent, Action{Type: Leave, Sender: caro, Target: caro},
			RuleLeaveNotInRoom, RuleLeaveNotInRoom, RuleLeaveNotInRoom, RuleLeaveNotInRoom, "M_FORBIDDEN"},
		{"remote invite without federation", `,"m.federate":false`, absent, Action{Type: Invite, Sender: olga, Target: dino},
			RuleInvite, RuleInvite, RuleAPIFederateTarget, RuleInvite, "M_FORBIDDEN"},
		{"local invite without federation", `,"m.federate":false`, absent, Action{Type: Invite, Sender: olga, Target: caro},
			RuleInvite, RuleInvite, RuleInvite, RuleInvite, ""},
		{"power levels", "", absent, Action{Type: SetPowerLevels, Sender: bela, Content: json.RawMessage(levels)},
			RulePowerLevels, RulePowerLevels, RulePowerLevels, RulePowerLevels, ""},
		{"no canonical JSON", "", absent, Action{Type: SetPowerLevels, Sender: olga, Content: json.RawMessage(`{"ban":1.5}`)},
			RuleFormatCanonicalJSON, RuleFormatCanonicalJSON, RuleFormatCanonicalJSON, RuleFormatCanonicalJSON, "M_BAD_JSON"},
	}
	for _, test := range tests {
		s := NewSnapshot(testRoom{version: "10", create: test.create, joinRules: `{"join_rule":"public"}`, levels: levels, members: test.members}.state())
		if got := Authorize(s, test.action); got.Rule != test.rules {
			t.Errorf("%s: the rules say %s, want %s", test.name, got.Rule, test.rules)
		}
		for hs, want := range map[Homeserver]Rule{AnyHomeserver: test.any, Synapse: test.synapse, Dendrite: test.dendrite} {
			got := ClientAPI(s, test.action, hs)
			if got.Rule != want || (got.Verdict == Deny) != (got.Errcode != "") {
				t.Errorf("%s: %q says %v %s %s, want %s", test.name, hs, got.Verdict, got.Rule, got.Errcode, want)
			}
			if hs == Synapse && got.Errcode != test.errcode {
				t.Errorf("%s: got %s, want %s", test.name, got.Errcode, test.errcode)
			}
		}
	}
	if got := ClientAPI(NewSnapshot(State{Version: "10"}), Action{Type: Kick, Sender: olga, Target: caro}, Synapse); got.Verdict != Unknown || got.Errcode != "" {
		t.Errorf("nothing known: %+v", got)
	}
}
