package room

import (
	"encoding/json"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
)

const (
	olga = "@olga:one.example" // creator
	bela = "@bela:one.example"
	caro = "@caro:one.example"
	dino = "@dino:two.example"
)

// testRoom is a room in few words: event contents ("" is no event) and memberships.
type testRoom struct {
	version   id.RoomVersion
	create    string // more of its content
	joinRules string
	levels    string
	members   map[id.UserID]string
	raw       map[Key]string // events by content, which come last
}

func (r testRoom) state() State {
	s := State{Version: r.version, Complete: true, Events: make(map[Key]*Event)}
	put := func(k Key, sender id.UserID, content string) {
		if content != "" {
			s.Events[k] = &Event{Sender: sender, Content: json.RawMessage(content)}
		}
	}
	put(Key{Type: TypeCreate}, olga, `{"creator":"`+olga+`"`+r.create+`}`)
	put(Key{Type: TypeJoinRules}, olga, r.joinRules)
	put(Key{Type: TypePowerLevels}, olga, r.levels)
	for user, membership := range r.members {
		put(MemberKey(user), user, `{"membership":"`+membership+`"}`)
	}
	for key, content := range r.raw {
		put(key, olga, content)
	}
	return s
}

func (r testRoom) judge(a Action) Result { return Authorize(NewSnapshot(r.state()), a) }

// everyone is in the room.
func everyone() map[id.UserID]string {
	return map[id.UserID]string{olga: join, bela: join, caro: join, dino: join}
}

