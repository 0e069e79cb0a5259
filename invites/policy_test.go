package invites_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

type object = map[string]any

// govern sets a policy of the lobby, or of another room.
func (w *world) govern(fields object, in ...id.RoomID) {
	fields["version"] = 1
	w.hs.Clock = w.clock
	w.hs.Set(append(in, lobby)[0], policy.EventType, "", alice, fields)
}

// power gives the bot the power to invite, and carol some.
func (w *world) power(carols int) {
	w.hs.Set(lobby, "m.room.power_levels", "", alice, object{"invite": 50, "users": object{string(alice): 100, string(bot): 50, string(carol): carols}})
}

// outcome is the status and code of each row.
func outcome(rows []invites.Change) string {
	var all []string
	for _, row := range rows {
		all = append(all, string(row.Status)+" "+row.Code)
	}
	return strings.Join(all, ", ")
}

func TestDelegated(t *testing.T) {
	w := newWorld(t)
	w.power(0)
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused invite.power" {
		t.Errorf("without a policy: %s", got)
	}
	w.govern(object{"delegate": true})
	rows := w.ask(t, w.request(t, carol, bob))
	if got := outcome(rows); got != "done done" || rows[0].Performer != bot {
		t.Errorf("got %s by %s", got, rows[0].Performer)
	}
	rows = w.ask(t, w.request(t, alice, "@dan:here"))
	if rows[0].Performer != alice {
		t.Errorf("who has the power is lent none: sent by %s", rows[0].Performer)
	}
	audit, err := w.db.Audit(t.Context(), rows[0].Request)
	if err != nil || len(audit) == 0 || audit[0].Policy == "" {
		t.Errorf("the audit does not name the policy: %+v %v", audit, err)
	}
}

// TestPolicyChangesBeforeDelivery: the policy at the time of the act counts.
func TestPolicyChangesBeforeDelivery(t *testing.T) {
	w := newWorld(t)
	w.power(0)
	w.govern(object{"delegate": true, "quota": object{"person": object{"count": 5, "per": "1h"}}})
	w.AtOnce = 0
	rows := w.ask(t, w.request(t, carol, bob))
	w.govern(object{"delegate": false, "quota": object{"person": object{"count": 5, "per": "1h"}}})
	if _, err := one(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil {
		t.Fatal(err)
	}
	if got := outcome(w.ask(t, requests.Request{Command: rows[0].Command, Action: room.Invite, Room: lobby, Actor: carol, Targets: []id.UserID{bob}})); got != "refused invite.power" {
		t.Errorf("got %s", got)
	}
	if lines, err := w.Judge.Quotas(t.Context(), lobby, carol); err != nil || lines[0].Left != 5 {
		t.Errorf("not given back: %+v %v", lines, err)
	}
}

func TestQuotaSpentAndRefunded(t *testing.T) {
	w := newWorld(t)
	w.power(50)
	w.govern(object{"quota": object{"person": object{"count": 2, "per": "1h"}, "room": object{"count": 3, "per": "1d"}}})
	w.hs.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_INVITE_BLOCKED", Status: 403, Err: errors.New("no")}
	}
	if got := outcome(w.ask(t, w.request(t, carol, "@a:here"))); got != "refused M_INVITE_BLOCKED" {
		t.Errorf("got %s", got)
	}
	w.hs.Before = nil
	if got := outcome(w.ask(t, w.request(t, carol, "@a:here", "@b:here", "@c:here"))); got != "done done, done done, refused policy.quota.person" {
		t.Errorf("got %s", got)
	}
	if got := outcome(w.ask(t, w.request(t, carol, "@a:here"))); got != "done invite.already" {
		t.Errorf("what changes nothing costs nothing: %s", got)
	}
	if got := outcome(w.ask(t, w.request(t, alice, "@d:here", "@e:here"))); got != "done done, refused policy.quota.room" {
		t.Errorf("got %s", got)
	}
	lines, err := w.Judge.Quotas(t.Context(), lobby, carol)
	if err != nil || len(lines) != 2 || lines[0].Left != 0 || lines[1].Left != 0 || !lines[0].Grows.Equal(w.clock.Now().Add(time.Hour)) {
		t.Errorf("got %+v %v", lines, err)
	}
	w.clock.Advance(time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, "@f:here"))); got != "refused policy.quota.room" {
		t.Errorf("an hour later: %s", got)
	}
	w.clock.Advance(23 * time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, "@f:here"))); got != "done done" {
		t.Errorf("a day later: %s", got)
	}
}

