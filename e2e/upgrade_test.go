package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

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

// TestUpgradeLendsNothing: a homeserver that copies a policy into the new room, in the name of the upgrading admin, does not lend the fields of a
// weaker moderator the admin's power. Where it copies none, the old policy counts, with its author.
func TestUpgradeLendsNothing(t *testing.T) {
	s := newStage(t, true)
	mod := s.Account("mod")
	room := s.BotRoom(s.owner, harness.RoomOptions{Preset: "public_chat", Power: m{"invite": 60}})
	s.owner.Grant(room, 100, s.Usher.Bot)
	mod.Join(room)
	s.guest.Join(room)
	s.owner.Grant(room, 50, mod.ID)
	mod.SetState(room, policyEvent, "", m{"version": 1, "delegate": true})
	invite := "!invite " + string(s.Account("other").ID)
	s.refused(t, s.guest, room, invite, "policy.delegate.author")
	next := id.RoomID(s.owner.Do("POST", "/v3/rooms/"+string(room)+"/upgrade", m{"new_version": "11"}).Get("replacement_room"))
	s.owner.AwaitMember(next, s.Usher.Bot, "join")
	s.guest.Join(next)
	s.refused(t, s.guest, next, invite, "policy.delegate.author")
	s.owner.SetState(next, policyEvent, "", m{"version": 1, "delegate": true, "links": m{"allow": false}})
	s.succeeds(s.guest, next, invite)
}

// TestSpellings: what denies holds for every spelling of a name: in a policy, and in the rules of a list.
func TestSpellings(t *testing.T) {
	s := newStage(t, true)
	list := s.BotRoom(s.owner, harness.RoomOptions{Name: "bans"})
	s.owner.SetState(list, "m.policy.rule.user", "a", m{"entity": "@Spam*:LISTED.example.", "recommendation": "m.ban"})
	s.owner.SetState(s.room, policyEvent, "", m{"version": 1, "whom": m{"deny_servers": []string{"EVIL.example"}, "lists": []id.RoomID{list}}})
	for name, code := range map[string]string{
		"@x:evil.example:8448": "policy.whom.server_denied", "@x:Evil.Example.": "policy.whom.server_denied", "@SPAM1:listed.example": "policy.whom.listed",
	} {
		s.refused(t, s.owner, s.room, "!invite "+name, code)
	}
}
