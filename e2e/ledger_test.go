package e2e

import (
	"fmt"
	"strings"
	"testing"

	"usher/e2e/harness"
)

// says says a command and returns the notice in reply.
func (s *stage) says(t *testing.T, by *harness.Account, command string) string {
	t.Helper()
	return by.AwaitReply(by.Say(s.room, command), s.Usher.Bot).Field("body")
}

// has checks that a text has all the parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// TestLedger: who invited whom, made through Usher or by hand, and what became of it, over a restart.
func TestLedger(t *testing.T) {
	s := newStage(t, true)
	early, declining, byHand := s.Account("early"), s.Account("declining"), s.Account("byhand")
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.succeeds(s.owner, s.room, "!invite "+string(declining.ID))
	s.owner.Invite(s.room, byHand.ID)
	s.guest.Join(s.room)
	declining.Do("POST", fmt.Sprintf("/v3/rooms/%s/leave", s.room), map[string]any{})
	s.owner.AwaitMember(s.room, s.guest.ID, "join")
	s.owner.AwaitMember(s.room, declining.ID, "leave")

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	s.guest.Invite(s.room, early.ID)
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settled(s.owner, s.room)
	text := s.says(t, s.owner, "!pending")
	has(t, text, "2 invitations open", string(byHand.ID)+" by "+string(s.owner.ID)+", just now", string(early.ID)+" by "+string(s.guest.ID))
	text = s.says(t, s.owner, fmt.Sprintf("!whoinvited %s %s %s", s.guest.ID, declining.ID, byHand.ID))
	has(t, text, string(s.guest.ID)+": invited by "+string(s.owner.ID)+" (through me)", "accepted on", "declined on", "UTC, pending.")

	byHand.Join(s.room) // an invitation that was open over the restart
	s.owner.AwaitMember(s.room, byHand.ID, "join")
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(byHand.ID)), "accepted on")
	has(t, s.says(t, s.owner, "!pending"), "1 invitation open")
}

// TestLedgerOnArrival: invitations that were open when the bot came are in the ledger.
func TestLedgerOnArrival(t *testing.T) {
	s := newStage(t, false)
	room := s.owner.CreateRoom(harness.RoomOptions{})
	s.owner.Invite(room, s.guest.ID)
	s.owner.Invite(room, s.Usher.Bot)
	s.owner.AwaitMember(room, s.Usher.Bot, "join")
	s.settled(s.owner, room)
	reply := s.owner.AwaitReply(s.owner.Say(room, "!pending"), s.Usher.Bot).Field("body")
	has(t, reply, "1 invitation open", string(s.guest.ID)+" by "+string(s.owner.ID))
	s.guest.Join(room)
	s.owner.AwaitMember(room, s.guest.ID, "join")
	s.settled(s.owner, room)
	has(t, s.owner.AwaitReply(s.owner.Say(room, "!whoinvited "+string(s.guest.ID)), s.Usher.Bot).Field("body"), "accepted on")
}

// TestUninvite: withdrawing needs the kick level, of the one who asks and of who sends it, and never hits a member.
func TestUninvite(t *testing.T) {
	s := newStage(t, true)
	member := s.Account("member")
	s.owner.Invite(s.room, member.ID)
	member.Join(s.room)
	s.owner.AwaitMember(s.room, member.ID, "join")
	s.succeeds(member, s.room, "!invite "+string(s.guest.ID))
	s.refused(t, member, s.room, "!uninvite "+string(s.guest.ID), "kick.power")
	s.is(t, s.room, s.guest.ID, "invite", member.ID)
	s.succeeds(s.owner, s.room, "!uninvite "+string(s.guest.ID)+" full house")
	s.is(t, s.room, s.guest.ID, "leave", s.owner.ID)
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(s.guest.ID)), "withdrawn by "+string(s.owner.ID))
	s.refused(t, s.owner, s.room, "!uninvite "+string(member.ID), "withdraw.not_invited")
	s.is(t, s.room, member.ID, "join", "")

	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.refused(t, s.owner, s.room, "!uninvite --as-bot "+string(s.guest.ID), "kick.power")
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	s.succeeds(s.owner, s.room, "!uninvite --as-bot "+string(s.guest.ID))
	s.is(t, s.room, s.guest.ID, "leave", s.Usher.Bot)
}

// TestExpiry: an invitation that nobody answers is withdrawn as the policy says, also when Usher was down at the time. The
// spans of days are tested with a clock that is set by hand; here they are seconds.
func TestExpiry(t *testing.T) {
	s := newStage(t, false)
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	s.owner.Invite(s.room, s.guest.ID)
	s.owner.SetState(s.room, "chat.usher.policy", "", m{"version": 1, "pending": m{"expire_after": "1h", "remind_before": "3599s"}})
	reminder := s.owner.Await("a reminder", func(e harness.Event) bool {
		return e.Type == "m.room.message" && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "not answered yet")
	})
	has(t, string(reminder.Content), string(s.guest.ID), `"user_ids":["`+string(s.owner.ID)+`"]`, "expires in")
	has(t, s.says(t, s.owner, "!pending"), "expires in 59 minutes")

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	s.owner.SetState(s.room, "chat.usher.policy", "", m{"version": 1, "pending": m{"expire_after": "1s"}})
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := s.owner.AwaitMember(s.room, s.guest.ID, "leave")
	if left.Sender != string(s.Usher.Bot) {
		t.Errorf("withdrawn by %s", left.Sender)
	}
	s.settled(s.owner, s.room)
	has(t, s.says(t, s.owner, "!whoinvited "+string(s.guest.ID)), "expired on")
}

// TestAudit: in chat for those who may kick, and for operators beside the running Usher.
func TestAudit(t *testing.T) {
	s := newStage(t, true)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	has(t, s.says(t, s.owner, "!audit "+string(s.guest.ID)+" 1h"),
		fmt.Sprintf("effect: %s invite %s → done", s.owner.ID, s.guest.ID), "→ allow (invite)")
	s.guest.Join(s.room)
	s.refused(t, s.guest, s.room, "!audit", "kick.power")
	out, code := s.Usher.Run(t.Context(), "audit", "-c", "config.yaml", "--room", string(s.room), "--since", "1h", "--format", "jsonl")
	if code != 0 || strings.Count(out, "\n") != 2 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	has(t, out, `"kind":"decision"`, `"kind":"effect"`, `"target":"`+string(s.guest.ID)+`"`)
}
