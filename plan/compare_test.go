package plan_test

import (
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/plan"
	"usher/room"
)

// TestCompare: people who are missing are invited, others removed where a source is exclusive, and power levels set. Nobody in keep, and neither
// the bot nor a creator is removed.
func TestCompare(t *testing.T) {
	w := newWorld(t)
	w.differs(wish("@alice:here", "@bob:here", "@usher:here"), "invite @bob:here")
	w.differs(exclusive("@bob:here"), "invite @bob:here, remove @carol:here, remove @rob:there, refuse remove @alice:here plan.creator")
	kept := exclusive("@carol:here 50")
	kept.Rooms[0].Keep = []string{"@r*:there", "@alice:here"}
	w.differs(kept, "power @carol:here 0→50")
	w.differs(wish("@carol:here 0"), "")
	w.differs(wish("@bob:here 50"), "invite @bob:here, power @bob:here 0→50")
	w.differs(wish("@usher:here 50"), "refuse power @usher:here plan.bot")
	both := wish("@bob:here")
	both.Rooms = append(both.Rooms, plan.Room{Room: "#nowhere:here", People: both.Rooms[0].People})
	if d := w.compare(both, false); d.Rooms[1].Code != plan.CodeUnknown || d.Refused() != 1 {
		t.Errorf("a name without a room: %+v", d)
	}
	both.Rooms[1].Room = "#lobby:here"
	var f *plan.Fault
	if _, err := w.Planner.Compare(t.Context(), both, false); !errors.As(err, &f) || f.Code != "plan.twice" {
		t.Errorf("a room by its id and by its alias: %v", err)
	}
}

// TestExclusiveSource: one exclusive source of several is enough, and the people of the others stay.
func TestExclusiveSource(t *testing.T) {
	w := newWorld(t)
	one := func(user id.UserID) []plan.Person { return []plan.Person{{User: user}} }
	people, is, err := plan.Unite([]plan.Source{{People: one(alice)}, {People: one(carol), Exclusive: true}})
	if err != nil {
		t.Fatal(err)
	}
	w.differs(&plan.Wish{Name: "staff", Rooms: []plan.Room{{Room: string(lobby), People: people, Exclusive: is}}}, "remove @rob:there")
}

// TestRemoteManager: for a manager whom the bot can't act for, the bot needs the power, too.
func TestRemoteManager(t *testing.T) {
	w := newWorld(t)
	w.allow(string(rob))
	managed := wish("@carol:here 25")
	managed.Manager = rob
	for bots, want := range map[int]string{50: "refuse power @carol:here state.power", 100: "power @carol:here 0→25"} {
		w.levels(object{string(alice): 100, string(rob): 100, string(bot): bots})
		w.differs(managed, want)
	}
}

// TestConsent: without the room's agreement nothing is done. In the bot's name a plan goes no further than the author of the agreement could.
func TestConsent(t *testing.T) {
	w := newWorld(t)
	w.allow("other")
	w.differs(wish("@bob:here"), "policy.plan.allow")
	w.allow("staff")
	w.levels(object{string(alice): 60, string(bot): 100, string(carol): 60})
	w.differs(exclusive("@alice:here", "@bob:here", "@rob:there 50"), "invite @bob:here, refuse remove @carol:here policy.plan.author, refuse power @rob:there policy.plan.author")
	w.levels(object{string(alice): 49, string(bot): 100})
	w.HS.Set(lobby, "m.room.power_levels", "", alice, object{"invite": 50, "state_default": 40, "users": object{string(alice): 49, string(bot): 100}})
	w.differs(exclusive("@alice:here", "@bob:here", "@rob:there"), "refuse invite @bob:here policy.plan.author, refuse remove @carol:here policy.plan.author")
	w.HS.Drop(lobby)
	w.differs(wish("@bob:here"), "unknown.no_view")
}

// TestBotsPower: in the bot's name nobody with the bot's power is removed or lowered, and nobody is raised above the bot.
func TestBotsPower(t *testing.T) {
	w := newWorld(t)
	w.levels(object{string(alice): 100, string(bot): 80, string(carol): 80})
	w.differs(exclusive("@alice:here", "@rob:there 81"), "refuse remove @carol:here kick.outranked, refuse power @rob:there pl.grant_above_self")
	w.differs(exclusive("@alice:here", "@carol:here 50", "@rob:there 80"), "power @rob:there 0→80, refuse power @carol:here pl.user_outranked")
}

