package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// announced waits for a notice of the bot's in a room that has all of some words in it.
func (s *stage) announced(t *testing.T, room id.RoomID, words ...string) harness.Event {
	t.Helper()
	return s.owner.Await("a notice with "+strings.Join(words, ", "), func(e harness.Event) bool {
		if e.Room != string(room) || e.Sender != string(s.Usher.Bot) || e.Type != "m.room.message" {
			return false
		}
		for _, word := range words {
			if !strings.Contains(e.Field("body"), word) {
				return false
			}
		}
		return true
	})
}

// changed waits until somebody has set a piece of state so, after an event if one is named.
func (s *stage) changed(t *testing.T, room id.RoomID, by id.UserID, kind, part string) harness.Event {
	t.Helper()
	return s.owner.Await(kind+" "+part+" by "+string(by), func(e harness.Event) bool {
		if e.Room != string(room) || e.Type != kind || e.Sender != string(by) || !strings.Contains(string(e.Content), part) {
			return false
		}
		return s.owner.State(room, kind, "").ID == e.ID
	})
}

const (
	joinRules   = "m.room.join_rules"
	powerLevels = "m.room.power_levels"
	policyEvent = "chat.usher.policy"
)

// guarded makes a room with a guard, in which the bot has the owner's power and mod some.
func (s *stage) guarded(t *testing.T, version string, mod *harness.Account, policy m) id.RoomID {
	t.Helper()
	room := s.BotRoom(s.owner, harness.RoomOptions{Version: version, Power: m{"invite": 50}})
	s.owner.Grant(room, 100, s.Usher.Bot)
	if mod != nil {
		s.owner.Invite(room, mod.ID)
		mod.Join(room)
		s.owner.Grant(room, 50, mod.ID)
	}
	s.owner.SetState(room, policyEvent, "", policy)
	s.settled(s.owner, room)
	return room
}

// TestGuardDrift: what is changed is set back, three times; then the guard stops and calls those who may change the policy, and
// goes on once they have, over a restart too.
func TestGuardDrift(t *testing.T) {
	s := newStage(t, true)
	mod := s.Account("mod")
	room := s.guarded(t, "", mod, m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "invite", "levels": m{"invite": 50}, "intruders": "kick"}})
	public, closed := m{"join_rule": "public"}, `"invite"`
	for round := range 3 {
		if round == 2 {
			if err := s.Usher.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := s.Usher.Start(harness.Soon(t)); err != nil {
				t.Fatal(err)
			}
		}
		mod.SetState(room, joinRules, "", public)
		s.changed(t, room, s.Usher.Bot, joinRules, closed)
	}
	first := s.announced(t, room, string(mod.ID), "the join rule is public and should be invite", "setting it back")
	if first.Field("msgtype") != "m.notice" || strings.Contains(string(first.Content), "user_ids") {
		t.Errorf("a report that calls nobody: %s", first.Content)
	}

	mod.SetState(room, joinRules, "", public)
	call := s.announced(t, room, "guard.stopped")
	if !strings.Contains(string(call.Content), string(s.owner.ID)) {
		t.Errorf("the owner is not called: %s", call.Content)
	}
	s.settled(s.owner, room)
	if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
		t.Errorf("the fight goes on: %s", rule)
	}

	// While it stands open: who comes in is kicked, who was invited is not.
	invited := s.Account("invited")
	s.owner.Invite(room, invited.ID)
	invited.Join(room)
	s.guest.Join(room)
	s.owner.AwaitMember(room, s.guest.ID, "leave")
	s.is(t, room, s.guest.ID, "leave", s.Usher.Bot)
	s.announced(t, room, string(s.guest.ID), "without an invitation")
	s.settled(s.owner, room)
	s.is(t, room, invited.ID, "join", "")

	s.owner.SetState(room, policyEvent, "", m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "invite", "levels": m{"invite": 60}}})
	s.changed(t, room, s.Usher.Bot, joinRules, closed)
	s.changed(t, room, s.Usher.Bot, powerLevels, `"invite":60`)
}

// TestGuardLeavesAlone: what somebody above the bot did, what the bot has no power for, what the policy's author may not do by
// themselves, and everything in a room that is only watched, is reported.
func TestGuardLeavesAlone(t *testing.T) {
	s := newStage(t, true)
	mod := s.Account("mod")
	doc := func(mode string) m {
		return m{"version": 1, "guard": m{"mode": mode, "join_rule": "invite", "levels": m{"kick": 50}}}
	}
	public := m{"join_rule": "public"}
	t.Run("above", func(t *testing.T) {
		room := s.guarded(t, "12", nil, doc("enforce"))
		s.owner.SetState(room, joinRules, "", public)
		s.announced(t, room, "guard.above")
		s.settled(s.owner, room)
		if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
			t.Errorf("set back: %s", rule)
		}
	})
	t.Run("watch", func(t *testing.T) {
		room := s.guarded(t, "", mod, doc("watch"))
		mod.SetState(room, joinRules, "", public)
		s.announced(t, room, string(mod.ID), "should be invite")
		s.settled(s.owner, room)
		if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
			t.Errorf("set back: %s", rule)
		}
	})
	t.Run("author", func(t *testing.T) {
		room := s.guarded(t, "", mod, doc("watch"))
		// A moderator may write the policy, but not the power levels: the bot does not do it for them.
		mod.SetState(room, policyEvent, "", m{"version": 1, "guard": m{"mode": "enforce", "levels": m{"users_default": 50}}})
		s.announced(t, room, "users_default", "guard.author")
		s.settled(s.owner, room)
		if levels := s.owner.State(room, powerLevels, ""); levels.Sender == string(s.Usher.Bot) {
			t.Errorf("power was lent: %s", levels.Content)
		}
	})
}

