package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestBackAfterOutage: Usher is away for 70 s, so that Synapse's next try is at 126 s; in a soak for 530 s, so that it is at 1,022 s, after a
// pause of 512 s. What was said meanwhile is answered within seconds of the start: the appservice ping makes Synapse try at once.
func TestBackAfterOutage(t *testing.T) {
	if harness.Kind() != homeserver.Synapse {
		t.Skip("about Synapse: Dendrite has no ping")
	}
	s := newStage(t, true)
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Usher.Door.To("http://127.0.0.1:1"); err != nil { // refused at once, as by a host without Usher
		t.Fatal(err)
	}
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	time.Sleep(scaled(70*time.Second, 530*time.Second))
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	if took := time.Since(up); took > 15*time.Second {
		t.Errorf("answered %v after the start", took)
	}
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
}

// TestBackAfterCut: the way from Synapse to Usher was cut for 70 s, and Usher ran all the time. It finds out by a ping that the homeserver
// can't reach it, says so in its log, and is heard again soon after the cut.
func TestBackAfterCut(t *testing.T) {
	if harness.Kind() != homeserver.Synapse {
		t.Skip("about Synapse: Dendrite has no ping")
	}
	s := newStage(t, true)
	s.Usher.Door.Disturb(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) })
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	for end := time.Now().Add(3 * time.Minute); !strings.Contains(s.Usher.Tail(200), "can't reach Usher"); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("the log does not say that the homeserver can't reach Usher")
		}
	}
	s.Usher.Door.Disturb(nil)
	over := time.Now()
	for end := over.Add(75 * time.Second); ; time.Sleep(time.Second) {
		if got, _ := s.owner.Membership(s.room, s.guest.ID); got == "invite" {
			break
		} else if time.Now().After(end) {
			t.Fatal("not heard a minute after the cut")
		}
	}
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	t.Logf("heard %v after the cut", time.Since(over))
}

// TestRefusedTransactionsAreLogged: the homeserver's copy of the registration has another hs_token. Usher hears nothing, and says so.
func TestRefusedTransactionsAreLogged(t *testing.T) {
	s := newStage(t, false)
	s.Usher.Door.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Set("Authorization", "Bearer another")
		next.ServeHTTP(w, r)
	})
	s.owner.Say(s.room, "!ping")
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.Usher.Tail(200), "wrong_token"); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log says nothing of refused transactions:\n", s.Usher.Tail(50))
		}
	}
}

// TestHomeserverSendsNothing: Dendrite has no ping to find out with that it sends transactions elsewhere, as with "url: null" in its copy of the
// registration. Usher finds the bot's invitation nevertheless, joins, hears nothing of that, and warns.
func TestHomeserverSendsNothing(t *testing.T) {
	if harness.Kind() == homeserver.Synapse || scaled(true, false) {
		t.Skip("in a soak, on Dendrite: it takes a minute")
	}
	s := newStage(t, true)
	if err := s.Usher.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Usher.Door.Disturb(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) })
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	room := s.owner.CreateRoom(harness.RoomOptions{})
	s.owner.Invite(room, s.Usher.Bot)
	s.owner.AwaitMember(room, s.Usher.Bot, "join")
	for end := time.Now().Add(time.Minute); !strings.Contains(s.Usher.Tail(200), "sent Usher nothing"); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("the log does not say that the homeserver sends nothing:\n", s.Usher.Tail(50))
		}
	}
}
