package judge_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/room"
)

// TestHiddenHistory: what the bot may not see is no reason to allow, and none to shut out who is there for long.
func TestHiddenHistory(t *testing.T) {
	w := newWorld(t)
	w.Power(50)
	w.Govern(object{"ask": object{"joined_for": "1h"}, "whom": object{"cooldown": object{"kick": "1d"}}})
	w.HS.Member(lobby, carol, "join")
	w.HS.Member(lobby, bob, "leave")
	w.HS.Hide = true
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@new:here"))); got != "refused policy.ask.joined_for" {
		t.Errorf("just joined, as far as can be seen: %s", got)
	}
	w.Clock.Advance(time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, "@new:here", bob))); got != "done done, refused policy.unknown" {
		t.Errorf("got %s", got)
	}
	w.Clock.Advance(24 * time.Hour)
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != "done done" {
		t.Errorf("gone for longer than it matters: %s", got)
	}
}

// backdated is a clock for the dates that a member's own server gives.
type backdated struct{}

func (backdated) Now() time.Time { return time.UnixMilli(1) }

// TestCooldownsByOthersDates: whoever was kicked, or declined, gets round no cooldown by events that their own server dates into the past.
func TestCooldownsByOthersDates(t *testing.T) {
	for name, tt := range map[string]struct {
		last func(w *world)
		code string
	}{
		"a knock after a kick": {func(w *world) {
			w.HS.Member(lobby, bob, "join")
			w.HS.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "leave"})
			w.HS.Clock = backdated{}
			w.HS.Member(lobby, bob, "knock")
		}, "refused policy.whom.cooldown.kick"},
		"a declined invitation": {func(w *world) {
			w.HS.Set(lobby, "m.room.member", string(bob), alice, object{"membership": "invite"})
			w.HS.Clock = backdated{}
			w.HS.Member(lobby, bob, "leave")
		}, "refused policy.whom.cooldown.decline"},
		"nothing of the kind": {func(w *world) {
			w.HS.Clock = backdated{}
			w.HS.Member(lobby, bob, "knock")
		}, "done done"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Power(50)
			w.Govern(object{"whom": object{"cooldown": object{"decline": "1d", "kick": "30d"}}})
			w.HS.Clock = w.Clock
			tt.last(w)
			w.HS.Clock = w.Clock
			w.Clock.Advance(time.Minute)
			if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, carol, bob))); got != tt.code {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestQuestionsAreBounded: whoever only asks has so many events of the past read, however many people the question is about.
func TestQuestionsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"whom": object{"cooldown": object{"kick": "30d"}}})
	var guests []id.UserID
	for n := range requests.MaxDryRun {
		guest := id.UserID(fmt.Sprintf("@guest%d:there", n))
		guests = append(guests, guest)
		for range 15 {
			w.HS.Member(lobby, guest, "invite")
			w.HS.Member(lobby, guest, "leave")
		}
	}
	judged, err := w.Requests.DryRun(t.Context(), w.Request(t, alice, guests...))
	if err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for _, j := range judged {
		if j.Decision.Verdict == room.Unknown {
			unknown++
		}
	}
	if unknown == 0 || unknown == len(judged) {
		t.Errorf("%d of %d are unknown", unknown, len(judged))
	}
	if _, err := w.Requests.DryRun(t.Context(), w.Request(t, alice, append(guests, bob)...)); !errors.Is(err, requests.ErrDryRun) {
		t.Errorf("one too many: %v", err)
	}
}

// TestLateMember: a join or a leave that the member's own server dated into the past counts from when it came, or from the invitation before it.
func TestLateMember(t *testing.T) {
	const guest = id.UserID("@guest:there")
	event := func(w *world) id.EventID {
		snap, err := w.HS.Snapshot(t.Context(), lobby, alice, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := snap.Event(room.MemberKey(guest))
		return e.ID
	}
	came := func(w *world, membership string) {
		w.HS.Clock = backdated{}
		w.HS.Member(lobby, guest, membership)
		w.HS.Clock = w.Clock
		_, err := w.DB.Receive(t.Context(), nil, invites.MemberEvent{Event: event(w), Room: lobby, Target: guest, Sender: guest, Membership: membership,
			SentAt: backdated{}.Now(), SeenAt: w.Clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(w *world) string { return invitestest.Outcomes(w.MustAsk(t, w.Request(t, guest, bob))) }
	setUp := func() *world {
		w := newWorld(t)
		w.HS.Clock = w.Clock
		w.Give(object{string(alice): 100, string(bot): 100, string(guest): 50})
		w.Govern(object{"ask": object{"joined_for": "1h"}, "whom": object{"cooldown": object{"leave": "1h"}}})
		return w
	}
	w := setUp()
	came(w, "join")
	if got := ask(w); got != "refused policy.ask.joined_for" {
		t.Errorf("just joined: %s", got)
	}
	w.Clock.Advance(time.Hour + time.Second)
	if got := ask(w); got != "done done" {
		t.Errorf("an hour later: %s", got)
	}
	came(w, "leave")
	if got := invitestest.Outcomes(w.MustAsk(t, w.Request(t, alice, guest))); got != "refused policy.whom.cooldown.leave" {
		t.Errorf("just left: %s", got)
	}

	w = setUp() // while Usher was not told
	w.HS.Set(lobby, "m.room.member", string(guest), alice, object{"membership": "invite"})
	w.HS.Clock = backdated{}
	w.HS.Member(lobby, guest, "join")
	if got := ask(w); got != "refused policy.ask.joined_for" {
		t.Errorf("joined after an invitation of today: %s", got)
	}
}
