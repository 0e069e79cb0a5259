package policy_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

const (
	keeper = id.UserID("@usher:here") // the bot
	owner  = id.UserID("@owner:here")
	mod    = id.UserID("@mod:here")
	home   = id.RoomID("!home:here")
)

// door is a room as a guard sees it.
type door struct {
	version string
	rule    string            // content of m.room.join_rules
	levels  string            // content of m.room.power_levels
	sender  map[string]string // of them, by type; the owner if absent
}

func (d door) snapshot() *room.Snapshot {
	events := map[room.Key]*room.Event{}
	set := func(kind, key string, sender id.UserID, content string) {
		if content != "" {
			events[room.Key{Type: kind, StateKey: key}] = &room.Event{ID: id.EventID("$" + kind), Sender: sender, Content: json.RawMessage(content)}
		}
	}
	if d.version == "" {
		d.version = "11"
	}
	by := func(kind string) id.UserID {
		if sender, ok := d.sender[kind]; ok {
			return id.UserID(sender)
		}
		return owner
	}
	set("m.room.create", "", owner, fmt.Sprintf(`{"room_version":%q,"creator":%q}`, d.version, owner))
	set("m.room.join_rules", "", by("m.room.join_rules"), d.rule)
	set("m.room.power_levels", "", by("m.room.power_levels"), d.levels)
	for _, user := range []id.UserID{owner, mod, keeper} {
		set("m.room.member", string(user), user, `{"membership":"join"}`)
	}
	return room.NewSnapshot(room.State{Events: events, Complete: true})
}

func guardOf(t *testing.T, author id.UserID, content string) *policy.InForce {
	t.Helper()
	source := policy.Read(home, &room.Event{ID: "$policy", Sender: author, Content: json.RawMessage(content)})
	if source.Fault != nil {
		t.Fatal(source.Fault)
	}
	return policy.Merge(source)
}

