package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
)

// stopAt has requests of Usher's that match held for ever, the first of them after it took effect or before, and closes the
// channel it returns when the first is there.
func stopAt(u *harness.Usher, match func(*http.Request) bool, passes bool) <-chan struct{} {
	reached := make(chan struct{})
	var once sync.Once
	u.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !match(r) {
			next.ServeHTTP(w, r)
			return
		}
		once.Do(func() {
			if passes {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			close(reached)
		})
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	return reached
}

// suffix matches requests by the end of their path.
func suffix(end string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, end) }
}

// restart kills Usher (kill -9) and starts it again.
func (s *stage) restart(t *testing.T) {
	t.Helper()
	s.Usher.Kill()
	s.Usher.Tap.Disturb(nil)
	if err := s.Usher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKilledInSecret: kill -9 on the way of a command in an encrypted room. It is acted on once and answered once.
func TestKilledInSecret(t *testing.T) {
	said := func(s *stage) string { return "!invite " + string(s.guest.ID) }
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stage) string // says the command, kills and restarts, and returns the command's event id
	}{
		{"before the inbox commit", func(t *testing.T, s *stage) string {
			reached := make(chan struct{})
			var once sync.Once
			s.Door.Disturb(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { // it is on its way, but never arrives
				once.Do(func() { close(reached) })
				w.WriteHeader(http.StatusBadGateway)
			})
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the transaction", reached)
			s.Door.Disturb(nil)
			s.restart(t)
			return string(command)
		}},
		{"after the inbox commit, before the 200", func(t *testing.T, s *stage) string {
			reached := make(chan struct{})
			var once sync.Once
			acted := stopAt(s.Usher, suffix("/invite"), false) // so that nothing has come of it by then
			s.Door.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				body, _ := io.ReadAll(r.Body)
				if !slices.ContainsFunc(harness.Transaction{Body: body}.Events(), func(e harness.Event) bool { return e.Sender == string(s.owner.ID) }) {
					next.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(httptest.NewRecorder(), r) // the 200 is lost
				once.Do(func() { close(reached) })
				w.WriteHeader(http.StatusBadGateway)
			})
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the transaction", reached)
			harness.Wait(t, "the command to be run", acted)
			s.Door.Disturb(nil)
			s.restart(t)
			return string(command)
		}},
		{"between Olm and Megolm save", func(t *testing.T, s *stage) string {
			// The bot does not know the device of somebody who joined after it last spoke, and the key does not come with the
			// device's own keys. So it asks for them between the two.
			s.settled(s.owner, s.room)
			late := s.Account("late")
			s.owner.Invite(s.room, late.ID)
			late.Join(s.room)
			s.owner.AwaitMember(s.room, late.ID, "join")
			reached := stopAt(s.Usher, suffix("/keys/query"), false)
			command, deliver := late.SayBeforeKey(s.room, said(s))
			deliver(s.Usher.Bot)
			harness.Wait(t, "the question for the sender's keys", reached)
			s.restart(t)
			return string(command)
		}},
		{"after decrypt", func(t *testing.T, s *stage) string {
			reached := stopAt(s.Usher, suffix("/invite"), false)
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the invitation", reached)
			s.restart(t)
			return string(command)
		}},
		{"after the act", func(t *testing.T, s *stage) string {
			reached := stopAt(s.Usher, suffix("/invite"), true)
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the invitation", reached)
			s.restart(t)
			return string(command)
		}},
		{"after the key to the reply was shared", func(t *testing.T, s *stage) string {
			reached := stopAt(s.Usher, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/send/m.room.encrypted/") }, false)
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the reply", reached)
			s.restart(t)
			return string(command)
		}},
		{"after the reply", func(t *testing.T, s *stage) string {
			reached := stopAt(s.Usher, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/send/m.room.encrypted/") }, true)
			command := s.owner.Say(s.room, said(s))
			harness.Wait(t, "the reply", reached)
			s.restart(t)
			return string(command)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSecretStage(t, true)
			s.settled(s.owner, s.room)
			command := c.run(t, s)
			s.owner.Await("an answer", func(e harness.Event) bool {
				r := e.Relation()
				return e.Sender == string(s.Usher.Bot) && (r.On == command || r.ReplyTo == command)
			})
			s.settled(s.owner, s.room)
			s.is(t, s.room, s.guest.ID, "invite", "")
			if n := invitations(s.owner, s.room, s.guest.ID); n != 1 {
				t.Errorf("%d invitations", n)
			}
			s.answeredOnce(t, id.EventID(command))
			s.allSecret(t, s.room)
		})
	}
}