// TestManager: in a manager's name a plan does what the manager could do, whatever the power of the bot and of the policy's author.
func TestManager(t *testing.T) {
	w := newWorld(t)
	w.allow(string(carol), string(rob))
	w.levels(object{string(alice): 100, string(bot): 100, string(carol): 60, string(rob): 60})
	for _, manager := range []id.UserID{carol, rob} { // rob's server is another one, so the bot performs
		managed := exclusive("@alice:here 50", "@bob:here", "@carol:here", "@rob:there", "@usher:here")
		managed.Manager = manager
		w.differs(managed, "invite @bob:here, refuse power @alice:here state.power")
	}
	stranger := wish("@bob:here")
	stranger.Manager = "@eve:here"
	w.differs(stranger, "policy.plan.allow")
	w.levels(object{string(alice): 100, string(bot): 100, string(carol): 0, string(rob): 100})
	managed := exclusive("@alice:here", "@bob:here")
	managed.Manager = carol
	w.differs(managed, "refuse invite @bob:here invite.power, refuse remove @rob:there kick.power")
	managed.Manager, managed.Rooms[0].People = rob, append(managed.Rooms[0].People, plan.Person{User: carol})
	w.differs(managed, "invite @bob:here")
}

// TestCreators: no creator of a room of version 12 is removed, or given a power level.
func TestCreators(t *testing.T) {
	w := newWorld(t)
	const next = id.RoomID("!next:here")
	w.HS.Create(next, "12", alice, bot, carol, rob)
	w.HS.Set(next, room.TypeCreate, "", alice, object{"room_version": "12", "additional_creators": []string{string(carol)}})
	w.HS.Set(next, room.TypePowerLevels, "", alice, object{"users": object{string(bot): 100}, "events": object{room.TypePowerLevels: 100}})
	w.Govern(object{"plan": object{"allow": []string{"staff"}}}, next)
	for _, tt := range []struct {
		wish *plan.Wish
		want string
	}{
		{exclusive("@rob:there"), "refuse remove @alice:here plan.creator, refuse remove @carol:here plan.creator"},
		{wish("@carol:here 50", "@rob:there 100"), "power @rob:there 0→100, refuse power @carol:here pl.creator_listed"},
	} {
		tt.wish.Rooms[0].Room = string(next)
		w.differs(tt.wish, tt.want)
	}
}

// TestAgain: people who left or declined by themselves are invited only with again, others who were removed always.
func TestAgain(t *testing.T) {
	w := newWorld(t)
	w.HS.Member(lobby, bob, "leave")
	w.HS.Set(lobby, "m.room.member", string(carol), alice, object{"membership": "leave"})
	w.HS.Set(lobby, "m.room.member", "@dan:here", alice, object{"membership": "ban"})
	some := wish("@bob:here", "@carol:here", "@dan:here")
	w.differs(some, "invite @carol:here, refuse invite @bob:here plan.left, refuse invite @dan:here invite.target_banned")
	some.Again = true
	w.differs(some, "invite @bob:here, invite @carol:here, refuse invite @dan:here invite.target_banned")
}

// TestBusy: somebody whose invitation waits to be sent is no change, and gets no power level before it is sent.
func TestBusy(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: time.Hour}
	}
	if _, err := w.Ask(t.Context(), w.Request(t, alice, bob)); err != nil {
		t.Fatal(err)
	}
	w.differs(wish("@bob:here 50"), "busy @bob:here")
}

// TestRefusedLately: a schedule leaves a refused change alone for a day; somebody who asks does not wait.
func TestRefusedLately(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403}
	}
	w.HS.BeforeState = func() error { return w.HS.Before(invites.Effect{}) }
	some := wish("@bob:here", "@carol:here 50")
	run := w.begin("one", some)
	if got := w.finish(run); got != "invite @bob:here M_FORBIDDEN, power @carol:here 0→50 M_FORBIDDEN" {
		t.Fatal(got)
	}
	if err := w.Runner.End(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if d := w.compare(some, true); short(d.Rooms[0].Steps) != "refuse invite @bob:here plan.again, refuse power @carol:here plan.again" {
		t.Errorf("on a schedule: %s", short(d.Rooms[0].Steps))
	}
	w.differs(some, "invite @bob:here, power @carol:here 0→50")
	w.Clock.Advance(25 * time.Hour)
	if d := w.compare(some, true); short(d.Steps()) != "invite @bob:here, power @carol:here 0→50" {
		t.Errorf("a day later: %s", short(d.Steps()))
	}
}

// TestCompareChangesNothing: a comparison leaves no rows, and charges nothing.
func TestCompareChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.In.Most = requests.Most{}
	w.compare(exclusive("@bob:here 50"), false)
	if rows, err := w.DB.UnsentOf(t.Context(), lobby, bob); err != nil || len(rows) != 0 || len(w.HS.Acts()) != 0 {
		t.Errorf("%v %v %v", rows, err, w.HS.Acts())
	}
}
