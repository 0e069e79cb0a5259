package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
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

// TestUpgradeCarriesOver: what the homeserver leaves behind comes along, also over a kill: the policy with its guard, the link of the room's space, an
// alias, an invite link, an open invitation; and the policy of another room that names the old one, once its people agree.
func TestUpgradeCarriesOver(t *testing.T) {
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"web.listen": listen, "web.public_url": "http://" + listen}})
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Version: "10", Preset: "public_chat", Name: "Old"})
	space := s.BotRoom(s.owner, harness.RoomOptions{Type: "m.space", Name: "Space"})
	desk := s.BotRoom(s.owner, harness.RoomOptions{Name: "Desk"})
	alias := "#carried:" + s.Server.Domain
	s.owner.Do("PUT", "/v3/directory/room/"+url.PathEscape(alias), m{"room_id": s.room})
	s.owner.SetState(s.room, "m.room.canonical_alias", "", m{"alias": alias})
	s.owner.SetState(space, "m.space.child", string(s.room), m{"via": []string{s.Server.Domain}})
	s.owner.SetState(s.room, "m.space.parent", string(space), m{"via": []string{s.Server.Domain}})
	s.owner.SetState(s.room, policyEvent, "", m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "public"}})
	s.owner.SetState(desk, policyEvent, "", m{"version": 1, "knocks": m{"desk": true, "accept_members_of": []string{string(s.room)}}})
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.owner.AwaitReply(s.owner.Say(s.room, "!link create --here"), s.Usher.Bot)

	next := s.owner.CreateRoom(harness.RoomOptions{Version: "12", Preset: "public_chat", Replaces: s.room})
	s.owner.SetState(s.room, "m.room.tombstone", "", m{"body": "moved", "replacement_room": next})
	s.owner.AwaitMember(next, s.Usher.Bot, "join")
	s.Usher.Kill()
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	told := s.owner.Await("what came along", func(e harness.Event) bool {
		return e.Room == string(next) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "invite link")
	})
	t.Log(told.Field("body"))
	s.owner.AwaitMember(next, s.guest.ID, "invite")
	for _, want := range []struct {
		room      id.RoomID
		kind, key string
	}{{next, policyEvent, ""}, {next, "m.space.parent", string(space)}, {space, "m.space.child", string(next)}} {
		if event := s.owner.State(want.room, want.kind, want.key); event.Sender != string(s.owner.ID) || len(event.Content) < 5 {
			t.Errorf("%v: %s by %q", want, event.Content, event.Sender)
		}
	}
	leads := s.owner.Do("GET", "/v3/directory/room/"+url.PathEscape(alias), nil).Get("room_id")
	if s.Server.Kind == homeserver.Dendrite {
		if published := s.owner.State(next, "m.room.canonical_alias", ""); leads != string(next) || published.Field("alias") != alias {
			t.Errorf("the alias leads to %s; published: %s", leads, published.Content)
		}
	} else if body := told.Field("body"); leads != string(s.room) || !strings.Contains(body, alias+" still leads to the old room") { // Synapse takes aliases from application services in their namespaces only
		t.Errorf("the alias leads to %s; told: %s", leads, body)
	}
	card := s.owner.Await("a question", func(e harness.Event) bool {
		return e.Room == string(desk) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "accept_members_of")
	})
	t.Log(card.Field("body"))
	s.owner.React(desk, id.EventID(card.ID), done)
	s.owner.Await("the policy of the other room", func(e harness.Event) bool {
		return e.Room == string(desk) && e.Type == policyEvent && strings.Contains(string(e.Content), string(next))
	})
	s.owner.SetState(next, "m.room.join_rules", "", m{"join_rule": "invite"})
	s.owner.Await("the guard", func(e harness.Event) bool {
		return e.Room == string(next) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "join rule")
	})
}

// TestUpgradeCommand: !upgrade takes a room of version 10 to version 12 after a ✅, once, also over a kill; policy, guard, space and link come along.
func TestUpgradeCommand(t *testing.T) {
	s := newStage(t, true)
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Version: "10", Name: "Old"})
	space := s.BotRoom(s.owner, harness.RoomOptions{Type: "m.space", Name: "Space"})
	s.owner.SetState(space, "m.space.child", string(s.room), m{"via": []string{s.Server.Domain}})
	s.owner.SetState(s.room, "m.space.parent", string(space), m{"via": []string{s.Server.Domain}})
	s.owner.SetState(s.room, policyEvent, "", m{"version": 1, "guard": m{"mode": "watch", "join_rule": "invite"}})
	s.settled(s.owner, s.room)
	s.refused(t, s.owner, s.room, "!upgrade 9", "upgrade.version")
	card := s.owner.AwaitReply(s.owner.Say(s.room, "!upgrade 12"), s.Usher.Bot)
	t.Log(card.Field("body"))
	s.owner.React(s.room, id.EventID(card.ID), done)
	var next id.RoomID
	s.owner.Await("the tombstone", func(e harness.Event) bool {
		if e.Room == string(s.room) && e.Type == "m.room.tombstone" {
			next = id.RoomID(e.Field("replacement_room"))
		}
		return next != ""
	})
	s.Usher.Kill()
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	s.owner.Await("the outcome", func(e harness.Event) bool { // Synapse mutes people without power in the old room
		told := e.Room == string(s.room) && strings.Contains(string(e.Content), "new room is") || e.Room == string(next) && strings.Contains(string(e.Content), "I carried over")
		return e.Sender == string(s.Usher.Bot) && told
	})
	s.owner.AwaitMember(next, s.Usher.Bot, "join")
	for _, want := range []struct {
		room      id.RoomID
		kind, key string
	}{{next, policyEvent, ""}, {next, "m.space.parent", string(space)}, {space, "m.space.child", string(next)}} {
		harness.Eventually(t, want.kind+" of "+string(want.room), func() bool {
			status, _ := s.owner.Try("GET", "/v3/rooms/"+url.PathEscape(string(want.room))+"/state/"+want.kind+"/"+url.PathEscape(want.key), nil)
			return status == 200
		})
	}
	if version := s.owner.State(next, "m.room.create", "").Field("room_version"); version != "12" {
		t.Errorf("the new room has version %q", version)
	}
	if strings.Contains(string(s.owner.State(next, "m.room.power_levels", "").Content), string(s.owner.ID)) {
		t.Error("the creator stands in the power levels")
	}
	if n := len(s.Usher.Tap.Requests(func(r harness.Request) bool { return strings.HasSuffix(r.Path, "/upgrade") })); n != 1 {
		t.Errorf("the homeserver was asked %d times", n)
	}
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
