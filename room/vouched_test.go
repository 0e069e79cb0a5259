package room

import (
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"
)

func TestVouched(t *testing.T) {
	const owner, member, joiner = id.UserID("@owner:a"), id.UserID("@member:a"), id.UserID("@joiner:b")
	content := func(by string) string {
		return fmt.Sprintf(`{"membership":"join","join_authorised_via_users_server":%q}`, by)
	}
	for _, tt := range []struct {
		name, version, rule, content string
		want                         Verdict
	}{
		{"by a member with the power", "10", "restricted", content("@owner:a"), Allow},
		{"in a room that people may knock at, too", "10", "knock_restricted", content("@owner:a"), Allow},
		{"by a member without the power", "10", "restricted", content("@member:a"), Deny},
		{"by somebody who left", "10", "restricted", content("@gone:a"), Deny},
		{"by somebody who never was there", "10", "restricted", content("@nobody:evil"), Deny},
		{"by themselves", "10", "restricted", content("@joiner:b"), Deny},
		{"by nobody", "10", "restricted", `{"membership":"join"}`, Deny},
		{"by a number", "10", "restricted", `{"membership":"join","join_authorised_via_users_server":5}`, Deny},
		{"while the door stood open", "10", "public", content("@owner:a"), Deny},
		{"while people had to be invited", "10", "invite", content("@owner:a"), Deny},
		{"in a version that has no such rule", "7", "restricted", content("@owner:a"), Deny},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events := map[Key]*Event{
				{Type: TypeCreate}:      {Sender: owner, Content: fmt.Appendf(nil, `{"room_version":%q,"creator":"@owner:a"}`, tt.version)},
				{Type: TypePowerLevels}: {Sender: owner, Content: json.RawMessage(`{"invite":50,"users":{"@owner:a":100,"@gone:a":100}}`)},
				{Type: TypeJoinRules}:   {Sender: owner, Content: fmt.Appendf(nil, `{"join_rule":%q}`, tt.rule)},
			}
			for _, user := range []id.UserID{owner, member, joiner} { // the one who joins is in the room by now
				events[MemberKey(user)] = &Event{Sender: user, Content: json.RawMessage(`{"membership":"join"}`)}
			}
			events[MemberKey("@gone:a")] = &Event{Sender: "@gone:a", Content: json.RawMessage(`{"membership":"leave"}`)}
			whole := NewSnapshot(State{Events: events, Complete: true})
			if got := Vouched(whole, joiner, json.RawMessage(tt.content)); got.Verdict != tt.want {
				t.Errorf("%s %s, want %s", got.Verdict, got.Rule, tt.want)
			}
			needed := map[Key]*Event{}
			for _, k := range VouchedNeeds(joiner, json.RawMessage(tt.content)) {
				needed[k], _ = whole.Event(k)
			}
			if got := Vouched(NewSnapshot(State{Events: needed}), joiner, json.RawMessage(tt.content)); got.Verdict != tt.want {
				t.Errorf("by what it needs: %s %s, want %s", got.Verdict, got.Rule, tt.want)
			}
		})
	}
	if got := Vouched(NewSnapshot(State{}), joiner, json.RawMessage(content("@owner:a"))); got.Verdict != Unknown {
		t.Errorf("of a room that is not known: %s", got.Verdict)
	}
}