func TestDrifts(t *testing.T) {
	const keep = `{"version":1,"guard":{"mode":"enforce","join_rule":"invite","levels":{"invite":50,"kick":50,"events.m.room.join_rules":100,"notifications.room":50}}}`
	good := `{"invite":50,"events":{"m.room.join_rules":100}}`
	for _, tt := range []struct {
		name string
		door door
		want []string
	}{
		{"as it should be", door{rule: `{"join_rule":"invite"}`, levels: good}, nil},
		{"no join rule is invite", door{levels: good}, nil},
		{"join rule", door{rule: `{"join_rule":"public"}`, levels: good}, []string{"guard.join_rule public invite"}},
		{"malformed join rule", door{rule: `{"join_rule":1}`, levels: good}, []string{"guard.join_rule  invite"}},
		{"a named level", door{levels: `{"invite":0,"events":{"m.room.join_rules":100}}`}, []string{"guard.levels.invite 0 50"}},
		{"a level by default", door{levels: `{"events":{"m.room.join_rules":100}}`}, []string{"guard.levels.invite 0 50"}},
		{"an event's level by default", door{levels: `{"invite":50}`}, []string{"guard.levels.events.m.room.join_rules 50 100"}},
		{"an event's level by the default for state", door{levels: `{"invite":50,"state_default":100}`}, nil},
		{"a notification's level", door{levels: `{"invite":50,"state_default":100,"notifications":{"room":0}}`},
			[]string{"guard.levels.notifications.room 0 50"}},
		{"text where the version allows it", door{version: "9", levels: `{"invite":"50","state_default":100}`}, nil},
		{"text where it does not", door{levels: `{"invite":"50","state_default":100}`}, []string{"guard.levels.invite malformed 50"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := guardOf(t, owner, keep)
			var got []string
			for _, d := range p.Document.Guard.Drifts(tt.door.snapshot()) {
				for _, w := range d.What {
					got = append(got, w.Path+" "+w.Found+" "+w.Wanted)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if unknown := room.NewSnapshot(room.State{}); len(guardOf(t, owner, keep).Document.Guard.Drifts(unknown)) > 0 {
		t.Error("what is not known has drifted")
	}
}

func TestMend(t *testing.T) {
	p := guardOf(t, owner, `{"version":1,"guard":{"mode":"enforce","join_rule":"restricted","levels":{"ban":50,"events.m.room.name":50}}}`)
	s := door{rule: `{"join_rule":"public"}`, levels: `{"ban":0,"users":{"@owner:here":100},"events":{"m.room.topic":1},"org.example":{"a":1}}`}.snapshot()
	allow := `{"join_rule":"restricted","allow":[{"type":"m.room_membership","room_id":"!x:y"}]}`
	for i, want := range []struct{ before, content string }{
		{allow, allow},
		{`{"join_rule":"invite","Join_Rule":"restricted"}`, `{"join_rule":"restricted"}`},
		{``, `{"ban":50,"users":{"@owner:here":100},"events":{"m.room.topic":1},"org.example":{"a":1}}`},
	} {
		drifts := p.Document.Guard.Drifts(s)
		d := drifts[max(0, i-1)]
		if p.Document.Guard.Mend(s, &d, json.RawMessage(want.before)); string(d.Content) != want.content {
			t.Errorf("%d: %s, want %s", i, d.Content, want.content)
		}
	}
	missing := door{}.snapshot()
	p = guardOf(t, owner, `{"version":1,"guard":{"levels":{"ban":60}}}`)
	d := p.Document.Guard.Drifts(missing)[0]
	if p.Document.Guard.Mend(missing, &d, nil); d.Content != nil {
		t.Errorf("power levels made of nothing: %s", d.Content)
	}
}

func TestMaySetBack(t *testing.T) {
	const users = `"users":{"@owner:here":100,"@usher:here":100,"@mod:here":50}`
	rule := func(by string) door {
		return door{rule: `{"join_rule":"public"}`, levels: `{` + users + `}`, sender: map[string]string{"m.room.join_rules": by}}
	}
	const keepRule = `{"version":1,"guard":{"mode":"enforce","join_rule":"invite"}}`
	const open = `{"version":1,"guard":{"mode":"enforce","levels":{"users_default":100}}}`
	levels := func(more string) door { return door{levels: `{` + users + more + `}`} }
	for _, tt := range []struct {
		name   string
		door   door
		author id.UserID
		policy string
		code   room.Rule
	}{
		{"by somebody below", rule("@mod:here"), owner, keepRule, ""},
		{"by an equal", rule("@owner:here"), owner, keepRule, ""},
		{"the author left, but the policy is as well kept as the rule", rule("@mod:here"), "@gone:here", keepRule, ""},
		{"the bot wrote it for somebody", rule("@mod:here"), keeper, keepRule, ""},
		{"by somebody above", door{rule: `{"join_rule":"public"}`, levels: `{"users":{"@owner:here":100,"@usher:here":50}}`}, owner, keepRule, policy.CodeGuardAbove},
		{"by a creator", door{version: "12", rule: `{"join_rule":"public"}`, levels: `{"users":{"@usher:here":100}}`}, owner, keepRule, policy.CodeGuardAbove},
		{"the bot lacks the power", door{rule: `{"join_rule":"public"}`, levels: `{"users":{"@owner:here":100,"@usher:here":20,"@mod:here":20}}`,
			sender: map[string]string{"m.room.join_rules": "@mod:here"}}, owner, keepRule, policy.CodeGuardPower},
		{"levels, by the author's own power", levels(``), owner, open, ""},
		{"a moderator can't have the bot raise everybody", levels(`,"events":{"m.room.power_levels":100}`), mod, open, policy.CodeGuardAuthor},
		{"nor above themselves, where they may change levels", levels(``), mod, open, policy.CodeGuardAuthor},
		{"nor in the bot's name", levels(`,"events":{"m.room.power_levels":100}`), keeper, open, policy.CodeGuardAuthor},
		{"the policy is as well kept as the levels", levels(`,"events":{"m.room.power_levels":100,"chat.usher.policy":100}`), keeper, open, ""},
		{"the rule takes more than the policy", door{rule: `{"join_rule":"public"}`, levels: `{` + users + `,"events":{"m.room.join_rules":100}}`},
			mod, keepRule, policy.CodeGuardAuthor},
		{"no power levels to mend", door{}, owner, open, policy.CodeGuardContent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p := tt.door.snapshot(), guardOf(t, tt.author, tt.policy)
			drifts := p.Document.Guard.Drifts(s)
			if len(drifts) != 1 {
				t.Fatalf("%+v", drifts)
			}
			p.Document.Guard.Mend(s, &drifts[0], nil)
			if code, because := p.MaySetBack(s, home, &drifts[0], keeper); code != tt.code {
				t.Errorf("%q (%s), want %q", code, because.Rule, tt.code)
			}
		})
	}
}

// TestEntitledInherited: how well a space keeps its policy says nothing of the rooms in it.
func TestEntitledInherited(t *testing.T) {
	s := door{levels: `{"users":{"@usher:here":100,"@owner:here":100}}`}.snapshot()
	kick := room.Action{Type: room.Kick, Sender: keeper, Target: mod}
	for author, want := range map[id.UserID]bool{owner: true, keeper: false, "@stranger:here": false} {
		p := guardOf(t, author, `{"version":1,"guard":{"intruders":"kick"}}`)
		if got := p.Entitled(s, "!room-in-it:here", "guard.intruders", kick); got != want {
			t.Errorf("written by %s: %t", author, got)
		}
		if !p.Entitled(s, home, "guard.intruders", kick) {
			t.Errorf("written by %s in the room itself: whoever may write it may kick", author)
		}
		if p.Entitled(s, home, "guard.by_hand", kick) {
			t.Error("by a field that nobody set")
		}
	}
}

func TestIsIntruder(t *testing.T) {
	for rule, want := range map[string][2]bool{"": {}, "public": {}, "invite": {true, true}, "private": {true, true}, "knock": {true, true},
		"restricted": {true, false}, "knock_restricted": {true, false}} {
		g := policy.Guard{JoinRule: rule}
		if got := [2]bool{g.IsIntruder(false), g.IsIntruder(true)}; got != want {
			t.Errorf("%q: %v", rule, got)
		}
	}
}
