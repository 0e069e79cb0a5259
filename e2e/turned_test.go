package e2e

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// TestTurnedInvitations: what somebody who is banned has invited is withdrawn, and so is whoever a policy list comes to ban; beyond the brake,
// the room is asked; and the audit of all that can be verified.
func TestTurnedInvitations(t *testing.T) {
	s := newStage(t, true)
	mod, through, past, listed := s.Account("mod"), s.Account("through"), s.Account("past"), s.Account("listed")
	room := s.guarded(t, "11", mod, m{"version": 1, "ask": m{"level": 0}})
	list := s.BotRoom(s.owner, harness.RoomOptions{Name: "bans"})
	s.succeeds(s.owner, room, "!lists watch "+string(list))
	s.succeeds(mod, room, "!invite "+string(through.ID))
	mod.Invite(room, past.ID)
	s.succeeds(s.owner, room, "!invite "+string(listed.ID))
	s.settled(s.owner, room)

	s.owner.SetState(list, "m.policy.rule.user", "x", m{"entity": string(listed.ID), "recommendation": "m.ban", "reason": "spam"})
	s.announced(t, room, string(listed.ID), "withdraw.listed")
	s.owner.Ban(room, mod.ID)
	s.announced(t, room, string(mod.ID), "withdraw.inviter_banned")
	for _, who := range []id.UserID{through.ID, past.ID, listed.ID} {
		s.owner.Await("the end of an invitation", func(e harness.Event) bool {
			membership, _ := s.owner.Membership(room, who)
			return membership == "leave"
		})
	}
	out, code := s.Usher.Run(t.Context(), "audit", "-c", "config.yaml", "--verify")
	if code != 0 {
		t.Errorf("usher audit --verify: %d %s", code, out)
	}
	has(t, out, "The audit is whole")

	// A list that suddenly bans everybody is asked about.
	last := s.Account("last")
	s.succeeds(s.owner, room, "!invite "+string(last.ID))
	s.settled(s.owner, room)
	s.owner.SetState(list, "m.policy.rule.user", "all", m{"entity": "@*:*", "recommendation": "m.ban"})
	card := s.announced(t, room, "shall I withdraw", string(last.ID))
	s.is(t, room, last.ID, "invite", s.owner.ID)
	s.owner.React(room, id.EventID(card.ID), "✅")
	s.owner.Await("the end of the last invitation", func(e harness.Event) bool {
		membership, _ := s.owner.Membership(room, last.ID)
		return membership == "leave"
	})
}
