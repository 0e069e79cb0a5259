package e2e

import (
	"strings"
	"testing"

	"usher/e2e/harness"
)

// TestHelpPingWhy: the commands that only speak.
func TestHelpPingWhy(t *testing.T) {
	s := newStage(t, true)
	answer := func(command string) string {
		return s.owner.AwaitReply(s.owner.Say(s.room, command), s.Usher.Bot).Field("body")
	}
	for _, word := range []string{"!invite", "!join", "!why", "<user>", "!help invite"} {
		if help := answer("!help"); !strings.Contains(help, word) {
			t.Errorf("!help does not show %s: %s", word, help)
		}
	}
	if help := answer("!help why"); !strings.Contains(help, "!why") || strings.Contains(help, "!ping") {
		t.Errorf("!help why: %s", help)
	}
	if pong := answer("!ping"); !strings.Contains(pong, "ms") && !strings.Contains(pong, "µs") {
		t.Errorf("!ping shows no time: %s", pong)
	}
	if why := answer("!why " + string(s.guest.ID)); !strings.Contains(why, done) {
		t.Errorf("!why of somebody who may be invited: %s", why)
	}
	s.owner.Ban(s.room, s.guest.ID)
	if why := answer("!why " + string(s.guest.ID) + " invite"); !strings.Contains(why, "invite.target_banned") {
		t.Errorf("!why of somebody banned: %s", why)
	}
	if n := s.acts(s.room); n != 0 {
		t.Errorf("%d requests were sent by commands that only speak", n)
	}
}

// TestSilence: other bots' commands, notices, edits and the like are none of Usher's business.
func TestSilence(t *testing.T) {
	s := newStage(t, true)
	guest := string(s.guest.ID)
	s.owner.Say(s.room, "!otherbot invite "+guest)
	s.owner.Say(s.room, "invite "+guest)
	s.owner.Send(s.room, m{"msgtype": "m.notice", "body": "!invite " + guest})
	s.owner.Send(s.room, m{"msgtype": "m.emote", "body": "!invite " + guest})
	s.owner.Send(s.room, m{"msgtype": "m.text", "body": "* !invite " + guest, "m.new_content": m{"msgtype": "m.text", "body": "!invite " + guest},
		"m.relates_to": m{"rel_type": "m.replace", "event_id": s.owner.Say(s.room, "hello")}})
	s.settled(s.owner, s.room)
	s.is(t, s.room, s.guest.ID, "leave", "")
	replies := s.owner.Seen(func(e harness.Event) bool {
		return e.Room == string(s.room) && e.Sender == string(s.Usher.Bot) && e.Type == "m.room.message" && e.Relation().ReplyTo != ""
	})
	if len(replies) != 1 {
		t.Errorf("%d replies, expected the pong alone", len(replies))
	}
}
