package e2e

import (
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestComesAndGoes: a bot that is invited, kicked and invited again within a second comes, and logs no errors: nobody has to be woken for that.
func TestComesAndGoes(t *testing.T) {
	s := newStage(t, true)
	for range 3 {
		for range 2 {
			s.owner.Do("POST", "/v3/rooms/"+string(s.room)+"/kick", m{"user_id": s.Usher.Bot})
			s.owner.Invite(s.room, s.Usher.Bot)
		}
		came := func() bool { membership, _ := s.owner.Membership(s.room, s.Usher.Bot); return membership == "join" }
		for deadline := time.Now().Add(harness.Patience); !came(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the bot does not come")
			}
		}
	}
	s.settled(s.owner, s.room)
	for _, line := range strings.Split(s.Usher.Tail(100000), "\n") {
		if strings.Contains(line, `"level":"error"`) {
			t.Errorf("logged as an error: %s", line)
		}
	}
}

// TestEcho: a bot that repeats each answer with a mention of Usher is answered within the limit for one person, and leaves the room's answers to others:
// words that are no command count as commands do.
func TestEcho(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Set: m{"commands.per_minute": 5, "commands.answers_per_minute": 20}})
	echo := s.Account("echo")
	s.owner.Invite(s.room, echo.ID)
	echo.Join(s.room)
	for range 25 {
		echo.Say(s.room, string(s.Usher.Bot)+": I know no command “hello”. Did you mean !help?")
	}
	s.settled(s.owner, s.room) // answered, and after all of these
	answers := s.owner.Seen(func(e harness.Event) bool {
		return e.Room == string(s.room) && e.Sender == string(s.Usher.Bot) && e.Type == "m.room.message" && strings.Contains(string(e.Content), string(echo.ID))
	})
	if n := len(answers); n == 0 || n > 5+1 {
		t.Errorf("one person was answered %d times", n)
	}
}

// TestSmallWords: what Usher says in odd cases is true, and complete.
func TestSmallWords(t *testing.T) {
	s := newStage(t, true)
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "approval": m{"required": true}})
	mod := s.Account("mod")
	s.owner.Invite(s.room, mod.ID)
	mod.Join(s.room)
	s.owner.Grant(s.room, 50, mod.ID)
	if got := ask(s.owner, s, s.room, "!why "+string(s.owner.ID)+" kick"); strings.Contains(got, "✅") {
		t.Errorf("kicking oneself is said to be allowed: %s", got)
	}
	mod.Say(s.room, "!invite "+string(s.guest.ID))
	card := s.owner.Await("the card", func(e harness.Event) bool { return strings.Contains(e.Field("body"), "🗳") })
	s.owner.React(s.room, id.EventID(card.ID), "✅")
	s.owner.AwaitMember(s.room, s.guest.ID, "invite")
	s.owner.Await("the outcome", func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && strings.HasPrefix(e.Field("body"), string(s.guest.ID)+": ✅ Accepted")
	})
	if odd := s.owner.Seen(func(e harness.Event) bool { return strings.Contains(e.Field("body"), "All 1 done") }); len(odd) > 0 {
		t.Errorf("%q", odd[0].Field("body"))
	}
	s.succeeds(s.owner, s.room, "!policy set ask.level 0")
	if got := ask(s.owner, s, s.room, "!audit"); strings.Contains(got, "  ") || !strings.Contains(got, "policy") {
		t.Errorf("the audit has a gap, or no change of the policy: %s", got)
	}
	if got := ask(s.owner, s, s.room, "!approve 1,2"); strings.Contains(got, "Usage") || !strings.Contains(got, "2") {
		t.Errorf("two numbers with a comma: %s", got)
	}
	if out, code := s.Usher.Run(t.Context(), "audit", "-c", "config.yaml", "--room", "nonsense"); code == 0 || !strings.Contains(out, "--room takes the id of a room") {
		t.Errorf("usher audit --room nonsense: exit code %d, %q", code, out)
	}
}

// TestPolicyRedacted: a policy redacted by somebody who may not set one keeps everybody out. Its room hears of it at once where the homeserver tells
// application services of redactions, !policy says by whom, and !policy revert brings the version before it back.
func TestPolicyRedacted(t *testing.T) {
	s := newStage(t, true)
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 50, "events": m{policyType: 100}}})
	mod := s.Account("mod")
	s.owner.Invite(s.room, mod.ID)
	mod.Join(s.room)
	s.owner.Grant(s.room, 50, mod.ID, s.Usher.Bot)
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "whom": m{"max_members": 50}})
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "whom": m{"max_members": 51}})
	says(t, ask(s.owner, s, s.room, "!policy"), "51 members")
	mod.Redact(s.room, id.EventID(s.owner.State(s.room, policyType, "").ID))
	if harness.Kind() == homeserver.Synapse {
		told := s.owner.Await("word of the redaction", func(e harness.Event) bool {
			return e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "removed its event")
		})
		says(t, told.Field("body"), string(mod.ID), "!policy revert", "policy.malformed")
	}
	says(t, ask(s.owner, s, s.room, "!policy"), string(mod.ID)+" removed its event", "!policy revert")
	s.refused(t, s.owner, s.room, "!invite "+string(s.guest.ID), "policy.malformed")
	s.succeeds(s.owner, s.room, "!policy revert")
	says(t, ask(s.owner, s, s.room, "!policy"), "50 members")
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
}
