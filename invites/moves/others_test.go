package moves_test

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// cards returns the open cards of upgrades in a room.
func (w *world) cards(r id.RoomID) []invites.Card {
	w.t.Helper()
	open, err := w.DB.OpenCards(w.t.Context(), invites.CardQuery{Kind: invites.CardMove, Room: r})
	if err != nil {
		w.t.Fatal(err)
	}
	return open
}

// vote votes on a card, and returns the row that tells the outcome.
func (w *world) vote(c invites.Card, voter id.UserID) (code string, row invites.Change) {
	w.t.Helper()
	event := id.EventID("$vote of " + voter)
	if _, err := w.DB.Receive(w.t.Context(), []invites.Received{{Event: event, Room: c.ShownIn, Sender: voter, Type: "m.reaction", Raw: []byte("{}"), SentAt: w.Clock.Now(), ReceivedAt: w.Clock.Now()}}); err != nil {
		w.t.Fatal(err)
	}
	ballot, err := w.Cards.Vote(w.t.Context(), c, invites.Vote{Voter: voter, Choice: invites.Accept, Room: c.ShownIn, Event: event, At: w.Clock.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	if ballot.Card.State == invites.CardAccepted {
		if row, err = w.Moves.Confirmed(w.t.Context(), ballot.Card); err != nil {
			w.t.Fatal(err)
		}
	}
	return ballot.Code, row
}

// TestPoliciesAreAsked: a policy that names the old room names the new one once somebody with the power there agrees, in their name.
func TestPoliciesAreAsked(t *testing.T) {
	w := newWorld(t)
	w.HS.Create(other, "11", carol, bot, alice, bob)
	w.HS.Set(other, policy.EventType, "", carol, object{
		"version": 1, "whom": object{"lists": []id.RoomID{"!a:here", old}}, "approval": object{"room": old}, "named_by": []id.RoomID{old, next}})
	w.carry(next)
	open := w.cards(other)
	if len(open) != 1 || open[0].Level != 50 || open[0].Remark.Args["fields"] != "whom.lists, approval.room, named_by" {
		t.Fatalf("%+v", open)
	}
	if code, _ := w.vote(open[0], bob); code != "vote.power" {
		t.Errorf("bob's vote: %q", code)
	}
	if code, row := w.vote(open[0], carol); code != "" || row.ID != 0 {
		t.Errorf("carol's vote: %q %+v", code, row)
	}
	if event := w.state(other, policy.EventType, ""); event.Sender != carol {
		t.Errorf("%+v", event)
	}
	for path, want := range map[string]string{"lists": `["!a:here","!next:here"]`, "room": `"!next:here"`, "named": `["!next:here"]`} {
		got := map[string]string{"lists": w.named(other, "whom", "lists"), "room": w.named(other, "approval", "room"), "named": w.named(other, "named_by")}[path]
		if got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestStrangersHearNothing: a room that names the old one without anybody of it learns nothing of the new one.
func TestStrangersHearNothing(t *testing.T) {
	const mallory = id.UserID("@mallory:there")
	w := newWorld(t)
	w.HS.Create(other, "11", mallory, bot)
	w.HS.Set(other, policy.EventType, "", mallory, object{"version": 1, "whom": object{"lists": []id.RoomID{old}}})
	w.HS.Set(other, room.TypeSpaceChild, string(old), mallory, object{"via": []string{"here"}})
	w.HS.Set(other, room.TypeSpaceParent, string(old), mallory, object{"via": []string{"here"}})
	w.carry(next)
	if open := w.cards(other); len(open) != 0 {
		t.Errorf("%+v", open)
	}
}

// TestSpaceIsAsked: where the sender of the tombstone lacks the power, the people of the space decide, and the voter lists the room. A voter who has
// lost the power meanwhile does nothing.
func TestSpaceIsAsked(t *testing.T) {
	w := newWorld(t)
	w.HS.Create(space, "11", carol, bot)
	w.HS.Set(space, room.TypeSpaceChild, string(old), carol, object{"via": []string{"here"}})
	w.HS.Set(old, room.TypeSpaceParent, string(space), alice, object{"via": []string{"here"}})
	w.HS.Claim(space, old)
	w.carry(next)
	open := w.cards(space)
	if len(open) != 1 || open[0].Action != room.TypeSpaceChild {
		t.Fatalf("%+v", open)
	}
	closed := open[0]
	closed.State, closed.ClosedBy = invites.CardAccepted, "@rob:there"
	if row, err := w.Moves.Confirmed(t.Context(), closed); err != nil || row.Code != "upgrade.power" {
		t.Errorf("%+v %v", row, err)
	}
	if code, row := w.vote(open[0], carol); code != "" || row.ID != 0 {
		t.Errorf("%q %+v", code, row)
	}
	if event := w.state(space, room.TypeSpaceChild, string(next)); event == nil || event.Sender != carol {
		t.Errorf("%+v", event)
	}
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": "!third:here"})
	w.HS.Set(space, room.TypeSpaceChild, string(next), carol, object{})
	closed.ClosedBy = carol
	if row, err := w.Moves.Confirmed(t.Context(), closed); err != nil || row.Code != "upgrade.gone" {
		t.Errorf("%+v %v", row, err)
	}
}

// TestManyRooms: the rooms of the bot are looked through in parts, and each is asked once.
func TestManyRooms(t *testing.T) {
	w := newWorld(t)
	for n := range 250 {
		r := id.RoomID("!room" + string(rune('a'+n%26)) + string(rune('a'+n/26)) + ":here")
		w.HS.Create(r, "11", alice, bot)
		w.HS.Set(r, policy.EventType, "", alice, object{"version": 1, "approval": object{"room": old}})
	}
	began := w.Clock.Now()
	w.carry(next)
	if open := w.cards(""); len(open) != 250 || w.Clock.Now().Sub(began) < 3*time.Minute {
		t.Errorf("%d cards", len(open))
	}
}
