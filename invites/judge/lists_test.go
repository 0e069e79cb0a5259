package judge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

func TestWatchedLists(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	const list = id.RoomID("!list:here")
	w.Govern(object{"whom": object{"lists": []string{string(list)}}})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.unknown" {
		t.Errorf("a list that can't be read: %s", got)
	}
	w.HS.Create(list, "11", alice, bot)
	w.HS.Set(list, "m.policy.rule.user", "1", alice, object{"entity": "@b*:here", "recommendation": "m.ban"})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "refused policy.whom.listed" {
		t.Errorf("got %s", got)
	}
	w.HS.Set(list, "m.policy.rule.user", "1", alice, object{})
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "done done" {
		t.Errorf("taken off the list: %s", got)
	}
}

// TestListsAreNotLent: what is in a list hears who is in its room, and anybody if anybody may read it. Whom it bans is kept out all the same.
func TestListsAreNotLent(t *testing.T) {
	const list = id.RoomID("!list:here")
	tests := []struct {
		name string
		set  func(*world)
		sees bool
	}{
		{"no such room", func(w *world) {}, false},
		{"not in it", func(w *world) { w.HS.Create(list, "11", alice, bot) }, false},
		{"not in it any more", func(w *world) { w.HS.Create(list, "11", alice, bot, carol); w.HS.Member(list, carol, "leave") }, false},
		{"invited only", func(w *world) { w.HS.Create(list, "11", alice, bot); w.HS.Member(list, carol, "invite") }, false},
		{"in it", func(w *world) { w.HS.Create(list, "11", alice, bot, carol) }, true},
		{"public", func(w *world) {
			w.HS.Create(list, "11", alice, bot)
			w.HS.Set(list, "m.room.join_rules", "", alice, object{"join_rule": "public"})
		}, true},
		{"world-readable", func(w *world) {
			w.HS.Create(list, "11", alice, bot)
			w.HS.Set(list, "m.room.history_visibility", "", alice, object{"history_visibility": "world_readable"})
		}, true},
		{"readable to its members", func(w *world) {
			w.HS.Create(list, "11", alice, bot)
			w.HS.Set(list, "m.room.history_visibility", "", alice, object{"history_visibility": "shared", "History_visibility": "world_readable"})
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Power(50)
			tt.set(w)
			if tt.name != "no such room" {
				w.HS.Set(list, "m.policy.rule.user", "1", alice, object{"entity": "@b*:here", "recommendation": "m.ban", "reason": "floods"})
				w.Govern(object{"whom": object{"lists": []string{string(list)}}})
				row := w.MustAsk(t, w.Request(t, carol, bob))[0]
				if row.Code != string(policy.CodeListed) || strings.Contains(row.Detail.String(), "floods") != tt.sees || strings.Contains(row.Detail.String(), "@b*") != tt.sees {
					t.Errorf("an invitation: %s: %s", row.Code, row.Detail)
				}
			}
			rules, err := w.Judge.Lists.Readable(t.Context(), list, carol)
			if tt.sees && (rules != 1 || err != nil) || !tt.sees && (rules != 0 || !errors.Is(err, invites.ErrNoView)) {
				t.Errorf("got %d, %v", rules, err)
			}
			p := policy.Merge()
			p.Document.Whom.Lists = []id.RoomID{list}
			if line := w.Judge.Lists.Of(t.Context(), p, carol)[0]; (line.Err == nil) != tt.sees || (line.Rules == 1) != tt.sees {
				t.Errorf("shown: %+v", line)
			}
		})
	}
}

// outside is a homeserver where the bot is in no room.
type outside struct{ judge.Homeserver }

func (outside) Snapshot(context.Context, id.RoomID, id.UserID, []room.Key, bool) (*room.Snapshot, error) {
	return nil, invites.ErrNoView
}

func (outside) Collect(context.Context, id.RoomID, []string, bool) ([]invites.StateChange, bool, error) {
	return nil, false, invites.ErrNoView
}

// TestListsThatCannotBeRead: policies name whatever rooms they like; those that the bot can't read are not remembered.
func TestListsThatCannotBeRead(t *testing.T) {
	lists := judge.New(nil, outside{}, nil, invites.Identity{}).Lists
	p := policy.Merge()
	for n := range 500 {
		p.Document.Whom.Lists = append(p.Document.Whom.Lists, id.RoomID(fmt.Sprintf("!%d", n)))
	}
	for _, line := range lists.Of(t.Context(), p, "@carol:here") {
		if line.Err == nil {
			t.Fatalf("%+v", line)
		}
	}
	if n := lists.Kept(); n > 0 {
		t.Errorf("%d lists are remembered", n)
	}
}

// TestRoomListedByAlias: a rule on an alias bans the room that publishes the alias.
func TestRoomListedByAlias(t *testing.T) {
	const list = id.RoomID("!bans:here")
	for name, tt := range map[string]struct {
		content object
		bans    bool
	}{
		"main": {object{"alias": "#lobby:here"}, true}, "alternative": {object{"alt_aliases": []string{"#x:here", "#LOBBY:here"}}, true},
		"another": {object{"alias": "#lobby:there"}, false}, "none": {object{}, false},
	} {
		w := newWorld(t)
		w.HS.Create(list, "11", alice, bot)
		w.HS.Set(list, "m.policy.rule.room", "x", alice, object{"entity": "#lobby:here", "recommendation": "m.ban"})
		w.Govern(object{"whom": object{"lists": []any{list}}})
		w.HS.Set(lobby, "m.room.canonical_alias", "", alice, tt.content)
		rows := w.MustAsk(t, w.Request(t, alice, bob))
		if got := rows[0].Code == string(policy.CodeRoomListed); got != tt.bans {
			t.Errorf("%s: %s", name, rows[0].Code)
		}
	}
}

// TestListedMost: lists that ban more than half of the members are hardly meant. The bot does not count among these.
func TestListedMost(t *testing.T) {
	const list = id.RoomID("!bans:here")
	w := newWorld(t)
	w.HS.Create(list, "11", alice, bot)
	w.HS.Set(list, "m.policy.rule.user", "a", alice, object{"entity": bob, "recommendation": "m.ban", "reason": "spam"})
	w.Govern(object{"whom": object{"lists": []string{string(list)}}})
	p, err := w.Judge.Policies.Of(t.Context(), lobby, bot)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		members []id.UserID
		most    bool
	}{
		{[]id.UserID{bot, bob}, true},
		{[]id.UserID{bob, carol, bot}, false},
		{[]id.UserID{bob, carol, alice, bot}, false},
		{[]id.UserID{bot}, false},
	} {
		if most, err := w.Judge.ListedMost(t.Context(), p, tt.members); err != nil || most != tt.most {
			t.Errorf("%v: %t %v", tt.members, most, err)
		}
	}
}
