package moves_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/moves"
	"usher/policy"
	"usher/room"
)

func (w *world) upgrader() *moves.Upgrader { return &moves.Upgrader{Moves: w.Moves, Asked: w.DB} }

// fresh makes a world whose lobby has no successor.
func fresh(t *testing.T) *world {
	w := &world{invitestest.NewWorld(t), t}
	w.HS.Clock = w.Clock
	w.HS.Set(old, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 100, string(bot): 100}})
	return w
}

// confirmed is the accepted card of an upgrade.
func (w *world) confirmed(actor id.UserID, version string) invites.Card {
	return invites.Card{
		ID: 7, Kind: invites.CardConfirm, Action: moves.ActionUpgrade, Room: old, Command: "$upgrade", Actor: actor, Reason: version, Level: math.MaxInt64,
		State: invites.CardAccepted, ClosedBy: actor,
	}
}

// upgrades counts the requests for an upgrade, by performer.
func (w *world) upgrades() (by []id.UserID) {
	for _, act := range w.HS.Acts() {
		if act.Action == "upgrade" {
			by = append(by, act.Performer)
		}
	}
	return by
}

// TestPlan: the plan names versions, performer and creators; whoever could not upgrade the room gets none.
func TestPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*world)
		actor     id.UserID
		version   string
		code, to  string
		performer id.UserID
		creators  []id.UserID
	}{
		"the next version": {nil, alice, "", "", "12", alice, nil},
		"as the bot":       {func(w *world) { w.In.Self.Assert = false; w.Build() }, alice, "12", "", "12", bot, []id.UserID{alice}},
		"an old room": {func(w *world) {
			w.HS.Set(old, room.TypeCreate, "", alice, object{"room_version": "9", "creator": alice})
		}, alice, "", "", "11", alice, nil},
		"no newer one": {nil, alice, "10", "upgrade.version", "", "", nil},
		"unknown":      {nil, alice, "99", "upgrade.version", "", "", nil},
		"no power":     {nil, carol, "12", "upgrade.right", "", "", nil},
		"not there":    {nil, bob, "12", "upgrade.right", "", "", nil},
		"replaced":     {func(w *world) { w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next}) }, alice, "12", "upgrade.replaced", "", "", nil},
		"nobody can send it": {func(w *world) {
			w.In.Self.Assert = false
			w.Build()
			w.HS.Set(old, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 100}})
		}, alice, "12", "upgrade.performer", "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := fresh(t)
			if tt.change != nil {
				tt.change(w)
			}
			p, err := w.upgrader().Plan(t.Context(), old, tt.actor, tt.version)
			var refusal moves.Refusal
			if errors.As(err, &refusal); refusal.Code != tt.code || err != nil && tt.code == "" {
				t.Fatalf("%v", err)
			}
			if p.To != tt.to || p.Performer != tt.performer && tt.code == "" || !slices.Equal(p.Creators, tt.creators) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestPlanForesees: the plan tells what comes along and what does not.
func TestPlanForesees(t *testing.T) {
	w := fresh(t)
	w.HS.Set(old, policy.EventType, "", carol, object{"version": 1})
	for _, s := range []id.RoomID{space, other} {
		w.HS.Create(s, "11", carol, bot)
		w.HS.Claim(s, old)
	}
	w.HS.Set(space, room.TypePowerLevels, "", carol, object{"users": object{string(alice): 50}})
	w.HS.Member(space, alice, "join")
	w.HS.Claim("!unseen:there", old)
	w.Observe(t, "$invited", bob, alice, "invite")
	p, err := w.upgrader().Plan(t.Context(), old, alice, "12")
	var got []string
	for _, line := range p.Lines {
		got = append(got, line.Key)
	}
	want := "upgrade.copied upgrade.creators upgrade.policy.kept upgrade.space upgrade.space.asked upgrade.space.unseen upgrade.open upgrade.rest"
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("%v %v", got, err)
	}
}

