package e2e

import (
	"testing"

	"usher/e2e/harness"
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
	s.guest.AwaitMember(unwelcome, bot, "leave")

	next := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat"})
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
