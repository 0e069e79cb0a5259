package e2e

import (
	"net/http"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// refusal is a situation in which the client API answers an invitation with 403.
type refusal struct {
	name string
	code string
	// arrange brings it about in the stage's room, by hand. The guest is the one to be invited, asker the one who asks.
	arrange   func(s *stage, asker *harness.Account)
	elsewhere bool // the asker asks from a room of their own
}

func refusals() []refusal {
	return []refusal{
		{name: "invitee banned", code: "invite.target_banned", arrange: func(s *stage, _ *harness.Account) {
			s.owner.Ban(s.room, s.guest.ID)
		}},
		{name: "invitee joined", code: "already", arrange: func(s *stage, _ *harness.Account) {
			s.owner.Invite(s.room, s.guest.ID)
			s.guest.Join(s.room)
		}},
		{name: "inviter's power too low", code: "invite.power", arrange: func(s *stage, _ *harness.Account) {
			s.owner.SetState(s.room, "m.room.power_levels", "", m{"users": m{string(s.owner.ID): 100}, "invite": 50})
		}},
		{name: "inviter not in the room", code: "invite.sender_not_joined", elsewhere: true, arrange: func(s *stage, asker *harness.Account) {
			s.owner.Do("POST", "/v3/rooms/"+string(s.room)+"/kick", m{"user_id": asker.ID})
		}},
	}
}

// TestRefusalPredicted: what the homeserver would refuse is explained without asking it.
func TestRefusalPredicted(t *testing.T) {
	for _, puppet := range []bool{true, false} {
		for _, r := range refusals() {
			t.Run(performer(puppet)+"/"+r.name, func(t *testing.T) {
				s, asker, from := refusalStage(t, puppet, r)
				r.arrange(s, asker)
				s.refused(t, asker, from, "!invite "+string(s.guest.ID)+" "+string(s.room), r.code)
				s.settled(asker, from)
				if n := s.acts(s.room); n != 0 {
					t.Errorf("%d requests were sent", n)
				}
			})
		}
	}
}

// TestRefusalMet: the same comes about between the decision and the act, so that the homeserver itself refuses; the reason told is
// the same.
func TestRefusalMet(t *testing.T) {
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			s, asker, from := refusalStage(t, true, r)
			arranged := false
			s.Usher.Tap.Disturb(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if strings.HasSuffix(req.URL.Path, "/invite") && !arranged {
					arranged = true
					r.arrange(s, asker)
				}
				next.ServeHTTP(w, req)
			})
			said := asker.Say(from, "!invite "+string(s.guest.ID)+" "+string(s.room))
			if r.name == "invitee joined" {
				asker.AwaitReaction(said, s.Usher.Bot, done) // what was asked for is true
			} else if reply := asker.AwaitReply(said, s.Usher.Bot); !strings.Contains(reply.Field("body"), r.code) {
				t.Errorf("the reply does not name %s: %s", r.code, reply.Field("body"))
			}
			met := s.Usher.Tap.Requests(func(req harness.Request) bool {
				return strings.HasSuffix(req.Path, "/invite") && req.Status == http.StatusForbidden
			})
			if len(met) != 1 {
				t.Errorf("the homeserver refused %d times, expected once", len(met))
			}
		})
	}
}

func performer(puppet bool) string {
	if puppet {
		return "actor"
	}
	return "bot"
}

// refusalStage makes a stage with an asker in the room, and the room that the asker asks from.
func refusalStage(t *testing.T, puppet bool, r refusal) (s *stage, asker *harness.Account, from id.RoomID) {
	t.Helper()
	s = newStage(t, puppet)
	asker = s.Account("asker")
	s.owner.Invite(s.room, asker.ID)
	asker.Join(s.room)
	if r.elsewhere {
		return s, asker, s.BotRoom(asker, harness.RoomOptions{})
	}
	return s, asker, s.room
}
