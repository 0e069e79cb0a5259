package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestKilledAmidTenInvitations: Usher is killed (kill -9) in the middle of a ten-user invitation and started again: nobody is left out,
// nobody is invited twice, and the command is answered once.
func TestKilledAmidTenInvitations(t *testing.T) {
	cases := []struct {
		name   string
		at     int32 // which of the requests
		passes bool  // whether it takes effect, its answer being lost; else it never reaches the homeserver
	}{
		{"before the first takes effect", 1, false},
		{"after the first took effect", 1, true},
		{"before the fourth takes effect", 4, false},
		{"after the fourth took effect", 4, true},
		{"after the eighth, a queued one, took effect", 8, true},
	}
	if harness.Kind() == homeserver.Synapse && scaled(0, 1) == 0 {
		cases = cases[2:4]
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, true)
			var users []id.UserID
			command := "!invite"
			for range 10 {
				user := s.Account("user").ID
				users = append(users, user)
				command += " " + string(user)
			}
			killed := killAt(s.Usher, c.at, c.passes)
			said := s.owner.Say(s.room, command)
			harness.Wait(t, "the request to be killed at", killed)
			s.Usher.Kill()
			s.Usher.Tap.Disturb(nil)
			if err := s.Usher.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.owner.AwaitReaction(said, s.Usher.Bot, done)
			for _, user := range users {
				s.is(t, s.room, user, "invite", s.owner.ID)
			}
			s.settled(s.owner, s.room)
			for _, user := range users {
				if n := invitations(s.owner, s.room, user); n != 1 {
					t.Errorf("%s was invited %d times", user, n)
				}
			}
			s.answeredOnce(t, said)
		})
	}
}

// killAt holds Usher's nth invitation request for ever, and closes the channel it returns when it has come that far. Nothing else
// is then under way at the homeserver, so that each of Usher's requests either took effect or never will.
func killAt(u *harness.Usher, nth int32, passes bool) <-chan struct{} {
	reached := make(chan struct{})
	var count atomic.Int32
	var over atomic.Bool
	var underWay sync.RWMutex
	u.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/invite") && count.Add(1) == nth {
			if passes {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			underWay.Lock()
			over.Store(true)
			underWay.Unlock()
			close(reached)
			harness.Drop(r)
		}
		if r.Method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		underWay.RLock()
		late := over.Load() || count.Load() >= nth
		if !late {
			next.ServeHTTP(w, r)
		}
		underWay.RUnlock()
		if late {
			harness.Drop(r)
		}
	})
	return reached
}

// answeredOnce checks that a command has one reaction of the bot's and at most one notice, edits of which don't count.
func (s *stage) answeredOnce(t *testing.T, command id.EventID) {
	t.Helper()
	reactions := s.owner.Seen(func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && e.Type == "m.reaction" && e.Relation().On == string(command)
	})
	notices := s.owner.Seen(func(e harness.Event) bool {
		return e.Sender == string(s.Usher.Bot) && e.Type == "m.room.message" && e.Field("msgtype") == "m.notice" && e.Relation().ReplyTo == string(command)
	})
	if len(reactions) != 1 || len(notices) > 1 {
		t.Errorf("the command was answered by %d reactions and %d notices", len(reactions), len(notices))
	}
}

// TestKilledWithRequestsUnderWay: as above, but the homeserver still works on some requests when their sender is gone. The next start
// leaves these alone for a moment, and then finds what they did: nobody is left out or invited twice.
func TestKilledWithRequestsUnderWay(t *testing.T) {
	s := newStage(t, true)
	command := "!invite"
	var users []id.UserID
	for range 10 {
		users = append(users, s.Account("user").ID)
		command += " " + string(users[len(users)-1])
	}
	reached := make(chan struct{})
	var count atomic.Int32
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/invite") && count.Add(1) == 7 {
			close(reached)
		}
		next.ServeHTTP(w, r)
	})
	said := s.owner.Say(s.room, command)
	harness.Wait(t, "the seventh request", reached)
	s.Usher.Kill()
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	for _, user := range users {
		s.is(t, s.room, user, "invite", s.owner.ID)
	}
	s.settled(s.owner, s.room)
	for _, user := range users {
		if n := invitations(s.owner, s.room, user); n != 1 {
			t.Errorf("%s was invited %d times", user, n)
		}
	}
}

