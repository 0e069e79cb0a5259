package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	p = guardOf(t, owner, `{"version":1,"guard":{"mode":"enforce","levels":{"ban":50}}}`)
	s = door{version: "9", levels: `{"ban":"0","users":{"@owner:here":"100"}}`}.snapshot()
	d := p.Document.Guard.Drifts(s)[0]
	if p.Document.Guard.Mend(s, &d, nil); string(d.Content) != `{"ban":50,"users":{"@owner:here":100}}` {
		t.Errorf("strings become %s, which homeservers refuse", d.Content)
	}
	missing := door{}.snapshot()
	p = guardOf(t, owner, `{"version":1,"guard":{"levels":{"ban":60}}}`)
	d = p.Document.Guard.Drifts(missing)[0]
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
		{"the author left", rule("@mod:here"), "@gone:here", keepRule, policy.CodeGuardAuthor},
		{"the bot wrote it for nobody knows whom", rule("@mod:here"), keeper, keepRule, policy.CodeGuardAuthor},
		{"the bot wrote it for somebody", rule("@mod:here"), keeper, `{"for":"@owner:here",` + keepRule[1:], ""},
		{"the bot wrote it for somebody with less", levels(``), keeper, `{"for":"@mod:here",` + open[1:], policy.CodeGuardAuthor},
		{"somebody else says so", levels(``), mod, `{"for":"@owner:here",` + open[1:], policy.CodeGuardAuthor},
		{"the author may not write the policy any more", levels(`,"events":{"m.room.join_rules":0,"chat.usher.policy":100},"ban":0`), mod,
			`{"version":1,"guard":{"mode":"enforce","levels":{"ban":50}}}`, policy.CodeGuardAuthor},
		{"whoever can change it may have it set back", levels(`,"ban":0`), mod, `{"version":1,"guard":{"mode":"enforce","levels":{"ban":50}}}`, ""},
		{"a lockdown arms nothing", levels(`,"events":{"m.room.power_levels":100,"chat.usher.policy":100}`), mod, open, policy.CodeGuardAuthor},
		{"by somebody above", door{rule: `{"join_rule":"public"}`, levels: `{"users":{"@owner:here":100,"@usher:here":50}}`}, owner, keepRule, policy.CodeGuardAbove},
		{"by a creator", door{version: "12", rule: `{"join_rule":"public"}`, levels: `{"users":{"@usher:here":100}}`}, owner, keepRule, policy.CodeGuardAbove},
		{"the bot lacks the power", door{rule: `{"join_rule":"public"}`, levels: `{"users":{"@owner:here":100,"@usher:here":20,"@mod:here":20}}`,
			sender: map[string]string{"m.room.join_rules": "@mod:here"}}, owner, keepRule, policy.CodeGuardPower},
		{"levels, by the author's own power", levels(``), owner, open, ""},
		{"a moderator can't have the bot raise everybody", levels(`,"events":{"m.room.power_levels":100}`), mod, open, policy.CodeGuardAuthor},
		{"nor above themselves, where they may change levels", levels(``), mod, open, policy.CodeGuardAuthor},
		{"nor in the bot's name", levels(`,"events":{"m.room.power_levels":100}`), keeper, open, policy.CodeGuardAuthor},
		{"though the policy is as well kept as the levels", levels(`,"events":{"m.room.power_levels":100,"chat.usher.policy":100}`), keeper, open, policy.CodeGuardAuthor},
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
			if code, because := p.MaySetBack(s, &drifts[0], keeper); code != tt.code {
				t.Errorf("%q (%s), want %q", code, because.Rule, tt.code)
			}
		})
	}
}

// TestEntitled: a field counts as far as its author could do the same today, and may still write the policy where it stands.
func TestEntitled(t *testing.T) {
	s := door{levels: `{"kick":60,"users":{"@usher:here":100,"@owner:here":100,"@mod:here":50}}`}.snapshot()
	kick := room.Action{Type: room.Kick, Sender: keeper, Target: "@stranger:here"}
	for _, tt := range []struct {
		author, writtenFor id.UserID
		inherited, lapsed  bool
		want               room.Verdict
	}{
		{author: owner, want: room.Allow},
		{author: mod, want: room.Deny},
		{author: keeper, want: room.Deny},
		{author: keeper, writtenFor: owner, want: room.Allow},
		{author: keeper, writtenFor: mod, want: room.Deny},
		{author: mod, writtenFor: owner, want: room.Deny},
		{author: "@gone:here", want: room.Deny},
		{author: owner, inherited: true, want: room.Allow},
		{author: owner, inherited: true, lapsed: true, want: room.Deny},
		{author: mod, inherited: true, want: room.Deny},
	} {
		source := policy.Read(home, &room.Event{ID: "$p", Sender: tt.author, Content: json.RawMessage(`{"version":1,"guard":{"intruders":"kick"}}`)})
		source.For, source.Inherited, source.Lapsed = tt.writtenFor, tt.inherited, tt.lapsed
		p := policy.Merge(source)
		if got := p.Entitled(s, "guard.intruders", kick).Verdict; got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
		if p.Entitled(s, "guard.by_hand", kick).Verdict == room.Allow {
			t.Errorf("%+v: by a field that nobody set", tt)
		}
	}
	broken := policy.Merge(policy.Read(home, &room.Event{ID: "$p", Sender: owner, Content: json.RawMessage(`{"version":2}`)}))
	if broken.Entitled(s, "pending.withdraw_on", kick).Verdict == room.Allow {
		t.Error("by the default of a policy that can't be read")
	}
	nobodys := policy.Merge(policy.Read(home, &room.Event{ID: "$p", Sender: keeper, Content: json.RawMessage(`{"version":1,"guard":{"intruders":"kick"}}`)}))
	if got := nobodys.Entitled(s, "guard.intruders", kick); got != (room.Result{}) {
		t.Errorf("without an author, a rule is broken: %+v", got)
	}
	unknown := room.NewSnapshot(room.State{})
	if got := guardOf(t, owner, `{"version":1,"guard":{"intruders":"kick"}}`).Entitled(unknown, "guard.intruders", kick).Verdict; got != room.Unknown {
		t.Errorf("of a room that is not known: %s", got)
	}
}