func TestFormatAndRoom(t *testing.T) {
	good := testRoom{version: "10", joinRules: `{"join_rule":"public"}`, members: map[id.UserID]string{olga: join}}
	joinIt := Action{Type: Join, Sender: bela, Target: bela}
	with := func(change func(r *testRoom, a *Action)) (testRoom, Action) {
		r, a := good, joinIt
		change(&r, &a)
		return r, a
	}
	tests := []struct {
		name   string
		change func(r *testRoom, a *Action)
		want   Verdict
		rule   Rule
	}{
		{"nothing wrong", func(*testRoom, *Action) {}, Allow, RuleJoinPublic},
		{"content of null", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`null`) }, Deny, RuleFormatContent},
		{"content with a key twice", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`{"a":{"b":1,"b":1}}`) }, Deny, RuleFormatContent},
		{"content with another membership", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`{"membership":"ban"}`) }, Deny, RuleFormatContent},
		{"content with the same membership", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`{"membership":"join"}`) }, Allow, RuleJoinPublic},
		{"content with another case", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`{"Membership":"ban","memberſhip":"ban"}`) }, Allow, RuleJoinPublic},
		{"content with a float", func(_ *testRoom, a *Action) { a.Content = json.RawMessage(`{"a":[1.5]}`) }, Deny, RuleFormatCanonicalJSON},
		{"content with a float in v5", func(r *testRoom, a *Action) { r.version, a.Content = "5", json.RawMessage(`{"a":[1.5]}`) }, Allow, RuleJoinPublic},
		{"canonical JSON comes before the rules", func(r *testRoom, a *Action) {
			r.raw = map[Key]string{{Type: TypeCreate}: `[]`}
			a.Content = json.RawMessage(`{"a":-0}`)
		}, Deny, RuleFormatCanonicalJSON},
		{"sender without a server", func(_ *testRoom, a *Action) { a.Sender, a.Target = "@bela", "@bela" }, Deny, RuleFormatUserID},
		{"no target", func(_ *testRoom, a *Action) { a.Target = "" }, Deny, RuleFormatUserID},
		{"no type", func(_ *testRoom, a *Action) { a.Type = "" }, Deny, RuleFormatAction},
		{"malformed create event", func(r *testRoom, _ *Action) { r.raw = map[Key]string{{Type: TypeCreate}: `{`} }, Deny, RuleCreateMissing},
		{"v10 without a creator", func(r *testRoom, _ *Action) { r.raw = map[Key]string{{Type: TypeCreate}: `{}`} }, Deny, RuleCreateMissing},
		{"v11 without a creator", func(r *testRoom, _ *Action) { r.version, r.raw = "11", map[Key]string{{Type: TypeCreate}: `{}`} }, Allow, RuleJoinPublic},
		{"v12 with a malformed creator", func(r *testRoom, _ *Action) { r.version, r.create = "12", `,"additional_creators":["@x"]` }, Deny, RuleCreateMissing},
		{"v12 with malformed creators", func(r *testRoom, _ *Action) { r.version, r.create = "12", `,"additional_creators":"`+bela+`"` }, Deny, RuleCreateMissing},
		{"v11 does not care", func(r *testRoom, _ *Action) { r.version, r.create = "11", `,"additional_creators":"`+bela+`"` }, Allow, RuleJoinPublic},
		{"not federating, same server", func(r *testRoom, _ *Action) { r.create = `,"m.federate":false` }, Allow, RuleJoinPublic},
		{"not federating, other server", func(r *testRoom, a *Action) {
			r.create, a.Sender, a.Target = `,"m.federate":false`, dino, dino
		}, Deny, RuleFederate},
		{"m.federate malformed, other server", func(r *testRoom, a *Action) {
			r.create, a.Sender, a.Target = `,"m.federate":"true"`, dino, dino
		}, Deny, RuleFederate},
		{"other case of m.federate", func(r *testRoom, a *Action) {
			r.create, a.Sender, a.Target = `,"M.federate":false`, dino, dino
		}, Allow, RuleJoinPublic},
		{"unknown version", func(r *testRoom, _ *Action) { r.version = "org.example.1" }, Unknown, RuleUnknownVersion},
		{"version with a zero", func(r *testRoom, _ *Action) { r.version = "01" }, Unknown, RuleUnknownVersion},
		{"version from the create event", func(r *testRoom, _ *Action) { r.version, r.create = "", `,"room_version":"11"` }, Allow, RuleJoinPublic},
		{"version from no room_version", func(r *testRoom, _ *Action) { r.version, r.joinRules = "", `{"join_rule":"knock"}` }, Deny, RuleJoinRuleUnknown},
		{"malformed room_version", func(r *testRoom, _ *Action) { r.version, r.create = "", `,"room_version":11` }, Unknown, RuleUnknownVersion},
		{"join rules without a rule", func(r *testRoom, _ *Action) { r.joinRules = `{}` }, Deny, RuleJoinRuleUnknown},
		{"join rules in another case", func(r *testRoom, _ *Action) { r.joinRules = `{"JOIN_RULE":"public"}` }, Deny, RuleJoinRuleUnknown},
		{"join rules with a key twice", func(r *testRoom, _ *Action) { r.joinRules = `{"join_rule":"public","join_rule":"public"}` }, Deny, RuleJoinRuleUnknown},
		{"malformed membership", func(r *testRoom, _ *Action) { r.raw = map[Key]string{MemberKey(bela): `{"membership":null}`} }, Deny, RuleJoinBanned},
	}
	for _, test := range tests {
		r, a := with(test.change)
		if got := r.judge(a); got.Verdict != test.want || got.Rule != test.rule {
			t.Errorf("%s: got %v %s, want %v %s", test.name, got.Verdict, got.Rule, test.want, test.rule)
		}
	}
}

