package e2e

import (
	"strings"
	"testing"

	"usher/e2e/harness"
)

// TestUpgradeKeepsPolicy: in a room that replaces another, the policy of the old room counts, whoever may not write the new one. The old
// room asks which room an invitation is for.
func TestUpgradeKeepsPolicy(t *testing.T) {
	s := newStage(t, true)
	heir := s.Account("heir")
	s.owner.Invite(s.room, heir.ID)
	heir.Join(s.room)
	s.owner.Grant(s.room, 100, heir.ID)
	s.owner.SetState(s.room, policyEvent, "", m{"version": 1, "whom": m{"deny_users": []string{string(s.guest.ID)}}})
	next := heir.CreateRoom(harness.RoomOptions{Preset: "public_chat", Replaces: s.room})
	heir.SetState(s.room, "m.room.tombstone", "", m{"body": "moved", "replacement_room": next})
	heir.AwaitMember(next, s.Usher.Bot, "join")
	heir.Await("a word on the policy", func(e harness.Event) bool {
		return e.Room == string(next) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "policy copy")
	})
	s.refused(t, heir, next, "!invite "+string(s.guest.ID), "policy.whom.user_denied")
	s.refused(t, heir, s.room, "!invite "+string(s.guest.ID), "room.replaced")
	s.succeeds(heir, next, "!policy reset")
	s.succeeds(heir, next, "!invite "+string(s.guest.ID))
}

// TestTombstoneOfNobody: who may not use the bot does not lead it anywhere.
func TestTombstoneOfNobody(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, Set: m{"permissions": m{"*": "none", "@owner1:usher.test": "user"}}})}
	s.owner, s.guest = s.Account("owner"), s.Account("guest")
	s.room = s.BotRoom(s.owner, harness.RoomOptions{})
	s.owner.Invite(s.room, s.guest.ID)
	s.guest.Join(s.room)
	s.owner.Grant(s.room, 100, s.guest.ID)
	away := s.guest.CreateRoom(harness.RoomOptions{Preset: "public_chat", Replaces: s.room})
	s.guest.SetState(s.room, "m.room.tombstone", "", m{"body": "moved", "replacement_room": away})
	s.settled(s.owner, s.room)
	if got, _ := s.guest.Membership(away, s.Usher.Bot); got != "" && got != "leave" {
		t.Errorf("the bot is %q in %s", got, away)
	}
}
