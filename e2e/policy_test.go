package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

const policyType = "chat.usher.policy"

// policyStage is a stage with a member without power, in a room where inviting needs some, which the bot has.
func policyStage(t *testing.T, puppet bool) (s *stage, member *harness.Account) {
	t.Helper()
	s = newStage(t, puppet)
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 50}})
	s.owner.Grant(s.room, 50, s.Usher.Bot)
	member = s.Account("member")
	s.owner.Invite(s.room, member.ID)
	member.Join(s.room)
	return s, member
}

// ask says a command and returns the text of the answer.
func ask(by *harness.Account, s *stage, room id.RoomID, command string) string {
	by.Test().Helper()
	return by.AwaitReply(by.Say(room, command), s.Usher.Bot).Field("body")
}

// says checks that an answer holds some words.
func says(t *testing.T, answer string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(answer, w) {
			t.Errorf("the answer does not say %q:\n%s", w, answer)
		}
	}
}

// TestPolicyDelegate: with a policy that delegates, the bot invites for members without power, within what else it says.
func TestPolicyDelegate(t *testing.T) {
	for _, puppet := range []bool{true, false} {
		t.Run(performer(puppet), func(t *testing.T) {
			s, member := policyStage(t, puppet)
			s.refused(t, member, s.room, "!invite "+string(s.guest.ID), "invite.power")
			s.owner.SetState(s.room, policyType, "", m{"version": 1, "delegate": true, "whom": m{"deny_users": []string{"@bad*:*"}}})
			says(t, ask(member, s, s.room, "!why "+string(s.guest.ID)), "policy.delegate")
			s.succeeds(member, s.room, "!invite "+string(s.guest.ID))
			s.is(t, s.room, s.guest.ID, "invite", s.Usher.Bot)
			s.refused(t, member, s.room, "!invite "+string(s.Account("bad").ID), "policy.whom.user_denied")

			// What the bot sent for them, they may have it take back; nobody else without the power may, nor may they anything else.
			other, hand := s.Account("other"), s.Account("hand")
			s.owner.Invite(s.room, other.ID)
			other.Join(s.room)
			s.refused(t, other, s.room, "!uninvite "+string(s.guest.ID), "kick.power")
			s.owner.Invite(s.room, hand.ID)
			s.refused(t, member, s.room, "!uninvite "+string(hand.ID), "kick.power")
			says(t, ask(member, s, s.room, "!uninvite --dry-run "+string(s.guest.ID)), "policy.delegate")
			s.succeeds(member, s.room, "!uninvite "+string(s.guest.ID))
			s.is(t, s.room, s.guest.ID, "leave", s.Usher.Bot)
			s.succeeds(member, s.room, "!invite "+string(s.guest.ID))
			s.owner.SetState(s.room, policyType, "", m{"version": 1})
			s.refused(t, member, s.room, "!uninvite "+string(s.guest.ID), "kick.power")
			s.is(t, s.room, s.guest.ID, "invite", s.Usher.Bot)

			s.owner.SetState(s.room, policyType, "", m{"version": 1, "delegate": true, "ask": m{"level": 10}})
			s.refused(t, member, s.room, "!invite "+string(s.Account("other").ID), "policy.ask.level")
			s.owner.SetState(s.room, policyType, "", m{"version": 1, "delegate": true, "ask": m{"joined_for": "1h"}})
			s.refused(t, member, s.room, "!invite "+string(s.Account("other").ID), "policy.ask.joined_for")
			s.owner.SetState(s.room, policyType, "", m{"version": 1, "delegate": true, "whom": m{"max_members": 3}})
			s.refused(t, member, s.room, "!invite "+string(s.Account("other").ID), "policy.whom.max_members")
			s.owner.SetState(s.room, policyType, "", m{"version": 1, "delegate": true, "approval": m{"required": true}})
			s.refused(t, member, s.room, "!invite "+string(s.Account("other").ID), "policy.approval.required")
		})
	}
}

// TestPolicyCooldown: whoever left, declined or was kicked is left in peace.
func TestPolicyCooldown(t *testing.T) {
	s, _ := policyStage(t, true)
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "whom": m{"cooldown": m{"leave": "1h", "decline": "1d", "kick": "7d"}}})
	path := "/v3/rooms/" + string(s.room)
	for _, tt := range []struct {
		code string
		end  func(*harness.Account)
	}{
		{"policy.whom.cooldown.decline", func(a *harness.Account) { a.Do("POST", path+"/leave", m{}) }},
		{"policy.whom.cooldown.leave", func(a *harness.Account) { a.Join(s.room); a.Do("POST", path+"/leave", m{}) }},
		{"policy.whom.cooldown.kick", func(a *harness.Account) {
			a.Join(s.room)
			s.owner.Do("POST", path+"/kick", m{"user_id": a.ID})
		}},
	} {
		guest := s.Account("guest")
		s.succeeds(s.owner, s.room, "!invite "+string(guest.ID))
		guest.AwaitInvite(s.room)
		tt.end(guest)
		s.refused(t, s.owner, s.room, "!invite "+string(guest.ID), tt.code)
	}
}

