package moves_test

import (
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
	"usher/room"
)

// TestCarriesOver: space links on both sides, aliases, links, questions and open invitations come along.
func TestCarriesOver(t *testing.T) {
	w := newWorld(t)
	dir := invitestest.Directory{Homeserver: w.HS}
	_ = dir.SetAlias(t.Context(), "#old:here", old, alice)
	w.HS.Set(old, room.TypeCanonicalAlias, "", alice, object{"alias": "#old:here"})
	w.HS.Create(space, "11", alice, bot)
	w.HS.Set(space, room.TypeSpaceChild, string(old), alice, object{"via": []string{"here"}, "order": "a"})
	w.HS.Set(old, room.TypeSpaceParent, string(space), alice, object{"via": []string{"here"}, "canonical": true})
	w.HS.Claim(space, old)
	w.HS.Set(old, room.TypeTombstone, "", carol, object{}) // links can't be made into replaced rooms one day
	l, _, err := w.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{old}})
	if err != nil {
		t.Fatal(err)
	}
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next})
	w.HS.Member(old, bob, "invite")
	w.Observe(t, "$invited", bob, carol, "invite")

	u := w.carry(next)

	for _, want := range []struct {
		r         id.RoomID
		kind, key string
	}{{next, room.TypeSpaceParent, string(space)}, {space, room.TypeSpaceChild, string(next)}, {next, room.TypeCanonicalAlias, ""}} {
		if event := w.state(want.r, want.kind, want.key); event == nil || event.Sender != alice {
			t.Errorf("%v: %+v", want, event)
		}
	}
	if w.state(old, room.TypeCanonicalAlias, "") != nil {
		t.Error("the old room still names the alias")
	}
	if leads, _, _ := w.HS.Resolve(t.Context(), "#old:here"); leads != next {
		t.Errorf("the alias leads to %s", leads)
	}
	if l, err = w.DB.Link(t.Context(), l.ID); err != nil || !slices.Equal(l.Rooms, []id.RoomID{next}) {
		t.Errorf("%+v %v", l, err)
	}
	if snap, _ := w.HS.Snapshot(t.Context(), next, bot, nil, true); func() string { m, _ := snap.Membership(bob); return m }() != "invite" {
		t.Error("bob is not invited")
	}
	want := []string{"move.links", "move.state", "move.alias", "move.state", "move.invitations", "move.space"}
	if got := notes(u); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	acts := len(w.HS.Acts())
	u.Step = 0 // a crash before anything was kept
	if _, done, err := w.Moves.Run(t.Context(), u); !done || err != nil || len(w.HS.Acts()) != acts {
		t.Errorf("%v %v %v", done, err, w.HS.Acts()[acts:])
	}
}

