package native_test

import (
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites/cards"
	"usher/invites/native"
	"usher/policy"
	"usher/room"
)

// joins asks about a join, and returns the code of the refusal, "unknown" or "error".
func (d *door) joins(t *testing.T, callback native.Callback, user id.UserID) string {
	t.Helper()
	got, err := d.Answer(t.Context(), native.Question{Callback: callback, Sender: user, Room: lobby})
	switch {
	case err != nil:
		return "error"
	case got.Verdict == room.Unknown:
		return "unknown"
	case got.Verdict == room.Allow:
		return ""
	case got.Reason.Empty():
		t.Errorf("%s is refused without a sentence", user)
	}
	return got.Code
}

// TestJoin: the fields below join hold for both callbacks, and nothing else refuses a join.
func TestJoin(t *testing.T) {
	const list = id.RoomID("!bans:here")
	for _, tt := range []struct {
		name   string
		fields object
		user   id.UserID
		code   string
	}{
		{"no policy", nil, "@eve:evil", ""},
		{"for invitations only", object{"whom": object{"deny_servers": []string{"evil"}, "max_members": 2}}, "@eve:evil", ""},
		{"denied server", object{"whom": object{"deny_servers": []string{"evil"}}, "join": object{"deny": true}}, "@eve:EVIL:8448", "policy.join.deny"},
		{"denied user", object{"whom": object{"deny_users": []string{"@eve:*"}}, "join": object{"deny": true}}, "@eve:good", "policy.join.deny"},
		{"nobody denied", object{"whom": object{"deny_users": []string{"@eve:*"}}, "join": object{"deny": true}}, "@ben:good", ""},
		{"address", object{"whom": object{"ip_literals": false}, "join": object{"deny": true}}, "@eve:10.0.0.1", "policy.join.deny"},
		{"allow lists are for invitations", object{"whom": object{"allow_servers": []string{"here"}}, "join": object{"deny": true}}, "@eve:evil", ""},
		{"listed", object{"whom": object{"lists": []string{string(list)}}, "join": object{"deny": true}}, bob, "policy.join.deny"},
		{"listed, but exempt", object{"whom": object{"lists": []string{string(list)}, "except_users": []string{string(bob)}}, "join": object{"deny": true}}, bob, ""},
		{"listed, for invitations", object{"whom": object{"lists": []string{string(list)}}}, bob, ""},
		{"full", object{"join": object{"max_members": 4}}, bob, "policy.join.max_members"},
		{"not full", object{"join": object{"max_members": 5}}, bob, ""},
		{"may change the policy", object{"join": object{"max_members": 1}}, alice, ""},
		{"the bot", object{"join": object{"max_members": 1}}, bot, ""},
		{"can't be read", object{"join": 5}, bob, "unknown"},
	} {
		d := newDoor(t, tt.fields)
		d.HS.Create(list, "11", alice, bot)
		d.HS.Set(list, "m.policy.rule.user", "a", alice, object{"entity": bob, "recommendation": "m.ban", "reason": "secret"})
		for _, callback := range []native.Callback{native.MayJoin, native.MayMakeJoin} {
			if code := d.joins(t, callback, tt.user); code != tt.code {
				t.Errorf("%s, %s: got %q, want %q", tt.name, callback, code, tt.code)
			}
		}
	}
	d := newDoor(t, object{"join": object{"max_members": 1}})
	d.out = true
	if code := d.joins(t, native.MayJoin, bob); code != "" {
		t.Error("a room without the bot is judged:", code)
	}
	if code := d.joins(t, native.MayMakeJoin, bob); code != "unknown" {
		t.Error("Usher lets somebody into a room that it can't see:", code)
	}
	d.out, d.broken = false, errors.New("down")
	if code := d.joins(t, native.MayJoin, bob); code != "error" {
		t.Error("without the list of rooms:", code)
	}
}