// TestGuardInherited: a room that is put under a guarded space is guarded from then on, whichever side says so last, and as long
// as both say so.
func TestGuardInherited(t *testing.T) {
	s := newStage(t, true)
	doc, via, public := m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "invite"}}, m{"via": []string{"usher.test"}}, m{"join_rule": "public"}
	space := s.BotRoom(s.owner, harness.RoomOptions{Name: "Space", Type: "m.space"})
	s.owner.SetState(space, policyEvent, "", doc)
	for _, last := range []string{"child", "parent"} {
		t.Run(last, func(t *testing.T) {
			room := s.BotRoom(s.owner, harness.RoomOptions{})
			s.owner.Grant(room, 100, s.Usher.Bot)
			s.owner.SetState(room, joinRules, "", public)
			parent := func() { s.owner.SetState(room, "m.space.parent", string(space), via) }
			child := func() { s.owner.SetState(space, "m.space.child", string(room), via) }
			if last == "child" {
				child, parent = parent, child
			}
			child()
			s.settled(s.owner, space)
			s.settled(s.owner, room)
			if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
				t.Errorf("set back before both agreed: %s", rule)
			}
			parent()
			s.changed(t, room, s.Usher.Bot, joinRules, `"invite"`)

			s.owner.SetState(space, "m.space.child", string(room), m{})
			s.settled(s.owner, space)
			s.owner.SetState(room, joinRules, "", public)
			s.settled(s.owner, room)
			if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
				t.Errorf("set back after the space let go of it: %s", rule)
			}
		})
	}
	t.Run("power levels", func(t *testing.T) {
		// Whoever may name the middle room's spaces may not write its policy, until the levels say otherwise.
		middle := s.BotRoom(s.owner, harness.RoomOptions{Name: "Middle", Type: "m.space", Power: m{"events": m{policyEvent: 100}}})
		below := s.BotRoom(s.owner, harness.RoomOptions{})
		for _, room := range []id.RoomID{middle, below} {
			s.owner.Grant(room, 100, s.Usher.Bot)
			s.owner.SetState(room, joinRules, "", public)
		}
		s.owner.SetState(middle, "m.space.child", string(below), via)
		s.owner.SetState(below, "m.space.parent", string(middle), via)
		s.owner.SetState(space, "m.space.child", string(middle), via)
		s.owner.SetState(middle, "m.space.parent", string(space), via)
		s.settled(s.owner, space)
		s.settled(s.owner, middle)
		for _, room := range []id.RoomID{middle, below} {
			if rule := s.owner.State(room, joinRules, "").Field("join_rule"); rule != "public" {
				t.Errorf("set back for somebody who may not write the policy: %s", rule)
			}
		}
		s.owner.SetState(middle, powerLevels, "", m{"users": m{string(s.owner.ID): 100, string(s.Usher.Bot): 100}})
		s.changed(t, middle, s.Usher.Bot, joinRules, `"invite"`)
		s.changed(t, below, s.Usher.Bot, joinRules, `"invite"`)
	})
	t.Run("the bot comes into the space last", func(t *testing.T) {
		room := s.BotRoom(s.owner, harness.RoomOptions{})
		s.owner.Grant(room, 100, s.Usher.Bot)
		late := s.owner.CreateRoom(harness.RoomOptions{Name: "Later", Type: "m.space"})
		s.owner.SetState(late, policyEvent, "", doc)
		s.owner.SetState(late, "m.space.child", string(room), via)
		s.owner.SetState(room, "m.space.parent", string(late), via)
		s.owner.SetState(room, joinRules, "", public)
		s.settled(s.owner, room)
		s.owner.Invite(late, s.Usher.Bot)
		s.changed(t, room, s.Usher.Bot, joinRules, `"invite"`)
	})
}

// TestGuardByHand: invitations past the bot that the policy refuses are withdrawn; those that it allows stay, and so do those
// made through the bot.
func TestGuardByHand(t *testing.T) {
	s := newStage(t, true)
	bad, good := s.Account("bad"), s.Account("good")
	room := s.guarded(t, "", nil, m{"version": 1, "guard": m{"mode": "enforce", "by_hand": "withdraw"},
		"whom": m{"deny_users": []id.UserID{bad.ID}}, "quota": m{"person": m{"count": 1, "per": "1d"}}})
	s.owner.Invite(room, good.ID)
	s.owner.Invite(room, bad.ID)
	s.owner.AwaitMember(room, bad.ID, "leave")
	s.is(t, room, bad.ID, "leave", s.Usher.Bot)
	s.announced(t, room, string(s.owner.ID), string(bad.ID), "policy.whom.user_denied")
	s.is(t, room, good.ID, "invite", s.owner.ID)

	s.succeeds(s.owner, room, "!invite "+string(s.guest.ID)) // spends the quota
	s.settled(s.owner, room)
	s.is(t, room, s.guest.ID, "invite", s.owner.ID)
	late := s.Account("late")
	s.owner.Invite(room, late.ID)
	s.announced(t, room, string(late.ID), "policy.quota.person")
	s.owner.AwaitMember(room, late.ID, "leave")
	s.is(t, room, s.guest.ID, "invite", s.owner.ID)
}
