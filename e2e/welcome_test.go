package e2e

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// welcomes are the messages in a room that welcome somebody.
func welcomes(by *harness.Account, room id.RoomID) (texts []string) {
	for _, e := range by.Seen(func(e harness.Event) bool {
		return e.Type == "m.room.message" && (room == "" || e.Room == string(room)) && strings.Contains(e.Field("body"), "Nice to see you in “")
	}) {
		texts = append(texts, e.Field("body"))
	}
	return texts
}

// TestWelcome: whoever comes after an invitation is welcomed once, in the room or in a direct chat, in plain and encrypted, also by a process
// that is killed in between. People who came before are not.
func TestWelcome(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "encrypted"}[encrypted], func(t *testing.T) {
			o := harness.Options{Encrypted: encrypted}
			if !encrypted {
				o.Set = m{"encryption.enabled": false}
			}
			s := newStageOf(t, o)
			early := s.Account("early")
			s.owner.Invite(s.room, early.ID)
			early.Join(s.room)
			private := s.BotRoom(s.owner, harness.RoomOptions{Name: "Quiet"})
			for _, room := range []id.RoomID{s.room, private} {
				s.owner.Grant(room, 100, s.Usher.Bot)
			}
			s.refused(t, s.owner, s.room, "!policy set welcome.text Hi {user}!", `did you mean "{person}"`)
			for room, where := range map[id.RoomID]string{s.room: "room", private: "direct"} {
				s.succeeds(s.owner, room, "!policy set welcome.text Nice to see you in {room}, {person}; {inviter} asked me.")
				s.succeeds(s.owner, room, "!policy set welcome.where "+where)
				s.succeeds(s.owner, room, "!invite "+string(s.guest.ID))
			}
			s.guest.Join(s.room)
			s.owner.AwaitMember(s.room, s.guest.ID, "join")
			s.settled(s.owner, s.room)
			s.Usher.Kill()
			if err := s.Usher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			said := s.guest.Await("a welcome", func(e harness.Event) bool {
				return e.Room == string(s.room) && strings.HasPrefix(e.Field("body"), "Nice to see you in “Stage”, "+s.guest.ID.Localpart()+"; "+s.owner.ID.Localpart())
			})
			if !strings.Contains(string(said.Content), `"m.mentions":{"user_ids":["`+string(s.guest.ID)+`"]}`) {
				t.Errorf("mentions others: %s", said.Content)
			}

			s.guest.Join(private)
			s.guest.AwaitMember(private, s.guest.ID, "join")
			asked := s.guest.AwaitAnyInvite()
			s.guest.Join(asked)
			direct := s.guest.Await("a direct welcome", func(e harness.Event) bool {
				return e.Room == string(asked) && strings.Contains(e.Field("body"), "The admins of “Quiet”")
			})
			if encrypted && (said.Wire != "m.room.encrypted" || direct.Wire != "m.room.encrypted") {
				t.Errorf("not encrypted: %s, %s", said.Wire, direct.Wire)
			}
			s.settled(s.owner, s.room)
			s.settled(s.owner, private)
			if in, private := welcomes(s.owner, s.room), welcomes(s.owner, private); len(in) != 1 || len(private) != 0 {
				t.Errorf("said in the rooms: %q, %q", in, private)
			}
			if all := welcomes(s.guest, asked); len(all) != 1 {
				t.Errorf("said in the direct chat: %q", all)
			}
		})
	}
}