// TestAliasAfterCrash: an alias dropped before a crash leads to the new room after it.
func TestAliasAfterCrash(t *testing.T) {
	w := newWorld(t)
	if err := w.Moves.Begin(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	due, _ := w.Moves.Due(t.Context())
	dir := invitestest.Directory{Homeserver: w.HS}
	w.HS.Create(other, "11", carol, bot)
	_ = dir.SetAlias(t.Context(), "#taken:here", other, carol) // by somebody else meanwhile
	due[0].Step, due[0].Rest = 4, []string{"#dropped:here", "#taken:here"}
	if err := w.DB.SaveUpgrade(t.Context(), due[0]); err != nil {
		t.Fatal(err)
	}
	w.carry(next)
	if leads, _, _ := w.HS.Resolve(t.Context(), "#dropped:here"); leads != next {
		t.Errorf("the alias leads to %q", leads)
	}
	for _, act := range w.HS.Acts() {
		if act.Reason == "#taken:here" && act.Performer != carol {
			t.Errorf("%s takes an alias of another room", act.Performer)
		}
	}
}

// TestAliasOfAnotherServer: an alias belongs to the homeserver, so nobody of another server has it moved, whatever power they have in the room.
func TestAliasOfAnotherServer(t *testing.T) {
	for actor, want := range map[id.UserID]id.RoomID{alice: other, invitestest.Remote: old} {
		w := newWorld(t)
		w.In.Self.Assert = false
		w.Build()
		w.HS.Set(old, room.TypePowerLevels, "", alice, object{"users": object{string(actor): 100, string(bot): 100}})
		dir := invitestest.Directory{Homeserver: w.HS}
		_ = dir.SetAlias(t.Context(), "#old:here", old, bot)
		w.replace(old, other, actor)
		u := w.carry(other)
		if leads, _, _ := w.HS.Resolve(t.Context(), "#old:here"); leads != want || slices.Contains(notes(u), "move.alias.kept") != (want == old) {
			t.Errorf("%s: the alias leads to %s: %v", actor, leads, notes(u))
		}
	}
}

// TestBorrowsNothing: the sender of the tombstone gets nothing carried over that they could not do themselves, whatever power the bot has.
func TestBorrowsNothing(t *testing.T) {
	const mallory = id.UserID("@mallory:here")
	for _, assert := range []bool{true, false} {
		w := newWorld(t)
		w.In.Self.Assert = assert
		w.Build()
		w.HS.Member(old, mallory, "join")
		// Mallory may send tombstones and nothing else. The bot has all power.
		w.HS.Set(old, room.TypePowerLevels, "", alice, object{"events": object{room.TypeTombstone: 10}, "users": object{string(alice): 100, string(bot): 100, string(mallory): 10}})
		dir := invitestest.Directory{Homeserver: w.HS}
		_ = dir.SetAlias(t.Context(), "#old:here", old, alice)
		w.HS.Create(space, "11", alice, bot, mallory)
		w.HS.Set(space, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 100, string(bot): 100}})
		w.HS.Set(space, room.TypeSpaceChild, string(old), alice, object{"via": []string{"here"}})
		w.HS.Set(old, room.TypeSpaceParent, string(space), alice, object{"via": []string{"here"}})
		w.HS.Claim(space, old)
		l, _, err := w.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{old}})
		if err != nil {
			t.Fatal(err)
		}
		w.Govern(object{"approval": object{"required": true}})
		w.MustAsk(t, w.Request(t, carol, "@dave:here"))
		w.HS.Member(old, bob, "invite")
		w.Observe(t, "$invited", bob, carol, "invite")
		w.replace(old, other, mallory)
		u := w.carry(other)

		if w.state(space, room.TypeSpaceChild, string(other)) != nil {
			t.Error("the space lists it")
		}
		if leads, _, _ := w.HS.Resolve(t.Context(), "#old:here"); leads != old {
			t.Errorf("the alias leads to %s", leads)
		}
		if l, _ = w.DB.Link(t.Context(), l.ID); !slices.Equal(l.Rooms, []id.RoomID{old}) {
			t.Errorf("%+v", l)
		}
		snap, _ := w.HS.Snapshot(t.Context(), other, bot, nil, true)
		if m, _ := snap.Membership(bob); m == "invite" {
			t.Error("bob is invited")
		}
		if open, err := w.DB.OpenCards(t.Context(), invites.CardQuery{Kind: invites.CardApproval, Room: old}); err != nil || len(open) != 1 {
			t.Errorf("the question ends: %+v %v", open, err)
		}
		if got := notes(u); !slices.Contains(got, "move.unrightful") || !slices.Contains(got, "move.alias.kept") || !slices.Contains(got, "move.space.asked") {
			t.Errorf("%v", got)
		}
	}
}

// TestQuestionsEnd: questions about the old room end, with their reason; those of the user who upgraded go on in the new room.
func TestQuestionsEnd(t *testing.T) {
	w := newWorld(t)
	w.HS.Set(old, room.TypeTombstone, "", alice, object{})
	w.Govern(map[string]any{"delegate": true, "approval": map[string]any{"required": true}})
	w.Govern(map[string]any{"approval": map[string]any{"required": true}}, next)
	theirs := w.MustAsk(t, w.Request(t, carol, bob))
	own := w.MustAsk(t, w.Request(t, alice, "@dave:here"))
	if theirs[0].Status != invites.StatusWaiting || own[0].Status != invites.StatusWaiting {
		t.Fatal(invitestest.Outcomes(append(theirs, own...)))
	}
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next})
	u := w.carry(next)
	if !slices.Contains(notes(u), "move.questions") {
		t.Errorf("%v", notes(u))
	}
	for _, row := range append(theirs, own...) {
		rows, err := w.DB.ChangesOf(t.Context(), row.Request)
		if err != nil || rows[0].Status != invites.StatusCancelled || rows[0].Code != invites.CodeReplaced {
			t.Errorf("%+v %v", rows, err)
		}
	}
	open, err := w.DB.OpenCards(t.Context(), invites.CardQuery{Kind: invites.CardApproval})
	if err != nil || len(open) != 1 || open[0].Room != next || open[0].Target != "@dave:here" || open[0].Actor != alice {
		t.Errorf("%+v %v", open, err)
	}
}

