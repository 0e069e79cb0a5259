// Package e2e tests Usher on real homeservers, from a message in a room to what became of it. It runs the built program and
// speaks the client API, and knows nothing of Usher's code.
package e2e

import (
	"os"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// done is the reaction on a command that went well.
const done = "✅"

// scaled returns a size for CI, or, in a soak (USHER_E2E_LONG), a larger one.
func scaled[T any](short, long T) T {
	if os.Getenv("USHER_E2E_LONG") != "" {
		return long
	}
	return short
}

// stage is the usual cast: a World with an owner, a room of the owner's with the bot in it, and somebody to invite.
type stage struct {
	*harness.World
	owner, guest *harness.Account
	room         id.RoomID
}

// newStage starts a World and makes the cast; puppet says whether Usher may act for the owner.
func newStage(t *testing.T, puppet bool) *stage {
	t.Helper()
	return newStageOf(t, harness.Options{Puppet: puppet})
}

func newStageOf(t *testing.T, o harness.Options) *stage {
	t.Helper()
	s := &stage{World: harness.New(t, o)}
	s.owner, s.guest = s.Account("owner"), s.Account("guest")
	s.room = s.BotRoom(s.owner, harness.RoomOptions{Name: "Stage"})
	return s
}

// succeeds says a command and waits for its ✅.
func (s *stage) succeeds(by *harness.Account, room id.RoomID, command string) id.EventID {
	by.Test().Helper()
	said := by.Say(room, command)
	by.AwaitReaction(said, s.Usher.Bot, done)
	return said
}

// refused says a command, waits for the notice in reply, and checks that it names the reason code.
func (s *stage) refused(t *testing.T, by *harness.Account, room id.RoomID, command, code string) harness.Event {
	t.Helper()
	said := by.Say(room, command)
	reply := by.AwaitReply(said, s.Usher.Bot)
	if kind := reply.Field("msgtype"); kind != "m.notice" {
		t.Errorf("the reply is %s, no notice", kind)
	}
	if !strings.Contains(reply.Field("body"), code) {
		t.Errorf("the reply to %q does not name %s: %s", command, code, reply.Field("body"))
	}
	if !strings.Contains(string(reply.Content), `"m.mentions"`) {
		t.Errorf("the reply has no explicit mentions: %s", reply.Content)
	}
	return reply
}

// is checks a membership and who sent it (anybody for "").
func (s *stage) is(t *testing.T, room id.RoomID, user id.UserID, membership string, sender id.UserID) {
	t.Helper()
	got, by := s.owner.Membership(room, user)
	if got != membership || (sender != "" && by != sender) {
		t.Errorf("%s is %q by %s, expected %q by %s", user, got, by, membership, sender)
	}
}

// acts counts the requests for membership changes in a room that Usher sent for others than the bot's own joining and
// leaving.
func (s *stage) acts(room id.RoomID) int {
	return len(s.Usher.Tap.Requests(func(r harness.Request) bool {
		own := strings.Contains(r.Path, "/join") || strings.HasSuffix(r.Path, "/leave")
		return r.Acts(string(room)) && !(own && r.User == string(s.Usher.Bot))
	}))
}

// settled makes sure that all said in the room before has been handled: a lane works in order, so that the answer to a
// !ping comes after everything else.
func (s *stage) settled(by *harness.Account, room id.RoomID) {
	by.Test().Helper()
	by.AwaitReply(by.Say(room, "!ping"), s.Usher.Bot)
}

// invitations counts the invitations of a user that a room's timeline shows.
func invitations(by *harness.Account, room id.RoomID, user id.UserID) int {
	return len(by.Seen(func(e harness.Event) bool {
		return e.Room == string(room) && e.Type == "m.room.member" && e.Is(string(user)) && e.Field("membership") == "invite"
	}))
}
