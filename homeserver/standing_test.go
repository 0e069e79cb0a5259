package homeserver

import (
	"errors"
	"testing"
	"time"

	"usher/invites"
	"usher/room"
)

const whoami = "GET /v3/account/whoami"

// TestTokenRefused: a token that the homeserver refuses is not shown again, save to ask about it, until it is taken again.
func TestTokenRefused(t *testing.T) {
	const unknown, invite = `{"errcode":"M_UNKNOWN_TOKEN"}`, "POST /v3/rooms/!r/invite"
	s := new(stub)
	c := s.client(t, time.Minute)
	act := func() error {
		return NewState(c, StateOptions{}).Act(t.Context(), invites.Effect{Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y"})
	}
	stopped := func(err error) bool {
		var act *invites.ActError
		return errors.As(err, &act) && act.Class == invites.ClassStopped
	}
	s.set(invite, 401, unknown)
	s.set(whoami, 200, `{"user_id":"@usher:x"}`)
	if err := act(); !stopped(err) || c.TokenRefused() {
		t.Fatalf("%v, refused %v: whoami vouches for the token, so that one call says nothing", err, c.TokenRefused())
	}
	s.set(whoami, 401, unknown)
	if err := act(); !stopped(err) || !c.TokenRefused() || c.PuppetRefused() {
		t.Fatalf("%v, refused %v", err, c.TokenRefused())
	}
	s.requests()
	if err := act(); !stopped(err) || len(s.requests()) != 0 {
		t.Errorf("%v: it went on asking", err)
	}
	c.Recheck(t.Context())
	if !c.TokenRefused() {
		t.Error("not refused any more")
	}
	s.set(invite, 200, `{}`)
	s.set(whoami, 200, `{"user_id":"@usher:x"}`)
	c.Recheck(t.Context())
	if c.TokenRefused() {
		t.Error("still refused")
	}
	if err := act(); err != nil {
		t.Error(err)
	}
}

// TestPuppetTokenRefused: it stops what is done as others, not what the bot does itself.
func TestPuppetTokenRefused(t *testing.T) {
	s := new(stub) // it takes the puppet's token for nobody but others, so that whoami as the bot is refused
	c := s.client(t, time.Minute)
	s.set("POST /v3/rooms/!r/invite as @a:x", 401, `{"errcode":"M_UNKNOWN_TOKEN"}`)
	s.set("POST /v3/rooms/!r/invite as @usher:x", 200, `{}`)
	st := NewState(c, StateOptions{})
	if err := st.Act(t.Context(), invites.Effect{Action: room.Invite, Room: "!r", Performer: "@a:x", Target: "@b:y"}); err == nil || !c.PuppetRefused() {
		t.Errorf("%v, refused %v", err, c.PuppetRefused())
	}
	if err := st.Act(t.Context(), invites.Effect{Action: room.Invite, Room: "!r", Performer: "@usher:x", Target: "@b:y"}); err != nil || c.TokenRefused() {
		t.Errorf("%v, refused %v", err, c.TokenRefused())
	}
}
