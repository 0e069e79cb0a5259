package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// deep returns JSON nested as deep as the homeserver accepts in an event: Dendrite takes 600 levels, Synapse refuses those with 400.
func deep() json.RawMessage {
	levels := 600
	if harness.Kind() == homeserver.Synapse {
		levels = 120
	}
	return json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
}

// TestDeepDrift: the guard sets back a join rule that has something deep beside it, and puts out a user who came in by it.
func TestDeepDrift(t *testing.T) {
	s := newStage(t, true)
	mod := s.Account("mod")
	room := s.guarded(t, "", mod, m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "invite", "intruders": "kick"}})
	mod.SetState(room, joinRules, "", m{"join_rule": "public", "x": deep()})
	s.changed(t, room, s.Usher.Bot, joinRules, `"invite"`)
}

// TestDeepInvitation: an invitation made by hand that the policy denies is withdrawn, and the ledger knows it until then.
func TestDeepInvitation(t *testing.T) {
	s := newStage(t, true)
	mod, rob := s.Account("mod"), s.Account("rob")
	room := s.guarded(t, "", mod, m{"version": 1, "guard": m{"mode": "enforce", "by_hand": "withdraw"}, "whom": m{"deny_users": []id.UserID{rob.ID}}})
	mod.SetState(room, "m.room.member", string(rob.ID), m{"membership": "invite", "x": deep()})
	s.owner.AwaitMember(room, rob.ID, "leave")
	s.is(t, room, rob.ID, "leave", s.Usher.Bot)
	mod.SetState(room, "m.room.member", string(s.guest.ID), m{"membership": "invite", "x": deep()})
	if body := s.owner.AwaitReply(s.owner.Say(room, "!pending"), s.Usher.Bot).Field("body"); !strings.Contains(body, string(s.guest.ID)) {
		t.Errorf("!pending does not list %s: %s", s.guest.ID, body)
	}
}

// TestDeepEncryption: after m.room.encryption with something deep beside it nothing is sent in plain.
func TestDeepEncryption(t *testing.T) {
	s := newStage(t, true)
	s.settled(s.owner, s.room) // so that the state is in the cache
	s.owner.SetState(s.room, "m.room.encryption", "", m{"algorithm": "m.megolm.v1.aes-sha2", "x": deep()})
	sent := func() int {
		return len(s.Usher.Tap.Requests(func(r harness.Request) bool {
			return strings.Contains(r.Path, string(s.room)) && strings.Contains(r.Path, "/send/m.room.message")
		}))
	}
	before := sent()
	s.owner.Say(s.room, "!ping")
	elsewhere := s.BotRoom(s.owner, harness.RoomOptions{})
	for range 3 { // whatever the answer in the encrypted room is, it had its time
		s.settled(s.owner, elsewhere)
	}
	if now := sent(); now > before {
		t.Errorf("%d messages in plain", now-before)
	}
}

// TestDeepLevels: power levels with something deep beside what counts are read as they are.
func TestDeepLevels(t *testing.T) {
	s := newStage(t, true)
	levels := fmt.Sprintf(`{"users":{%q:100},"users_default":0,"invite":50,"x":%s}`, s.owner.ID, deep())
	s.owner.SetState(s.room, powerLevels, "", json.RawMessage(levels))
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
}