// TestPerform: the homeserver is asked once, whenever a crash comes, and the bot or the asker comes into the new room.
func TestPerform(t *testing.T) {
	for _, assert := range []bool{true, false} {
		w := fresh(t)
		w.In.Self.Assert = assert
		w.Build()
		card := w.confirmed(alice, "12")
		row, err := w.upgrader().Perform(t.Context(), card)
		if err != nil || row.Status != invites.StatusDone || row.Room != old+"12" {
			t.Fatalf("%+v %v", row, err)
		}
		w.Build()
		if again, err := w.upgrader().Perform(t.Context(), card); err != nil || again.Room != row.Room {
			t.Errorf("%+v %v", again, err)
		}
		by, guest, membership := alice, bot, "join"
		var more []string
		if !assert {
			by, guest, membership, more = bot, alice, "invite", []string{string(alice)}
		}
		if got := w.upgrades(); !slices.Equal(got, []id.UserID{by}) {
			t.Errorf("asked by %v", got)
		}
		created := w.state(row.Room, room.TypeCreate, "")
		if creators, _ := exactjson.Get(created.Content, "additional_creators").Texts(); !slices.Equal(creators, more) {
			t.Errorf("creators %v", creators)
		}
		snap, _ := w.HS.Snapshot(t.Context(), row.Room, bot, nil, true)
		if got, _ := snap.Membership(guest); got != membership {
			t.Errorf("%s is %q", guest, got)
		}
		if err := w.Moves.Begin(t.Context(), row.Room); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Minute)
		if due, err := w.Moves.Due(t.Context()); err != nil || len(due) != 1 || due[0].Actor != alice {
			t.Errorf("%+v %v", due, err)
		}
	}
}

// TestPerformAfterCrash: a room that was made while the answer was lost is found by its tombstone; another's tombstone is none.
func TestPerformAfterCrash(t *testing.T) {
	w := fresh(t)
	lost := func(by id.UserID, to id.RoomID) {
		w.replace(old, to, by)
		if _, err := w.DB.BeginUpgrade(t.Context(), invites.Upgrade{Old: old, Actor: alice, Performer: alice, Command: "$upgrade", Version: "12", Rest: []string{w.Clock.Now().Format(time.RFC3339)}}); err != nil {
			t.Fatal(err)
		}
	}
	lost(alice, next)
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); err != nil || row.Room != next || len(w.upgrades()) != 0 {
		t.Errorf("%+v %v", row, err)
	}
	w = fresh(t)
	lost(carol, other)
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); err != nil || row.Code != "upgrade.replaced" || len(w.upgrades()) != 0 {
		t.Errorf("%+v %v", row, err)
	}
	w = fresh(t)
	lost(alice, next)
	w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "11", "creator": alice}) // replaces nothing
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); err != nil || row.Code != "upgrade.replaced" {
		t.Errorf("%+v %v", row, err)
	}
	w = fresh(t)
	lost(alice, next)
	w.HS.Set(old, room.TypeTombstone, "", alice, object{})
	var under *invites.UnderWayError
	if _, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); !errors.As(err, &under) || len(w.upgrades()) != 0 {
		t.Errorf("%v", err)
	}
	w.Clock.Advance(time.Minute)
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); err != nil || row.Room != old+"12" || len(w.upgrades()) != 1 {
		t.Errorf("%+v %v", row, err)
	}
}

// TestPerformJudgesAnew: power lost between the card and the reaction counts, and two commands do not upgrade a room twice.
func TestPerformJudgesAnew(t *testing.T) {
	w := fresh(t)
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(carol, "12")); err != nil || row.Code != "upgrade.right" || len(w.upgrades()) != 0 {
		t.Errorf("%+v %v", row, err)
	}
	w.asked()
	if row, err := w.upgrader().Perform(t.Context(), w.confirmed(alice, "12")); err != nil || row.Code != "upgrade.under_way" || len(w.upgrades()) != 0 {
		t.Errorf("%+v %v", row, err)
	}
}
