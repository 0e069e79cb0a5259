package e2e

import (
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// TestInviteAsActor: with identity assertion, the invitation is the asking person's own, with the reason they gave.
func TestInviteAsActor(t *testing.T) {
	s := newStage(t, true)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID)+" come and see")
	s.guest.AwaitInvite(s.room)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	if reason := s.owner.State(s.room, "m.room.member", string(s.guest.ID)).Field("reason"); reason != "come and see" {
		t.Errorf("reason %q", reason)
	}
	s.guest.Join(s.room)
	s.owner.AwaitMember(s.room, s.guest.ID, "join")

	other := s.Account("other")
	s.succeeds(s.owner, s.room, "!invite --as-bot "+string(other.ID))
	s.is(t, s.room, other.ID, "invite", s.Usher.Bot)
}

// TestInviteAsBot: without it, the bot invites, by its own power.
func TestInviteAsBot(t *testing.T) {
	s := newStage(t, false)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.guest.AwaitInvite(s.room)
	s.is(t, s.room, s.guest.ID, "invite", s.Usher.Bot)

	strict := s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 50}})
	s.refused(t, s.owner, strict, "!invite "+string(s.guest.ID), "invite.power")
	s.owner.Grant(strict, 50, s.Usher.Bot)
	s.succeeds(s.owner, strict, "!invite "+string(s.guest.ID))
	s.is(t, strict, s.guest.ID, "invite", s.Usher.Bot)
}

// TestInviteByRoomVersion: as the actor and as the bot, in a room where both need power, in versions that differ in what a
// power level, a creator and a room id are.
func TestInviteByRoomVersion(t *testing.T) {
	s := newStage(t, true)
	for _, version := range []string{"1", "6", "10", "11", "12"} {
		t.Run("v"+version, func(t *testing.T) {
			room := s.BotRoom(s.owner, harness.RoomOptions{Version: version, Power: m{"invite": 50}})
			first, second, member := s.Account("first"), s.Account("second"), s.Account("member")
			s.succeeds(s.owner, room, "!invite "+string(first.ID))
			s.is(t, room, first.ID, "invite", s.owner.ID)

			s.refused(t, s.owner, room, "!invite --as-bot "+string(second.ID), "invite.power")
			s.owner.Grant(room, 50, s.Usher.Bot)
			s.succeeds(s.owner, room, "!invite --as-bot "+string(second.ID))
			s.is(t, room, second.ID, "invite", s.Usher.Bot)

			s.owner.Invite(room, member.ID)
			member.Join(room)
			s.refused(t, member, room, "!invite --as-bot "+string(s.guest.ID), "invite.power")
			if n := s.acts(room); n != 2 {
				t.Errorf("%d requests, expected the two that were allowed", n)
			}
		})
	}
}

// TestInviteForms: the ways to name people and rooms, several at once, and partial failure.
func TestInviteForms(t *testing.T) {
	s := newStage(t, true)
	t.Run("pill", func(t *testing.T) {
		pilled := s.Account("pilled")
		html := fmt.Sprintf(`!invite <a href="https://matrix.to/#/%s">Pilled</a>`, pilled.ID)
		s.owner.AwaitReaction(s.owner.SayHTML(s.room, "!invite Pilled", html), s.Usher.Bot, done)
		s.is(t, s.room, pilled.ID, "invite", s.owner.ID)
	})
	t.Run("link and mention", func(t *testing.T) {
		linked := s.Account("linked")
		link := "matrix:u/" + strings.TrimPrefix(string(linked.ID), "@")
		s.succeeds(s.owner, s.room, string(s.Usher.Bot)+": invite "+link)
		s.is(t, s.room, linked.ID, "invite", s.owner.ID)
	})
	t.Run("another room, from the direct chat", func(t *testing.T) {
		direct := s.BotRoom(s.owner, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})
		s.refused(t, s.owner, direct, "!invite "+string(s.guest.ID), "room")
		s.succeeds(s.owner, direct, fmt.Sprintf("!invite %s %s", s.guest.ID, s.room))
		s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	})
	t.Run("several, one of them banned", func(t *testing.T) {
		one, two, bad := s.Account("one"), s.Account("two"), s.Account("bad")
		s.owner.Ban(s.room, bad.ID)
		reply := s.refused(t, s.owner, s.room, fmt.Sprintf("!invite %s %s %s", one.ID, bad.ID, two.ID), "invite.target_banned")
		if !strings.Contains(reply.Field("body"), string(bad.ID)) {
			t.Errorf("the reply does not name who was refused: %s", reply.Field("body"))
		}
		for _, user := range []id.UserID{one.ID, two.ID} {
			s.is(t, s.room, user, "invite", s.owner.ID)
		}
		s.is(t, s.room, bad.ID, "ban", "")
	})
	t.Run("dry run", func(t *testing.T) {
		before, spared := s.acts(s.room), s.Account("spared")
		s.refused(t, s.owner, s.room, "!invite --dry-run "+string(spared.ID), string(spared.ID))
		s.is(t, s.room, spared.ID, "leave", "")
		if n := s.acts(s.room); n != before {
			t.Errorf("a dry run sent %d requests", n-before)
		}
	})
	t.Run("dry run of many", func(t *testing.T) {
		bad, here := s.Account("bad"), s.Account("here")
		s.owner.Ban(s.room, bad.ID)
		s.owner.Invite(s.room, here.ID)
		here.Join(s.room)
		command := fmt.Sprintf("!invite --dry-run %s %s", bad.ID, here.ID)
		for i := range 18 {
			command += fmt.Sprintf(" @_nobody%d:usher.test", i)
		}
		reply := s.refused(t, s.owner, s.room, command, "invite.target_banned").Field("body")
		if !strings.Contains(reply, string(here.ID)) || strings.Count(reply, "✅") < 18 {
			t.Error(reply)
		}
		s.refused(t, s.owner, s.room, command+" @_onemore:usher.test", "20 people at most")
		asked := s.Usher.Tap.Requests(func(r harness.Request) bool { return strings.Contains(r.Path, "/state/m.room.member/@_onemore") })
		if len(asked) > 0 {
			t.Errorf("%d requests for a question that is refused", len(asked))
		}
	})
}