// TestQuotaOfManyAtOnce: commands from different rooms, and so from different lanes, share a quota.
func TestQuotaOfManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.power(50)
	w.govern(object{"quota": object{"room": object{"count": 4, "per": "1h"}}})
	var requests []requests.Request
	for i := range 12 {
		requests = append(requests, w.request(t, carol, id.UserID(fmt.Sprintf("@p%d:here", i))))
	}
	var all sync.WaitGroup
	for _, req := range requests {
		all.Go(func() {
			if _, err := w.Ask(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(w.hs.Acts()); n != 4 {
		t.Errorf("%d were sent of 4", n)
	}
}

// backdated is a clock for the dates that a member's own server gives.
type backdated struct{}

func (backdated) Now() time.Time { return time.UnixMilli(1) }

// TestCooldownsByOthersDates: whoever was kicked, or declined, gets round no cooldown by events that their own server dates into the past.
func TestCooldownsByOthersDates(t *testing.T) {
	for name, tt := range map[string]struct {
		last func(w *world)
		code string
	}{
		"a knock after a kick": {func(w *world) {
			w.hs.Member(lobby, bob, "join")
			w.hs.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "leave"})
			w.hs.Clock = backdated{}
			w.hs.Member(lobby, bob, "knock")
		}, "refused policy.whom.cooldown.kick"},
		"a declined invitation": {func(w *world) {
			w.hs.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "invite"})
			w.hs.Clock = backdated{}
			w.hs.Member(lobby, bob, "leave")
		}, "refused policy.whom.cooldown.decline"},
		"nothing of the kind": {func(w *world) {
			w.hs.Clock = backdated{}
			w.hs.Member(lobby, bob, "knock")
		}, "done done"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.power(50)
			w.govern(object{"whom": object{"cooldown": object{"decline": "1d", "kick": "30d"}}})
			w.hs.Clock = w.clock
			tt.last(w)
			w.hs.Clock = w.clock
			w.clock.Advance(time.Minute)
			if got := outcome(w.ask(t, w.request(t, carol, bob))); got != tt.code {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestFactsOfTheRoom(t *testing.T) {
	w := newWorld(t)
	w.power(50)
	w.govern(object{"ask": object{"joined_for": "1h"}})
	w.hs.Member(lobby, carol, "leave")
	w.hs.Member(lobby, carol, "join")
	w.clock.Advance(50 * time.Minute)
	w.hs.Set(lobby, "m.room.member", string(carol), carol, object{"membership": "join", "displayname": "C"})
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused policy.ask.joined_for" {
		t.Errorf("50 minutes in the room: %s", got)
	}
	w.clock.Advance(10 * time.Minute)
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "done done" {
		t.Errorf("an hour in the room, with a new name since: %s", got)
	}
	w.govern(object{"whom": object{"cooldown": object{"decline": "1h", "kick": "1d"}}})
	w.hs.Member(lobby, bob, "leave")
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused policy.whom.cooldown.decline" {
		t.Errorf("after declining: %s", got)
	}
	w.clock.Advance(time.Hour)
	w.ask(t, w.request(t, carol, bob))
	w.hs.Member(lobby, bob, "join")
	w.hs.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "leave"})
	w.clock.Advance(2 * time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused policy.whom.cooldown.kick" {
		t.Errorf("after being kicked: %s", got)
	}
	// Somebody by hand invites them, they decline: that they were kicked before still counts.
	w.hs.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "invite"})
	w.hs.Member(lobby, bob, "leave")
	w.clock.Advance(2 * time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused policy.whom.cooldown.kick" {
		t.Errorf("kicked, invited and declined: %s", got)
	}
	w.govern(object{"whom": object{"max_members": 4}})
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "refused policy.whom.max_members" {
		t.Errorf("a full room: %s", got)
	}
}