// TestPolicyQuota: what is refused is given back, what is sent is spent, across a restart.
func TestPolicyQuota(t *testing.T) {
	s, _ := policyStage(t, true)
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "quota": m{"person": m{"count": 2, "per": "1d"}}})
	says(t, ask(s.owner, s, s.room, "!quota"), "2 of 2")

	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/invite") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errcode":"M_INVITE_BLOCKED","error":"no"}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	s.refused(t, s.owner, s.room, "!invite "+string(s.guest.ID), "M_INVITE_BLOCKED")
	s.Usher.Tap.Disturb(nil)
	says(t, ask(s.owner, s, s.room, "!quota"), "2 of 2")

	one, two := s.Account("one"), s.Account("two")
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID)+" "+string(one.ID)+" "+string(two.ID))
	says(t, s.owner.AwaitReply(said, s.Usher.Bot).Field("body"), "2 of 3 done", string(two.ID), "policy.quota.person")
	s.is(t, s.room, one.ID, "invite", s.owner.ID)
	s.is(t, s.room, two.ID, "leave", "")
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	says(t, ask(s.owner, s, s.room, "!quota"), "0 of 2", "one more in 24 hours")
	s.refused(t, s.owner, s.room, "!invite "+string(two.ID), "policy.quota.person")
}

// TestPolicyLists: whom a watched list bans is not invited, from the moment that the list says so until it does not.
func TestPolicyLists(t *testing.T) {
	s, member := policyStage(t, true)
	list := s.BotRoom(s.owner, harness.RoomOptions{Name: "Bans"})
	s.owner.SetState(list, "m.policy.rule.user", "old", m{"entity": "@guest*:*", "recommendation": "m.ban", "reason": "floods"})
	s.refused(t, member, s.room, "!lists watch "+string(list), "policy.lists.unreadable") // not in it
	s.owner.Invite(list, member.ID)
	member.Join(list)
	s.refused(t, member, s.room, "!lists watch "+string(list), "policy.edit.power")
	s.succeeds(s.owner, s.room, "!lists watch "+string(list))
	says(t, ask(member, s, s.room, "!lists"), "Bans", "1 rule")
	reply := s.refused(t, s.owner, s.room, "!invite "+string(s.guest.ID), "policy.whom.listed")
	says(t, reply.Field("body"), "floods", "@guest*:*")

	s.owner.SetState(list, "m.policy.rule.user", "old", m{})
	other := s.Account("other")
	s.owner.SetState(list, "m.policy.rule.user", "new", m{"entity": string(other.ID), "recommendation": "m.ban"})
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.refused(t, s.owner, s.room, "!invite "+string(other.ID), "policy.whom.listed")
	s.succeeds(s.owner, s.room, "!lists unwatch "+string(list))
	s.succeeds(s.owner, s.room, "!invite "+string(other.ID))

	foreign := member.CreateRoom(harness.RoomOptions{})
	s.refused(t, s.owner, s.room, "!lists watch "+string(foreign), "policy.lists.unreadable")
}

// TestPolicyInherited: a room takes from its space what it does not set itself, if both say that it belongs there.
func TestPolicyInherited(t *testing.T) {
	s, member := policyStage(t, true)
	space := s.BotRoom(s.owner, harness.RoomOptions{Name: "Space", Type: "m.space"})
	s.succeeds(s.owner, s.room, "!policy "+string(space)+" set ask.level 20")
	s.succeeds(s.owner, s.room, "!policy "+string(space)+" set delegate true")
	via := m{"via": []string{"usher.test"}}
	s.owner.SetState(space, "m.space.child", string(s.room), via)
	s.refused(t, member, s.room, "!invite "+string(s.guest.ID), "invite.power") // a claim alone changes nothing

	s.owner.SetState(s.room, "m.space.parent", string(space), via)
	s.refused(t, member, s.room, "!invite "+string(s.guest.ID), "policy.ask.level")
	s.succeeds(s.owner, s.room, "!policy set ask.level 0")
	says(t, ask(member, s, s.room, "!policy"), "delegate from "+string(space), "One needs power level 0 to ask. ask.level")
	s.succeeds(member, s.room, "!invite "+string(s.guest.ID))
	s.is(t, s.room, s.guest.ID, "invite", s.Usher.Bot)

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	says(t, ask(member, s, s.room, "!policy"), "delegate from "+string(space))
	s.owner.SetState(space, "m.space.child", string(s.room), m{})
	s.refused(t, member, s.room, "!invite "+string(s.Account("other").ID), "invite.power")

	// A room whose members may all name parents is not put under a policy by one of them.
	loose := s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 50, "events": m{"m.space.parent": 0}}})
	s.owner.Invite(loose, member.ID)
	member.Join(loose)
	s.owner.SetState(space, "m.space.child", string(loose), via)
	member.SetState(loose, "m.space.parent", string(space), via)
	s.refused(t, member, loose, "!invite "+string(s.guest.ID), "invite.power")
}