// TestMalformedStateDenies puts malformed state where a rule reads it.
func TestMalformedStateDenies(t *testing.T) {
	levels := Key{Type: TypePowerLevels}
	tests := []struct {
		name    string
		key     Key
		content string
		action  Action
		rule    Rule
	}{
		{"invite level", levels, `{"users":{"` + olga + `":100},"invite":"foo"}`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"sender's level", levels, `{"users":{"` + olga + `":null}}`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"users", levels, `{"users":[]}`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"users_default", levels, `{"users_default":{}}`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"level twice", levels, `{"invite":0,"invite":0}`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"no JSON", levels, `{`, Action{Type: Invite, Sender: olga, Target: "@x:y"}, RuleInvitePower},
		{"target's level", levels, `{"users":{"` + olga + `":100,"` + bela + `":true}}`, Action{Type: Ban, Sender: olga, Target: bela}, RuleBanOutranked},
		{"level for an event", levels, `{"users":{"` + olga + `":100},"events":{"m.room.join_rules":[]}}`, Action{Type: SetJoinRules, Sender: olga}, RuleStatePower},
		{"events", levels, `{"users":{"` + olga + `":100},"events":7}`, Action{Type: SetJoinRules, Sender: olga}, RuleStatePower},
		{"level that is changed", levels, `{"users":{"` + olga + `":100},"ban":"foo"}`, Action{Type: SetPowerLevels, Sender: olga}, RulePLChangeAbove},
		{"notifications that are changed", levels, `{"users":{"` + olga + `":100},"notifications":7}`, Action{Type: SetPowerLevels, Sender: olga}, RulePLChangeAbove},
		{"user that is changed", levels, `{"users":{"` + olga + `":100,"` + bela + `":"foo"}}`, Action{Type: SetPowerLevels, Sender: olga}, RulePLUserOutranked},
		{"target's membership", MemberKey(bela), `[]`, Action{Type: Invite, Sender: olga, Target: bela}, RuleInviteTargetBanned},
		{"target's membership, kick", MemberKey(bela), `{"membership":7}`, Action{Type: Kick, Sender: olga, Target: bela}, RuleUnbanPower},
		{"sender's membership", MemberKey(olga), `{"Membership":"join"}`, Action{Type: Kick, Sender: olga, Target: bela}, RuleKickSenderNotJoined},
		{"own membership", MemberKey(bela), `{}`, Action{Type: Leave, Sender: bela, Target: bela}, RuleLeaveNotInRoom},
	}
	for _, test := range tests {
		r := testRoom{version: "9", members: everyone(), raw: map[Key]string{test.key: test.content}}
		got := r.judge(test.action)
		if got.Verdict != Deny || got.Rule != test.rule {
			t.Errorf("%s: got %v %s, want %s", test.name, got.Verdict, got.Rule, test.rule)
		}
		if got.Evidence.Found != foundMalformed || got.Evidence.Key != test.key || !strings.Contains(got.Phrase().String(), "malformed") {
			t.Errorf("%s: the evidence is %+v", test.name, got.Evidence)
		}
	}
}

// TestLevelsOfOthers: nobody changes or removes the entry of another user who is not below them, nor raises anybody above themselves.
func TestLevelsOfOthers(t *testing.T) {
	users := func(belas, zoras string) string {
		return `{"users":{"` + string(olga) + `":50,"` + string(bela) + `":` + belas + zoras + `},"users_default":0}`
	}
	for _, test := range []struct {
		name     string
		old, new string
		rule     Rule // empty: allowed
	}{
		{"below", users("49", ""), users("0", ""), ""},
		{"equal", users("50", ""), users("0", ""), RulePLUserOutranked},
		{"equal, unchanged", users("50", ""), users("50", ""), ""},
		{"equal, removed", users("50", ""), `{"users":{"` + string(olga) + `":50}}`, RulePLUserOutranked},
		{"above", users("51", ""), users("0", ""), RulePLUserOutranked},
		{"up to one's own", users("0", ""), users("50", ""), ""},
		{"above one's own", users("0", ""), users("51", ""), RulePLGrantAbove},
		{"somebody new", users("0", ""), users("0", `,"@zora:x":50`), ""},
		{"somebody new, too high", users("0", ""), users("0", `,"@zora:x":51`), RulePLGrantAbove},
	} {
		r := testRoom{version: "9", members: everyone(), raw: map[Key]string{{Type: TypePowerLevels}: test.old}}
		got := r.judge(Action{Type: SetPowerLevels, Sender: olga, Content: []byte(test.new)})
		if (got.Verdict == Allow) != (test.rule == "") || test.rule != "" && got.Rule != test.rule {
			t.Errorf("%s: got %v %s, want %s", test.name, got.Verdict, got.Rule, test.rule)
		}
	}
}

