package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// asData is a message with a structured command to a bot.
func asData(bot id.UserID, command string, arguments m) m {
	return m{
		"msgtype": "m.text", "body": "/" + command, "m.mentions": m{"user_ids": []id.UserID{bot}},
		"org.matrix.msc4391.command": m{"command": command, "arguments": arguments},
	}
}

// TestStructuredCommand: a command sent as data does the same as a typed one, within the same limits.
func TestStructuredCommand(t *testing.T) {
	s := newStage(t, true)
	bot := s.Usher.Bot
	said := s.owner.Send(s.room, asData(bot, "invite", m{"user": []id.UserID{s.guest.ID}, "reason": "be my guest"}))
	s.owner.AwaitReaction(said, bot, done)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
	s.guest.Join(s.room)

	stranger := id.UserID("@stranger:usher.test")
	said = s.guest.Send(s.room, asData(bot, "invite", m{"user": []id.UserID{stranger}, "dry-run": true}))
	if reply := s.guest.AwaitReply(said, bot); !strings.Contains(reply.Field("body"), string(stranger)) {
		t.Errorf("the dry run is answered %s", reply.Field("body"))
	}
	said = s.owner.Send(s.room, asData(bot, "invite", m{"user": string(stranger)}))
	if reply := s.owner.AwaitReply(said, bot); !strings.Contains(reply.Field("body"), "wrong type") {
		t.Errorf("a wrong type is answered %s", reply.Field("body"))
	}
	edit := asData(bot, "invite", m{"user": []id.UserID{stranger}})
	edit["m.new_content"], edit["m.relates_to"] = asData(bot, "invite", m{"user": []id.UserID{stranger}}), m{"rel_type": "m.replace", "event_id": said}
	s.owner.Send(s.room, edit)
	s.owner.Send(s.room, asData("@other:usher.test", "invite", m{"user": []id.UserID{stranger}}))
	s.settled(s.owner, s.room)
	if n := invitations(s.owner, s.room, stranger); n != 0 {
		t.Errorf("%d invitations of the stranger", n)
	}
}

const description = "org.matrix.msc4391.command_description"

// TestAdvertising: the bot describes its commands where it has the power to, and removes the descriptions when it leaves a room or is told not
// to advertise any more.
func TestAdvertising(t *testing.T) {
	s := newStageOf(t, harness.Options{Set: m{"commands.advertise": true}})
	bot := s.Usher.Bot
	powerless := s.room
	watch := func(by *harness.Account, room id.RoomID, command string) {
		t.Helper()
		by.Await("the description of "+command, func(e harness.Event) bool {
			return e.Room == string(room) && e.Type == description && e.Sender == string(bot) && e.Field("command") == command
		})
	}
	empower := func(room id.RoomID) {
		s.owner.Grant(room, 50, bot)
	}
	empower(powerless)
	watch(s.owner, powerless, "policy set")
	watch(s.owner, powerless, "invite")

	leaving := s.BotRoom(s.owner, harness.RoomOptions{})
	s.settled(s.owner, leaving)
	if seen := s.owner.Seen(func(e harness.Event) bool { return e.Room == string(leaving) && e.Type == description }); len(seen) > 0 {
		t.Errorf("%d descriptions without the power", len(seen))
	}
	empower(leaving)
	watch(s.owner, leaving, "ping")
	all := func() int { return s.sent(leaving) }
	s.await(t, "all descriptions", func() bool { n := all(); return n > 20 && n == s.sent(powerless) })
	before := all()
	s.owner.Do("POST", "/v3/rooms/"+string(leaving)+"/leave", m{})
	if _, err := s.Usher.Tap.Await(harness.Soon(t), func(r harness.Request) bool {
		return r.Acts(string(leaving)) && strings.HasSuffix(r.Path, "/leave") && r.Status == 200
	}); err != nil {
		t.Fatalf("the bot did not leave the empty room: %v", err)
	}
	if n := all(); n != 2*before {
		t.Errorf("%d descriptions were sent before it left and %d in all, expected one removal of each", before, n)
	}

	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Set("commands.advertise", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Start(harness.Soon(t)); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the removal of all descriptions", func() bool { return s.sent(powerless) == 2*before })
	var state []harness.Event // the content only: Synapse puts the content that was replaced beside it
	if err := json.Unmarshal(s.owner.Do("GET", "/v3/rooms/"+string(powerless)+"/state", nil).Body, &state); err != nil {
		t.Fatal(err)
	}
	for _, e := range state {
		if e.Type == description && e.Field("command") != "" {
			t.Errorf("the description of %s stands after the setting was switched off", e.Field("command"))
		}
	}
}

// sent counts the descriptions that the homeserver took for a room.
func (s *stage) sent(room id.RoomID) int {
	return len(s.Usher.Tap.Requests(func(r harness.Request) bool {
		return r.Method == "PUT" && strings.Contains(r.Path, string(room)) && strings.Contains(r.Path, "/state/"+description) && r.Status == 200
	}))
}

// await waits until something is so.
func (s *stage) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for !is() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