// TestHiddenHistory: what the bot may not see is no reason to allow, and none to shut out who is there for long.
func TestHiddenHistory(t *testing.T) {
	w := newWorld(t)
	w.power(50)
	w.govern(object{"ask": object{"joined_for": "1h"}, "whom": object{"cooldown": object{"kick": "1d"}}})
	w.hs.Member(lobby, carol, "join")
	w.hs.Member(lobby, bob, "leave")
	w.hs.Hide = true
	if got := outcome(w.ask(t, w.request(t, carol, "@new:here"))); got != "refused policy.ask.joined_for" {
		t.Errorf("just joined, as far as can be seen: %s", got)
	}
	w.clock.Advance(time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, "@new:here", bob))); got != "done done, refused policy.unknown" {
		t.Errorf("got %s", got)
	}
	w.clock.Advance(24 * time.Hour)
	if got := outcome(w.ask(t, w.request(t, carol, bob))); got != "done done" {
		t.Errorf("gone for longer than it matters: %s", got)
	}
}

// TestInheritance: who may put a room under whose policy.
func TestInheritance(t *testing.T) {
	const space, other = id.RoomID("!space:here"), id.RoomID("!other:here")
	via := object{"via": []string{"here"}}
	parent := func(w *world, of id.RoomID, content object) {
		w.hs.Set(lobby, "m.space.parent", string(of), alice, content)
	}
	child := func(w *world, in id.RoomID, content object) {
		w.hs.Set(in, "m.space.child", string(lobby), alice, content)
		w.hs.Claim(in, lobby)
	}
	tests := []struct {
		name string
		set  func(*world)
		from string // rooms that the policy comes from
	}{
		{"both say so", func(w *world) { parent(w, space, via); child(w, space, via) }, "!space:here"},
		{"only the space says so", func(w *world) { child(w, space, via) }, ""},
		{"only the room says so", func(w *world) { parent(w, space, via); w.hs.Claim(space, lobby) }, ""},
		{"the space took it back", func(w *world) { parent(w, space, via); child(w, space, via); child(w, space, object{}) }, ""},
		{"the room took it back", func(w *world) { parent(w, space, object{}); child(w, space, via) }, ""},
		{"its own comes first", func(w *world) { parent(w, space, via); child(w, space, via); w.govern(object{"ask": object{}}) }, "!lobby:here !space:here"},
		{"no space", func(w *world) { parent(w, bystander, via); child(w, bystander, via) }, ""},
		{"a space that can't be read", func(w *world) { parent(w, "!hidden:here", via); w.hs.Claim("!hidden:here", lobby) }, ""},
		{"the canonical one", func(w *world) {
			parent(w, other, via)
			child(w, other, via)
			parent(w, space, object{"via": []string{"here"}, "canonical": true})
			child(w, space, via)
		}, "!space:here"},
		{"the first by name", func(w *world) {
			parent(w, other, via)
			child(w, other, via)
			parent(w, space, via)
			child(w, space, via)
		}, "!other:here"},
		{"spaces in spaces", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.hs.Set(space, "m.space.parent", string(other), alice, via)
			w.hs.Set(other, "m.space.child", string(space), alice, via)
			w.hs.Claim(other, space)
		}, "!space:here !other:here"},
		{"a circle", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.hs.Set(space, "m.space.parent", string(space), alice, via)
			w.hs.Set(space, "m.space.child", string(space), alice, via)
			w.hs.Claim(space, space)
		}, "!space:here"},
		{"parents are for anybody to name", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.hs.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100}, "events": object{"m.space.parent": 49}})
		}, ""},
		{"parents take more than the policy", func(w *world) {
			parent(w, space, via)
			child(w, space, via)
			w.hs.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100}, "events": object{"m.space.parent": 80, policy.EventType: 70}})
		}, "!space:here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			for _, r := range []id.RoomID{space, other} {
				w.hs.Create(r, "11", alice, bot)
				w.hs.Set(r, "m.room.create", "", alice, object{"room_version": "11", "type": "m.space"})
				w.govern(object{"ask": object{"level": 30}}, r)
			}
			w.hs.Create(bystander, "11", alice, bot)
			w.govern(object{"ask": object{"level": 30}}, bystander)
			tt.set(w)
			p, err := w.Judge.Policies.Of(t.Context(), lobby, alice)
			if err != nil {
				t.Fatal(err)
			}
			var from []string
			for _, source := range p.Sources {
				from = append(from, string(source.Room))
			}
			if got := strings.Join(from, " "); got != tt.from {
				t.Errorf("comes from %q, want %q", got, tt.from)
			}
		})
	}
}