// TestWaitingEnds: invitations that wait to be sent end with the room. The user who upgraded asks anew for their own, and for nobody else's, nor for
// users of their links, nor for people of a plan in their name.
func TestWaitingEnds(t *testing.T) {
	w := newWorld(t)
	w.HS.Set(old, room.TypeTombstone, "", alice, object{})
	w.Govern(object{"delegate": true})
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: time.Hour}
	}
	theirs := w.MustAsk(t, w.Request(t, carol, bob))
	w.MustAsk(t, w.Request(t, alice, "@dave:here"))
	planned := invites.Change{ // in her name, but she did not ask
		Origin: invites.OriginPlan, Request: invites.PlanRequest + "staff", Action: room.Invite, Room: old, Target: "@fay:here", Actor: alice, Performer: alice,
		Status: invites.StatusOpen, CreatedAt: w.Clock.Now(), DueAt: w.Clock.Now(),
	}
	if _, err := w.DB.Record(t.Context(), []invites.Change{planned}, nil); err != nil {
		t.Fatal(err)
	}
	w.HS.Before = nil
	l, _, err := w.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{old}, Approve: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, rows, err := w.UseLink(t.Context(), l, "@erin:here"); err != nil || rows[0].Status != invites.StatusWaiting {
		t.Fatal(rows, err)
	}
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next})
	u := w.carry(next)
	if rows, err := w.DB.ChangesOf(t.Context(), u.Key()); err != nil || len(rows) != 1 || rows[0].Target != "@dave:here" {
		t.Errorf("asked for anew: %+v %v", rows, err)
	}
	if rows, err := w.DB.ChangesOf(t.Context(), theirs[0].Request); err != nil || rows[0].Status != invites.StatusCancelled {
		t.Errorf("%+v %v", rows, err)
	}
}

// TestWithdrawnMeanwhile: an invitation that was withdrawn is not carried over, also where the ledger has not seen the withdrawal.
func TestWithdrawnMeanwhile(t *testing.T) {
	w := newWorld(t)
	for _, user := range []id.UserID{bob, "@dave:here"} {
		w.HS.Member(old, user, "invite")
		w.Observe(t, id.EventID("$invited"+user), user, carol, "invite")
	}
	w.HS.Member(old, bob, "leave")
	u := w.carry(next)
	if rows, err := w.DB.ChangesOf(t.Context(), u.Key()); err != nil || len(rows) != 1 || rows[0].Target != "@dave:here" {
		t.Errorf("%+v %v", rows, err)
	}
}

// TestActorComesLater: what the upgrading user asked for waits until that user is in the new room: nobody else could ask for it there.
func TestActorComesLater(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"approval": object{"required": true}})
	w.HS.Set(old, room.TypeTombstone, "", alice, object{})
	w.MustAsk(t, w.Request(t, alice, "@dave:here"))
	w.HS.Set(old, room.TypeTombstone, "", alice, object{"replacement_room": next})
	w.HS.Member(next, alice, "leave")
	if err := w.Moves.Begin(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	due, err := w.Moves.Due(t.Context())
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	u, done, err := w.Moves.Run(t.Context(), due[0])
	if rows, failed := w.DB.ChangesOf(t.Context(), due[0].Key()); failed != nil || len(rows) != 0 || done || err != nil {
		t.Errorf("while she is away: %+v, done %t, %v %v", rows, done, err, u)
	}
	w.HS.Member(next, alice, "join")
	u = w.carry(next)
	if rows, err := w.DB.ChangesOf(t.Context(), u.Key()); err != nil || len(rows) != 1 || rows[0].Target != "@dave:here" || rows[0].Status == invites.StatusRefused {
		t.Errorf("once she is there: %+v %v", rows, err)
	}
}

// TestKeptBack: a step whose state the homeserver keeps back is done later, and notes nothing.
func TestKeptBack(t *testing.T) {
	for step, kept := range map[int64]room.Key{
		2: room.MemberKey(alice), 3: {Type: room.TypeSpaceParent, StateKey: string(space)}, 4: {Type: room.TypeCanonicalAlias}, 6: {Type: room.TypePowerLevels},
	} {
		w := newWorld(t)
		dir := invitestest.Directory{Homeserver: w.HS}
		_ = dir.SetAlias(t.Context(), "#old:here", old, alice)
		w.HS.Set(old, room.TypeCanonicalAlias, "", alice, object{"alias": "#old:here"})
		w.HS.Create(space, "11", alice, bot)
		w.HS.Set(space, room.TypeSpaceChild, string(old), alice, object{"via": []string{"here"}})
		w.HS.Set(old, room.TypeSpaceParent, string(space), alice, object{"via": []string{"here"}})
		w.HS.Claim(space, old)
		if err := w.Moves.Begin(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Minute)
		due, err := w.Moves.Due(t.Context())
		if err != nil || len(due) != 1 {
			t.Fatal(due, err)
		}
		u := due[0]
		u.Step = step
		w.HS.Kept = []room.Key{kept}
		after, done, err := w.Moves.Run(t.Context(), u)
		if done || after.Step != step || len(after.Notes) != 0 || step > 2 && err == nil {
			t.Errorf("step %d: %v %+v %v", step, done, after, err)
		}
	}
}
