package policy

import (
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// TestAgrees: the policy of alice, who has power 60 of 100, where a kick takes 50, power levels take 100, and bob has 70.
func TestAgrees(t *testing.T) {
	const bob, eve = id.UserID("@bob:here"), id.UserID("@eve:here")
	levels := `{"invite":0,"kick":50,"state_default":50,"events":{"m.room.power_levels":100},"users":{"@alice:here":60,"@bob:here":70,"@usher:here":100}}`
	kick := func(user id.UserID) room.Action { return room.Action{Type: room.Kick, Sender: usher, Target: user} }
	invite := room.Action{Type: room.Invite, Sender: usher, Target: "@new:here"}
	for _, tt := range []struct {
		allow string
		use   PlanUse
		do    room.Action
		code  room.Rule // empty: agreed
	}{
		{`["staff"]`, PlanUse{Name: "staff"}, invite, ""},
		{`["st*"]`, PlanUse{Name: "staff"}, invite, ""},
		{`["staff"]`, PlanUse{Name: "stuff"}, invite, CodePlan},
		{`[]`, PlanUse{Name: "staff"}, invite, CodePlan},
		{`["@alice:here"]`, PlanUse{Name: "staff"}, invite, CodePlan},
		{`["@alice:here"]`, PlanUse{Name: "staff", Manager: alice}, invite, ""},
		{`["@alice:here"]`, PlanUse{Name: "staff", Manager: bob}, invite, CodePlan},
		{`["staff"]`, PlanUse{Name: "staff"}, kick(eve), ""},
		{`["staff"]`, PlanUse{Name: "staff"}, kick(bob), CodePlanAuthor},                                                               // alice could not
		{`["staff"]`, PlanUse{Name: "staff", Manager: alice}, kick(bob), ""},                                                           // alice's own rights are judged apart
		{`["staff"]`, PlanUse{Name: "staff"}, room.Action{Type: room.Invite, Sender: usher, Target: bob}, room.RuleInviteTargetJoined}, // nobody could
		{`["staff"]`, PlanUse{Name: "staff"}, room.Action{Type: room.SetPowerLevels, Sender: usher, Content: []byte(levels)}, CodePlanAuthor},
	} {
		s := levelled(0, `{"version":1,"plan":{"allow":`+tt.allow+`}}`)
		events := map[room.Key]*room.Event{}
		for _, k := range []room.Key{{Type: room.TypeCreate}, {Type: EventType}, room.MemberKey(alice), room.MemberKey(usher)} {
			events[k], _ = s.Event(k)
		}
		events[Key()] = &room.Event{ID: "$policy", Sender: alice, Content: events[Key()].Content}
		events[room.Key{Type: room.TypePowerLevels}] = &room.Event{Sender: alice, Content: []byte(levels)}
		for _, user := range []id.UserID{bob, eve} {
			events[room.MemberKey(user)] = &room.Event{Sender: user, Content: []byte(`{"membership":"join"}`)}
		}
		events[room.MemberKey("@new:here")] = nil
		s = room.NewSnapshot(room.State{Events: events})
		d := Own(s, "!room").Agrees(s, tt.use, tt.do)
		if d.Code != tt.code || (d.Verdict == room.Allow) != (tt.code == "") {
			t.Errorf("%s, %+v, %s of %s: %s %s %+v", tt.allow, tt.use, tt.do.Type, tt.do.Target, d.Verdict, d.Code, d.Evidence)
		}
		if d.Side == SidePolicy && Explain(Question{Action: room.Invite}, d).Sentence.Key != "why."+string(tt.code) {
			t.Errorf("%s is not explained", tt.code)
		}
	}
	if d := Own(levelled(0, `{"version":2}`), "!room").Agrees(levelled(0, `{"version":2}`), PlanUse{Name: "staff"}, invite); d.Code != CodeMalformed {
		t.Errorf("an unreadable policy: %s", d.Code)
	}
}

// TestPlanNames: the items of plan.allow.
func TestPlanNames(t *testing.T) {
	for item, good := range map[string]bool{
		"staff": true, "team-1_a.b": true, "st*": true, "*": true, "@ann:example.org": true, "Staff": false, "": false, "@ann": false, "!room:x": false, "?": false,
	} {
		if _, err := (Layer{}).With("plan.allow", fmt.Sprint(item)); item != "" && (err == nil) != good {
			t.Errorf("%q: %v", item, err)
		}
	}
}