// TestLends: each field that makes the bot act is measured by its author's power.
func TestLends(t *testing.T) {
	lends := map[string]room.ActionType{"guard.levels.invite": policy.Lends("guard.levels.invite")}
	for _, f := range policy.Fields() {
		if a := policy.Lends(f.Path); a != "" {
			lends[f.Path] = a
		}
	}
	want := map[string]room.ActionType{"delegate": room.Invite, "knocks.accept_users": room.Invite, "knocks.accept_servers": room.Invite,
		"knocks.accept_members_of": room.Invite, "plan.allow": room.Invite, "guard.join_rule": room.SetJoinRules, "guard.intruders": room.Kick, "guard.by_hand": room.Kick,
		"pending.expire_after": room.Kick, "pending.withdraw_on": room.Kick, "guard.levels.invite": room.SetPowerLevels}
	if !maps.Equal(lends, want) {
		t.Errorf("got %v", lends)
	}
}

// TestDelegateLendsWhatItsAuthorHas: a policy that delegates lends the power of its author, not of the bot.
func TestDelegateLendsWhatItsAuthorHas(t *testing.T) {
	const guest = id.UserID("@guest:there")
	s := door{levels: `{"invite":60,"kick":60,"users":{"@owner:here":100,"@mod:here":50,"@usher:here":100}}`}.snapshot()
	withGuest := map[room.Key]*room.Event{}
	for _, k := range []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}, {Type: "m.room.join_rules"},
		{Type: "m.room.member", StateKey: string(owner)}, {Type: "m.room.member", StateKey: string(mod)}, {Type: "m.room.member", StateKey: string(keeper)}} {
		withGuest[k], _ = s.Event(k)
	}
	withGuest[room.Key{Type: "m.room.member", StateKey: string(guest)}] = &room.Event{Sender: keeper, Content: json.RawMessage(`{"membership":"invite"}`)}
	invited := room.NewSnapshot(room.State{Events: withGuest, Complete: true})
	invite := policy.Question{Action: room.Invite, Actor: mod, Performer: keeper, Target: guest}
	withdraw := invite
	withdraw.Action = policy.ActionWithdraw
	knock := policy.Question{Action: room.Invite, Actor: keeper, Performer: keeper, Target: guest}
	for _, tt := range []struct {
		author id.UserID
		code   room.Rule
		takes  room.Rule
		admits room.Rule
	}{
		{owner, policy.CodeDelegate, policy.CodeDelegate, "invite"},
		{mod, policy.CodeNoDelegate, room.RuleKickPower, policy.CodeNoAdmission},
		{keeper, policy.CodeNoDelegate, room.RuleKickPower, policy.CodeNoAdmission},
		{"@gone:here", policy.CodeNoDelegate, room.RuleKickPower, policy.CodeNoAdmission},
	} {
		p := guardOf(t, tt.author, `{"version":1,"delegate":true,"knocks":{"desk":true,"accept_servers":["*"]}}`)
		if d := policy.Decide(s, invite, p, policy.Facts{}); d.Code != tt.code || (d.Verdict == room.Allow) != (tt.code == policy.CodeDelegate) {
			t.Errorf("by %s: %s %s", tt.author, d.Verdict, d.Code)
		} else if d.Policy != "$policy" || d.Verdict == room.Deny && (d.Field != "delegate" || d.Side != policy.SidePolicy || d.From != home) {
			t.Errorf("by %s does not name what decided: %+v", tt.author, d)
		}
		if d := policy.Decide(invited, withdraw, p, policy.Facts{Theirs: true}); d.Code != tt.takes {
			t.Errorf("taking back, by %s: %s %s", tt.author, d.Verdict, d.Code)
		}
		if d := policy.Decide(s, knock, p, policy.Facts{Itself: true}); d.Code != tt.admits || (d.Verdict == room.Allow) != (tt.admits == "invite") {
			t.Errorf("letting in, by %s: %s %s", tt.author, d.Verdict, d.Code)
		}
	}
	p := guardOf(t, "@elsewhere:there", `{"version":1,"delegate":true,"knocks":{"accept_users":["@*:there"]}}`)
	less := room.NewSnapshot(room.State{Events: withGuest})
	if d := policy.Decide(less, withdraw, p, policy.Facts{Theirs: true}); d.Verdict != room.Unknown || d.Missing != policy.FactAuthors {
		t.Errorf("the author's membership is not known, but: %s %s", d.Verdict, d.Code)
	}
	if keys := p.AuthorKeys(keeper); len(keys) != 1 || keys[0].StateKey != "@elsewhere:there" {
		t.Errorf("asks for %v", keys)
	}
	if keys := guardOf(t, mod, `{"version":1,"whom":{"deny_users":["@*:x"]}}`).AuthorKeys(keeper); len(keys) > 0 {
		t.Errorf("asks for %v though the policy lends nothing", keys)
	}
}