const bystander = id.RoomID("!bystander:here")

func TestWritePolicy(t *testing.T) {
	layer, err := policy.Layer{}.With("delegate", "true")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		assert bool
		bots   int
		actor  id.UserID
		by     id.UserID
		code   string
	}{
		{"as the caller", true, 0, alice, alice, ""},
		{"as the bot", false, 50, alice, bot, ""},
		{"as the bot, for somebody of another server", true, 50, remote, bot, ""},
		{"the bot lacks the power", false, 0, alice, "", requests.CodeEditBot},
		{"the caller lacks the power, whatever the bot has", false, 100, carol, "", requests.CodeEditPower},
		{"the caller lacks the power as themselves", true, 100, carol, "", requests.CodeEditPower},
		{"not in the room", true, 100, bob, "", requests.CodeEditView},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.in.Self.Assert = tt.assert
			w.build()
			w.hs.Set(lobby, "m.room.power_levels", "", alice, object{"users": object{string(alice): 100, string(remote): 50, string(bot): tt.bots}})
			by, err := w.Editor.Write(t.Context(), "$cmd", lobby, tt.actor, layer)
			var refusal requests.Refusal
			errors.As(err, &refusal)
			if by != tt.by || refusal.Code != tt.code || (err != nil && tt.code == "") {
				t.Fatalf("by %q, %v", by, err)
			}
			if tt.code != "" {
				return
			}
			history, err := w.Editor.History(t.Context(), lobby, tt.actor, 5)
			if err != nil || len(history) != 1 || history[0].By != tt.by || tt.by == bot && history[0].For != tt.actor || tt.by != bot && history[0].For != "" || !history[0].After.Has("delegate") {
				t.Errorf("history: %+v %v", history, err)
			}
			if audit, err := w.db.Audit(t.Context(), "$cmd"); err != nil || len(audit) != 1 || audit[0].Actor != tt.actor || audit[0].Performer != tt.by {
				t.Errorf("audit: %+v %v", audit, err)
			}
		})
	}
}

// TestMalformedPolicyDenies, of the room's own and of its space's.
func TestMalformedPolicyDenies(t *testing.T) {
	w := newWorld(t)
	w.govern(object{"nonsense": true})
	if got := outcome(w.ask(t, w.request(t, alice, bob))); got != "refused policy.malformed" {
		t.Errorf("got %s", got)
	}
	w.hs.Set(lobby, policy.EventType, "", alice, json.RawMessage(`{}`))
	if got := outcome(w.ask(t, w.request(t, alice, bob))); got != "done done" {
		t.Errorf("emptied: %s", got)
	}
}