// TestAdmission: join rules that leave it to Usher let in only users whom the policy admits, by a field whose author could invite them.
func TestAdmission(t *testing.T) {
	asks := object{"join_rule": "restricted", "allow": []any{object{"type": "m.room_membership", "room_id": "!x:here"}, object{"type": "fi.mau.spam_checker"}}}
	accepting := object{"knocks": object{"accept_servers": []string{"there"}}}
	with := func(more object) object {
		all := object{"knocks": accepting["knocks"]}
		for key, value := range more {
			all[key] = value
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		rules  any
		fields object
		author id.UserID
		user   id.UserID
		code   string
	}{
		{"no policy", asks, nil, alice, "@eve:there", "policy.join.not_admitted"},
		{"a policy that admits nobody", asks, object{"ask": object{"level": 0}}, alice, "@eve:there", "policy.join.not_admitted"},
		{"admitted", asks, accepting, alice, "@eve:there", ""},
		{"somebody else", asks, accepting, alice, "@eve:elsewhere", "policy.join.not_admitted"},
		{"by an author without the power", asks, accepting, remote, "@eve:there", "policy.join.not_admitted"},
		{"a field that refuses", asks, with(object{"whom": object{"deny_users": []string{"@eve:*"}}}), alice, "@eve:there", "policy.join.not_admitted"},
		{"a room that is full", asks, with(object{"join": object{"max_members": 1}}), alice, "@eve:there", "policy.join.max_members"},
		{"knocks may restrict, too", object{"join_rule": "knock_restricted", "allow": asks["allow"]}, nil, alice, "@eve:there", "policy.join.not_admitted"},
		{"the entry where it means nothing", object{"join_rule": "public", "allow": asks["allow"]}, nil, alice, "@eve:there", ""},
		{"other entries", object{"join_rule": "restricted", "allow": []any{object{"type": "m.room_membership"}, "fi.mau.spam_checker", object{"type": 1}}}, nil, alice, "@eve:there", ""},
		{"invited", asks, nil, alice, bob, ""},
		{"member of a room that the rules name", asks, nil, alice, "@ann:there", ""},
		{"who has left it", asks, nil, alice, "@ex:there", "policy.join.not_admitted"},
		{"member, but the room is full", asks, object{"join": object{"max_members": 1}}, alice, "@ann:there", "policy.join.max_members"},
	} {
		d := newDoor(t, nil)
		if tt.fields != nil {
			tt.fields["version"] = 1
			d.HS.Set(lobby, policy.EventType, "", tt.author, tt.fields)
		}
		d.HS.Set(lobby, "m.room.join_rules", "", alice, tt.rules)
		d.HS.Create("!x:here", "11", alice, bot, "@ann:there", "@ex:there")
		d.HS.Set("!x:here", "m.room.member", "@ex:there", "@ex:there", object{"membership": "leave"})
		d.HS.Member(lobby, bob, "invite")
		if code := d.joins(t, native.MayMakeJoin, tt.user); code != tt.code {
			t.Errorf("%s: got %q, want %q", tt.name, code, tt.code)
		}
		if code := d.joins(t, native.MayJoin, tt.user); code != "" && code != "policy.join.max_members" {
			t.Errorf("%s: a join that the homeserver would allow is refused: %q", tt.name, code)
		}
	}
}

// TestAdmissionLimits: admissions without a knock count in the operator's limit of joins for the user's server, in whatever room, and in the breaker
// of the room, which knocks trip as well. Refused ones, and those let in otherwise, spend nothing.
func TestAdmissionLimits(t *testing.T) {
	asks := object{"join_rule": "restricted", "allow": []any{object{"type": "fi.mau.spam_checker"}}}
	knocks := object{"accept_servers": []string{"there", "else"}}
	d := newDoor(t, nil)
	d.World.In.Most.JoinsOfServer = 3
	d.build()
	join := func(r id.RoomID, user id.UserID) string {
		got, err := d.Answer(t.Context(), native.Question{Callback: native.MayMakeJoin, Sender: user, Room: r})
		if err != nil || (got.Code == "") != (got.Verdict == room.Allow) || (got.Code == "") != got.Reason.Empty() {
			t.Fatalf("%+v %v", got, err)
		}
		return got.Code
	}
	const other = id.RoomID("!other:here")
	d.HS.Create(other, "11", alice, bot)
	d.HS.Set(other, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(bot): 50}})
	for _, r := range []id.RoomID{lobby, other} {
		d.HS.Set(r, "m.room.join_rules", "", alice, asks)
		d.Govern(object{"knocks": knocks}, r)
	}
	d.HS.Member(lobby, "@in:there", "invite")
	for _, step := range []struct {
		room id.RoomID
		user id.UserID
		code string
	}{
		{lobby, "@no:elsewhere", "policy.join.not_admitted"}, {lobby, "@in:there", ""}, {lobby, "@in:there", ""},
		{lobby, "@a:there", ""}, {lobby, "@b:there", ""}, {other, "@c:there", ""},
		{other, "@d:there", "limit.joins"}, {lobby, "@d:there", "limit.joins"}, {lobby, "@a:else", ""}, {lobby, "@in:there", ""},
	} {
		if code := join(step.room, step.user); code != step.code {
			t.Errorf("%s in %s: %q, want %q", step.user, step.room, code, step.code)
		}
	}
	if d.Clock.Advance(2 * time.Hour); join(lobby, "@d:there") != "" {
		t.Error("limited for ever")
	}

	d.Clock.Advance(2 * time.Hour)
	knocks["breaker"] = object{"count": 2, "per": "10m"}
	d.Govern(object{"knocks": knocks})
	for _, step := range []struct {
		room id.RoomID
		user id.UserID
		code string
	}{{lobby, "@a:there", ""}, {lobby, "@b:else", ""}, {lobby, "@c:else", "policy.join.not_admitted"}, {other, "@c:else", ""}} {
		if code := join(step.room, step.user); code != step.code {
			t.Errorf("with a breaker, %s in %s: %q, want %q", step.user, step.room, code, step.code)
		}
	}
	d.Clock.Advance(11 * time.Minute)
	d.HS.Set(lobby, "m.room.join_rules", "", alice, object{"join_rule": "knock_restricted", "allow": asks["allow"]})
	knocks["desk"] = true
	d.Govern(object{"knocks": knocks})
	for _, user := range []id.UserID{"@k:elsewhere", "@l:elsewhere"} {
		d.HS.Member(lobby, user, "knock")
		if got, err := d.World.Knocks.Receive(t.Context(), cards.Knock{Event: id.EventID("$" + user), Room: lobby, User: user}); err != nil || got.Card == nil {
			t.Fatal(got, err)
		}
	}
	if code := join(lobby, "@e:else"); code != "policy.join.not_admitted" {
		t.Errorf("knocks pause no admissions: %q", code)
	}
}