// TestKilledBeforeItTookEffect: a request takes effect at the homeserver only after its sender was killed and started again. The next
// start does not send another.
func TestKilledBeforeItTookEffect(t *testing.T) {
	s := newStage(t, true)
	reached, started, through := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "/invite") || held.Swap(true) {
			next.ServeHTTP(w, r)
			return
		}
		text, _ := io.ReadAll(r.Body)
		close(reached)
		<-started
		<-time.After(300 * time.Millisecond) // the homeserver takes so long
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(text))
		next.ServeHTTP(httptest.NewRecorder(), r)
		close(through)
	})
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	harness.Wait(t, "the request", reached)
	s.Usher.Kill()
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(started)
	harness.Wait(t, "the request's end", through)
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	s.settled(s.owner, s.room)
	if n := invitations(s.owner, s.room, s.guest.ID); n != 1 {
		t.Errorf("%d invitations", n)
	}
	s.answeredOnce(t, said)
}

// TestDuplicateTransaction: a transaction sent again, under its own id or another, before and after a restart, acts once.
func TestDuplicateTransaction(t *testing.T) {
	s := newStage(t, true)
	said := s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	transaction := s.Door.Carrying(string(said))
	if transaction == nil {
		t.Fatal("the transaction with the command was not seen")
	}
	replay := func(id string) {
		t.Helper()
		if status, err := s.Door.Replay(t.Context(), *transaction, id); err != nil || status != http.StatusOK {
			t.Errorf("replayed as %s: %d %v", id, status, err)
		}
	}
	replay(transaction.ID)
	replay("another")
	s.settled(s.owner, s.room)
	s.Usher.Kill()
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	replay(transaction.ID)
	replay("yet-another")
	s.settled(s.owner, s.room)
	if n := s.acts(s.room); n != 1 {
		t.Errorf("%d requests were sent, expected one", n)
	}
	if n := invitations(s.owner, s.room, s.guest.ID); n != 1 {
		t.Errorf("%d invitations", n)
	}
	s.answeredOnce(t, said)
}

// TestDownWhenAsked: a command that is said while Usher is down is run when it is back.
func TestDownWhenAsked(t *testing.T) {
	s := newStage(t, true)
	if err := s.Usher.Stop(); err != nil {
		t.Error(err)
	}
	said := s.owner.Say(s.room, "!invite "+string(s.guest.ID))
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.owner.AwaitReaction(said, s.Usher.Bot, done)
	s.is(t, s.room, s.guest.ID, "invite", s.owner.ID)
}

// TestTroubleAtTheHomeserver: what fails for now is done later, and the command is then answered.
func TestTroubleAtTheHomeserver(t *testing.T) {
	cases := []struct {
		name    string
		trouble http.HandlerFunc
	}{
		{"429 with retry_after_ms", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"errcode":"M_LIMIT_EXCEEDED","error":"slowly","retry_after_ms":200}`))
		}},
		{"429 with Retry-After", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
		{"502", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
		{"connection reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	}
	s := newStage(t, true)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var count atomic.Int32
			s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasSuffix(r.URL.Path, "/invite") && count.Add(1) == 1 {
					c.trouble(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
			user := s.Account("user")
			s.succeeds(s.owner, s.room, "!invite "+string(user.ID))
			s.is(t, s.room, user.ID, "invite", s.owner.ID)
			if n := count.Load(); n != 2 {
				t.Errorf("%d requests, expected a second one after the first failed", n)
			}
		})
	}
}

// TestLimitsOfSynapse: more invitations than Synapse's own limits allow at once (10 by one person, then one every 5 s) are
// all sent, with few requests in vain. Dendrite exempts appservices from its limits.
func TestLimitsOfSynapse(t *testing.T) {
	if harness.Kind() != homeserver.Synapse {
		t.Skip("about Synapse")
	}
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, RateLimits: true})}
	s.owner = s.Account("owner")
	s.room = s.BotRoom(s.owner, harness.RoomOptions{})
	const commands, guests = 2, 10 // and the bot's own invitation counts too
	s.owner.Patience = 2 * time.Minute
	start := time.Now()
	var said [commands]id.EventID
	for i := range said {
		command := "!invite"
		for range guests {
			command += " " + string(s.Account("user").ID)
		}
		said[i] = s.owner.Say(s.room, command)
	}
	for _, one := range said {
		s.owner.AwaitReaction(one, s.Usher.Bot, done)
		s.answeredOnce(t, one)
	}
	limited := s.Usher.Tap.Requests(func(r harness.Request) bool { return r.Status == http.StatusTooManyRequests })
	t.Logf("%d invitations: %d refused requests, %s", commands*guests, len(limited), time.Since(start))
	if n := len(limited); n == 0 || n > 8 {
		t.Errorf("%d requests met a limit, expected a few", n)
	}
}