// TestEvidence checks what is said beside the rule.
func TestEvidence(t *testing.T) {
	levels := Key{Type: TypePowerLevels}
	r := testRoom{version: "12", levels: `{"users":{"` + bela + `":40},"invite":50}`, members: everyone()}
	tests := []struct {
		action Action
		want   Result
	}{
		{Action{Type: Invite, Sender: bela, Target: "@x:y"}, Result{Deny, RuleInvitePower, Evidence{Key: levels, Had: 40, Needed: 50, User: bela}}},
		{Action{Type: Kick, Sender: olga, Target: bela}, Result{Allow, RuleKick, Evidence{Key: levels, Had: Infinite, Needed: 40, User: bela}}},
		{Action{Type: Invite, Sender: olga, Target: bela}, Result{Deny, RuleInviteTargetJoined, Evidence{Key: MemberKey(bela), Found: join, Wanted: leave, User: bela}}},
		{Action{Type: Knock, Sender: "@x:y", Target: "@x:y"}, Result{Deny, RuleKnockRule, Evidence{Key: Key{Type: TypeJoinRules}, Found: invite, Wanted: knock, User: "@x:y"}}},
		{Action{Type: SetPowerLevels, Sender: olga, Content: json.RawMessage(`{"ban":"x"}`)}, Result{Deny, RulePLNotInteger, Evidence{Found: "ban"}}},
	}
	for _, test := range tests {
		if got := r.judge(test.action); got != test.want {
			t.Errorf("%s: got %+v", test.action.Type, got)
		}
	}
}

func TestCanSend(t *testing.T) {
	r := testRoom{version: "10", levels: `{"users":{"` + bela + `":50,"` + caro + `":60},"invite":60,"events":{"m.room.name":60,"m.room.message":10}}`,
		members: map[id.UserID]string{bela: join, caro: join, dino: invite}}
	tests := []struct {
		user    id.UserID
		evType  string
		isState bool
		want    Rule
	}{
		{bela, "m.room.topic", true, RuleState},
		{bela, "m.room.name", true, RuleStatePower},
		{caro, "m.room.name", true, RuleState},
		{bela, "m.room.message", false, RuleState},
		{olga, "m.room.message", false, RuleStateSenderNotJoined},
		{dino, "m.room.message", false, RuleStateSenderNotJoined},
		{bela, "m.room.third_party_invite", true, RuleThirdPartySendPower},
		{caro, "m.room.third_party_invite", true, RuleThirdPartySend},
		{caro, "m.room.member", true, RuleFormatAction},
		{"caro", "m.room.topic", true, RuleFormatUserID},
		{bela, "m.room.aliases", true, RuleState},
	}
	for _, test := range tests {
		if got := NewSnapshot(r.state()).CanSend(test.user, test.evType, test.isState); got.Rule != test.want {
			t.Errorf("%s sends %s: got %s, want %s", test.user, test.evType, got.Rule, test.want)
		}
	}
	// m.room.aliases is for servers, until v5.
	r.version = "5"
	s := NewSnapshot(r.state())
	server := "two.example"
	if got := s.CanSend(caro, TypeAliases, true); got.Rule != RuleStateKey {
		t.Errorf("aliases of no server: %s", got.Rule)
	}
	if got := (rules{s}).authorizeSend(dino, TypeAliases, &server); got.Verdict != Allow {
		t.Errorf("aliases of the sender's server: %s", got.Rule)
	}
	other := string(bela)
	if got := (rules{s}).authorizeSend(caro, "org.example.state", &other); got.Rule != RuleStateKey {
		t.Errorf("somebody else's state: %s", got.Rule)
	}
}

func TestSnapshotAccess(t *testing.T) {
	state := testRoom{version: "12", create: `,"additional_creators":["` + bela + `"]`, levels: `{"users":{"` + caro + `":40},"users_default":3}`,
		members: everyone()}.state()
	state.Complete = false
	s := NewSnapshot(state)
	for user, want := range map[id.UserID]Level{olga: Infinite, bela: Infinite, caro: 40, dino: 3} {
		if got, known := s.Power(user); got != want || !known {
			t.Errorf("%s: power %d, %v", user, got, known)
		}
	}
	if m, known := s.Membership(dino); m != join || !known {
		t.Errorf("membership %s, %v", m, known)
	}
	if _, known := s.Membership("@x:y"); known {
		t.Error("the membership of somebody not given is known")
	}
	if _, known := s.JoinRule(); known {
		t.Error("the join rule is known")
	}
	if e, known := s.Event(Key{Type: TypePowerLevels}); e == nil || !known {
		t.Error("the power levels are not there")
	}
	delete(state.Events, Key{Type: TypePowerLevels})
	if _, known := s.Power(caro); !known {
		t.Error("the snapshot changed with its state")
	}
	if _, known := NewSnapshot(state).Power(caro); known {
		t.Error("power without power levels is known")
	}
	if got, known := NewSnapshot(state).Power(bela); got != Infinite || !known {
		t.Error("a creator's power needs no power levels")
	}
}
