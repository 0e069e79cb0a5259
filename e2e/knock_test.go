package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// porch is a room that one may knock at, with a desk for it.
func (s *stage) porch(t *testing.T, version string, knocks m) id.RoomID {
	t.Helper()
	room := s.BotRoom(s.owner, harness.RoomOptions{Name: "Porch", Version: version, State: []any{
		m{"type": "m.room.join_rules", "state_key": "", "content": m{"join_rule": "knock"}},
	}})
	s.desk(t, room, knocks)
	return room
}

// desk sets how knocks are received.
func (s *stage) desk(t *testing.T, room id.RoomID, knocks m) {
	t.Helper()
	all := m{"desk": true}
	for key, value := range knocks {
		all[key] = value
	}
	s.owner.SetState(room, "chat.usher.policy", "", m{"version": 1, "knocks": all})
	s.settled(s.owner, room)
}

// knock knocks at a room.
func knock(a *harness.Account, room id.RoomID, reason string) {
	a.Test().Helper()
	a.Do(http.MethodPost, "/v3/knock/"+url.PathEscape(string(room)), m{"reason": reason})
}

// needsKnocking skips a test where the homeserver knows no knocking.
func needsKnocking(t *testing.T) {
	if harness.Kind() == homeserver.Dendrite {
		t.Skip("Dendrite knows no knocking")
	}
}

// TestKnock: accepted by reaction and by command, declined with a reason, declined and banned, withdrawn.
func TestKnock(t *testing.T) {
	needsKnocking(t)
	s := newStage(t, true)
	for _, version := range []string{"7", "10"} {
		t.Run("v"+version, func(t *testing.T) {
			room := s.porch(t, version, nil)
			one, two, three, four, five := s.Account("one"), s.Account("two"), s.Account("three"), s.Account("four"), s.Account("five")

			knock(one, room, "I bring cake")
			card := s.card(s.owner, room, one.ID)
			s.owner.React(room, card, "✅")
			s.owner.AwaitMember(room, one.ID, "invite")
			s.is(t, room, one.ID, "invite", s.owner.ID)
			s.cardSays(s.owner, card, "✅ Accepted")
			one.Join(room)

			knock(two, room, "")
			card = s.card(s.owner, room, two.ID)
			s.refused(t, one, room, "!approve 2", "vote.power")
			s.succeeds(s.owner, room, "!deny 2 not today")
			s.is(t, room, two.ID, "leave", s.owner.ID)
			if reason := s.owner.State(room, "m.room.member", string(two.ID)).Field("reason"); reason != "not today" {
				t.Errorf("reason %q", reason)
			}
			s.cardSays(s.owner, card, "❌ Declined")

			knock(three, room, "")
			card = s.card(s.owner, room, three.ID)
			s.owner.React(room, card, "🚫")
			s.owner.AwaitMember(room, three.ID, "ban")

			knock(four, room, "")
			card = s.card(s.owner, room, four.ID)
			four.Do(http.MethodPost, "/v3/rooms/"+url.PathEscape(string(room))+"/leave", m{})
			s.cardSays(s.owner, card, "knock.gone")

			knock(five, room, "")
			s.card(s.owner, room, five.ID)
			list := s.refused(t, s.owner, room, "!knocks accept all", string(five.ID))
			if body := list.Field("body"); strings.Contains(body, string(four.ID)) || !strings.Contains(body, "!knocks accept 5") {
				t.Errorf("the preview says: %s", body)
			}
			s.is(t, room, five.ID, "knock", five.ID)
			s.succeeds(s.owner, room, "!knocks accept 5")
			s.is(t, room, five.ID, "invite", s.owner.ID)
		})
	}
}

// TestKnockAtOnce: people whom the policy names are let in at once, unless it also names them among those who are not invited,
// or too many knock.
func TestKnockAtOnce(t *testing.T) {
	needsKnocking(t)
	s := newStage(t, false)
	club := s.BotRoom(s.owner, harness.RoomOptions{Name: "Club"})
	member, denied := s.Account("member"), s.Account("denied")
	for _, a := range []*harness.Account{member, denied} {
		s.owner.Invite(club, a.ID)
		a.Join(club)
	}
	room := s.porch(t, "10", nil)
	s.owner.Grant(room, 50, s.Usher.Bot)
	s.owner.SetState(room, "chat.usher.policy", "", m{"version": 1,
		"knocks": m{"desk": true, "accept_users": []string{"@vip*:usher.test"}, "accept_members_of": []string{string(club)},
			"breaker": m{"count": 3, "per": "1h"}},
		"whom": m{"deny_users": []string{string(denied.ID)}},
	})
	s.settled(s.owner, room)

	knock(member, room, "")
	s.owner.AwaitMember(room, member.ID, "invite")
	s.is(t, room, member.ID, "invite", s.Usher.Bot)
	vip := s.Account("vip")
	knock(vip, room, "")
	s.owner.AwaitMember(room, vip.ID, "invite")
	knock(denied, room, "")
	s.card(s.owner, room, denied.ID)
	s.is(t, room, denied.ID, "knock", "")

	for range 2 {
		late := s.Account("vip")
		knock(late, room, "")
		s.card(s.owner, room, late.ID)
	}
	s.settled(s.owner, room)
	if n := len(s.owner.Seen(func(e harness.Event) bool { return strings.Contains(e.Field("body"), "policy.knocks.breaker") })); n != 1 {
		t.Errorf("the pause was told %d times", n)
	}
}

// TestKnockBefore: people who knocked before the bot came, and before there was a desk, get their cards when it opens.
func TestKnockBefore(t *testing.T) {
	needsKnocking(t)
	s := newStage(t, true)
	room := s.owner.CreateRoom(harness.RoomOptions{Version: "10", State: []any{m{"type": "m.room.join_rules", "state_key": "", "content": m{"join_rule": "knock"}}}})
	one, two := s.Account("one"), s.Account("two")
	knock(one, room, "before the bot")
	s.owner.Invite(room, s.Usher.Bot)
	s.owner.AwaitMember(room, s.Usher.Bot, "join")
	knock(two, room, "before the desk")
	s.desk(t, room, nil)
	for _, a := range []*harness.Account{one, two} {
		s.owner.React(room, s.card(s.owner, room, a.ID), "✅")
		s.owner.AwaitMember(room, a.ID, "invite")
	}
}