// TestPolicyEdit: whoever may send the event edits it by chat, as themselves where the bot may act for them.
func TestPolicyEdit(t *testing.T) {
	for _, puppet := range []bool{true, false} {
		t.Run(performer(puppet), func(t *testing.T) {
			s, member := policyStage(t, puppet)
			by := s.owner.ID
			if !puppet {
				by = s.Usher.Bot
				s.owner.SetState(s.room, "m.room.power_levels", "", m{"users": m{string(s.owner.ID): 100, string(s.Usher.Bot): 40}, "state_default": 50})
				s.refused(t, s.owner, s.room, "!policy preset members", "policy.edit.performer")
				s.owner.Grant(s.room, 50, s.Usher.Bot)
			}
			says(t, ask(member, s, s.room, "!policy"), "no policy")
			s.refused(t, member, s.room, "!policy set delegate true", "policy.edit.power")
			s.succeeds(s.owner, s.room, "!policy preset members")
			s.succeeds(s.owner, s.room, "!policy set whom.deny_users @spam*:* @bob:evil.example")
			s.succeeds(s.owner, s.room, "!policy unset ask.joined_for")
			s.refused(t, s.owner, s.room, "!policy set ask.level lots", "ask.level must be a whole number")
			s.refused(t, s.owner, s.room, "!policy set ask.lvl 5", "ask.lvl is no field")
			state := s.owner.State(s.room, policyType, "")
			if state.Sender != string(by) {
				t.Errorf("written by %s, expected %s", state.Sender, by)
			}
			var content struct {
				Whom struct {
					DenyUsers []string `json:"deny_users"`
				}
			}
			if err := json.Unmarshal(state.Content, &content); err != nil || len(content.Whom.DenyUsers) != 2 {
				t.Errorf("got %s", state.Content)
			}
			says(t, ask(member, s, s.room, "!policy"), "I invite for people below", "@spam*:*", "At most 10 invitations within 1 day")
			says(t, ask(member, s, s.room, "!policy history"), string(by), string(s.owner.ID)+": ", "no ask.joined_for", "delegate = true")
			says(t, ask(member, s, s.room, "!policy test "+string(member.ID)+" invite @spammer:x.example"), "policy.whom.user_denied")
			other := s.BotRoom(s.owner, harness.RoomOptions{})
			s.owner.Grant(other, 50, s.Usher.Bot)
			s.succeeds(s.owner, other, "!policy copy "+string(s.room))
			says(t, ask(s.owner, s, other, "!policy"), "@spam*:*")
			s.succeeds(s.owner, s.room, "!policy reset")
			says(t, ask(member, s, s.room, "!policy"), "no policy")
		})
	}
}

// TestPolicyMalformed: it denies what it governs, and its author is told once, with what is wrong.
func TestPolicyMalformed(t *testing.T) {
	s, _ := policyStage(t, true)
	s.owner.SetState(s.room, policyType, "", m{"version": 1, "ask": m{"lvl": 5}, "delegate": "yes"})
	told := func(e harness.Event) bool {
		return e.Room == string(s.room) && e.Sender == string(s.Usher.Bot) && strings.Contains(e.Field("body"), "ask.lvl is no field") &&
			strings.Contains(e.Field("body"), string(s.owner.ID))
	}
	says(t, s.owner.Await("word of the malformed policy", told).Field("body"), "policy.malformed", "delegate must be true or false")
	s.refused(t, s.owner, s.room, "!invite "+string(s.guest.ID), "policy.malformed")
	s.refused(t, s.owner, s.room, "!policy set delegate true", "policy.malformed")
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	s.succeeds(s.owner, s.room, "!policy reset")
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	if n := len(s.owner.Seen(told)); n != 1 {
		t.Errorf("told %d times", n)
	}
}
