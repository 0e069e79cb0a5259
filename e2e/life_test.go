package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestBotsOwnLife: it comes when invited and says so, declines those whom the operator does not let use it, leaves a room emptied
// of people, and follows an upgrade.
func TestBotsOwnLife(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Set: m{"permissions": m{"*": "none", "@owner1:usher.test": "user"}}})}
	s.owner, s.guest = s.Account("owner"), s.Account("guest")
	bot := s.Usher.Bot
	s.room = s.BotRoom(s.owner, harness.RoomOptions{})
	s.owner.Await("a word of greeting", func(e harness.Event) bool {
		return e.Room == string(s.room) && e.Sender == string(bot) && e.Type == "m.room.message"
	})
	if name := s.owner.State(s.room, "m.room.member", string(bot)).Field("displayname"); name != "Usher" {
		t.Errorf("display name %q", name)
	}

	unwelcome := s.guest.CreateRoom(harness.RoomOptions{})
	s.guest.Invite(unwelcome, bot)
	left := s.guest.AwaitMember(unwelcome, bot, "leave") // Dendrite drops the reason of a leave
	if s.Server.Kind == homeserver.Synapse && !strings.Contains(left.Field("reason"), "does not let you use it") {
		t.Errorf("declined for the reason %q", left.Field("reason"))
	}

	next := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat", Replaces: s.room})
	s.owner.SetState(s.room, "m.room.tombstone", "", m{"body": "moved", "replacement_room": next})
	s.owner.AwaitMember(next, bot, "join")

	watcher := s.BotRoom(s.owner, harness.RoomOptions{})
	s.owner.Do("POST", "/v3/rooms/"+string(watcher)+"/leave", m{})
	if _, err := s.Usher.Tap.Await(harness.Soon(t), func(r harness.Request) bool {
		return r.Acts(string(watcher)) && r.Path[len(r.Path)-len("/leave"):] == "/leave" && r.Status == 200
	}); err != nil {
		t.Errorf("the bot did not leave the empty room: %v", err)
	}
}

// TestFollowing: the bot goes where a room's upgrade leads, and nowhere else: the new room must say that it replaces the old one. From
// others it is gone before it does anything there, and a room that it was in already it does not leave.
func TestFollowing(t *testing.T) {
	s := newStage(t, true)
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Preset: "public_chat"})
	upgraded := id.RoomID(s.owner.Do("POST", "/v3/rooms/"+string(s.room)+"/upgrade", m{"new_version": "11"}).Get("replacement_room"))
	s.owner.AwaitMember(upgraded, s.Usher.Bot, "join")
	s.succeeds(s.owner, upgraded, "!invite "+string(s.guest.ID))

	home := s.BotRoom(s.owner, harness.RoomOptions{})
	for _, tt := range []struct {
		name     string
		replaces id.RoomID
	}{{"any room", ""}, {"another's successor", s.room}} {
		lure := s.BotRoom(s.guest, harness.RoomOptions{})
		away := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat", Replaces: tt.replaces})
		s.guest.SetState(lure, "m.room.tombstone", "", m{"body": "moved", "replacement_room": away})
		s.owner.AwaitMember(away, s.Usher.Bot, "join")
		s.owner.Say(away, "!ping")
		s.owner.AwaitMember(away, s.Usher.Bot, "leave")
		if said := s.owner.Seen(func(e harness.Event) bool {
			return e.Room == string(away) && e.Sender == string(s.Usher.Bot) && e.Type != "m.room.member"
		}); len(said) > 0 {
			t.Errorf("%s: the bot did something there: %+v", tt.name, said)
		}
	}
	lure := s.BotRoom(s.guest, harness.RoomOptions{})
	s.guest.SetState(lure, "m.room.tombstone", "", m{"body": "moved", "replacement_room": home})
	s.guest.AwaitReply(s.guest.Say(lure, "!ping"), s.Usher.Bot)
	s.owner.AwaitReply(s.owner.Say(home, "!ping"), s.Usher.Bot)
	s.is(t, home, s.Usher.Bot, "join", "")

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	successor := harness.RoomOptions{Preset: "public_chat", Replaces: lure}
	before, stands := s.owner.CreateRoom(successor), s.owner.CreateRoom(successor)
	for _, next := range []id.RoomID{before, stands} {
		s.guest.SetState(lure, "m.room.tombstone", "", m{"body": "moved", "replacement_room": next})
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	s.owner.AwaitMember(stands, s.Usher.Bot, "join")
	if went := s.owner.Seen(func(e harness.Event) bool { return e.Room == string(before) && e.Sender == string(s.Usher.Bot) }); len(went) > 0 {
		t.Errorf("it followed a tombstone that did not stand: %+v", went)
	}
}

// TestPermissions: whom the operator does not let use the bot is told so, and nothing else.
func TestPermissions(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, Set: m{"permissions": m{"*": "none", "@owner1:usher.test": "user"}}})}
	s.owner, s.guest = s.Account("owner"), s.Account("guest")
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Invite: nil})
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.guest.Join(s.room)
	s.refused(t, s.guest, s.room, "!invite @somebody:usher.test", "permissions")
	if n := s.acts(s.room); n != 1 {
		t.Errorf("%d requests, expected the owner's alone", n)
	}
}