// TestRearmedPlan: consent to plans lends the powers to invite, to kick and to set power levels; one that the author lacks is enough.
func TestRearmedPlan(t *testing.T) {
	for levels, want := range map[string]bool{
		`"invite":50,"kick":50,"events":{"m.room.power_levels":50}`:  false,
		`"invite":60,"kick":50,"events":{"m.room.power_levels":50}`:  true,
		`"invite":50,"kick":60,"events":{"m.room.power_levels":50}`:  true,
		`"invite":50,"kick":50,"events":{"m.room.power_levels":100}`: true,
	} {
		s := door{levels: `{` + levels + `,"users":{"@owner:here":100,"@mod:here":50,"@usher:here":100}}`}.snapshot()
		old := policy.Read(home, &room.Event{Sender: mod, Content: json.RawMessage(`{"version":1,"plan":{"allow":["staff"]}}`)})
		if got := policy.Rearmed(s, old, old.Layer, owner, keeper); slices.Contains(got, "plan.allow") != want {
			t.Errorf("%s: %q", levels, got)
		}
	}
}

// TestSpokenBy: the author of a field by which the bot speaks may write the policy and speak in the room today.
func TestSpokenBy(t *testing.T) {
	for levels, want := range map[string]room.Verdict{
		`"events":{}`: room.Allow, `"events":{"m.room.message":60}`: room.Deny, `"events":{"chat.usher.policy":60}`: room.Deny,
	} {
		s := door{levels: `{` + levels + `,"users":{"@mod:here":50}}`}.snapshot()
		if got := guardOf(t, mod, `{"version":1,"named_by":["!other:here"]}`).SpokenBy(s, "named_by", keeper); got != want {
			t.Errorf("%s: %s", levels, got)
		}
	}
}

// TestRearmed: whoever writes one field anew would arm what somebody weaker wrote in the others.
func TestRearmed(t *testing.T) {
	const dormant = `{"version":1,"delegate":true,"ask":{"level":1},"pending":{"expire_after":"7d","remind_before":"1d"},"knocks":{"accept_users":["@*:x"]},
		"guard":{"mode":"enforce","join_rule":"invite","intruders":"kick","by_hand":"report","levels":{"users_default":50}}}`
	all := []string{"delegate", "knocks.accept_users", "guard.join_rule", "guard.intruders", "pending.expire_after", "guard.levels.users_default"}
	high := door{levels: `{"invite":60,"kick":60,"events":{"m.room.join_rules":60,"m.room.power_levels":60},"users":{"@owner:here":100,"@mod:here":50,"@usher:here":100}}`}
	for _, tt := range []struct {
		name   string
		door   door
		author id.UserID
		by     id.UserID
		drop   string
		want   []string
	}{
		{"the author lacks all", high, mod, owner, "", all},
		{"but what is changed now is meant", high, mod, owner, "guard", []string{"delegate", "knocks.accept_users", "pending.expire_after"}},
		{"the author has all", high, owner, owner, "", nil},
		{"who writes lacks it too", high, mod, mod, "", nil},
		{"written by the bot for somebody unknown", high, keeper, owner, "", all},
		{"the author may do some of it", door{levels: `{"invite":50,"users":{"@owner:here":100,"@mod:here":50},"events":{"m.room.power_levels":100}}`}, mod, owner, "",
			[]string{"guard.levels.users_default"}},
		{"the author may not write the policy any more", door{levels: `{"users":{"@owner:here":100,"@mod:here":50},"events":{"chat.usher.policy":100}}`}, mod, owner, "guard.levels",
			[]string{"delegate", "knocks.accept_users", "guard.join_rule", "guard.intruders", "pending.expire_after"}},
	} {
		old := policy.Read(home, &room.Event{Sender: tt.author, Content: json.RawMessage(dormant)})
		next, err := old.Layer.With("quota.room.count", "20")
		if old.Fault != nil || err != nil {
			t.Fatal(old.Fault, err)
		}
		if tt.drop != "" {
			next = next.Without(tt.drop)
		}
		if got := policy.Rearmed(tt.door.snapshot(), old, next, tt.by, keeper); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
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
