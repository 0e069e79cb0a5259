package encryption

import (
	"context"
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func TestSeal(t *testing.T) {
	s, rooms := newStub(t), &fakeRooms{}
	a := newPerson(t, s, alice)
	d, _, _ := newDevice(t, s, rooms, t.TempDir(), nil)
	content := map[string]any{"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": "$x", "key": "✅"}}

	kind, same, err := d.Seal(t.Context(), plain, "m.reaction", content)
	if got, ok := same.(map[string]any); err != nil || kind != "m.reaction" || !ok || len(got) != 1 {
		t.Errorf("in a plain room: %s %v, %v", kind, same, err)
	}
	kind, sealed, err := d.Seal(t.Context(), secret, "m.reaction", content)
	if err != nil || kind != "m.room.encrypted" {
		t.Fatalf("got %s, %v", kind, err)
	}
	if r := sealed.(*event.EncryptedEventContent).RelatesTo; r == nil || r.EventID != "$x" || r.Key != "✅" {
		t.Errorf("the relation is not readable: %+v", r)
	}
	opened, err := a.hear(s, sealed)
	if err != nil || opened.Type.Type != "m.reaction" {
		t.Errorf("alice reads %+v, %v", opened, err)
	}

	session := func() id.SessionID {
		_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		return sealed.(*event.EncryptedEventContent).SessionID
	}
	before := session()
	if session() != before {
		t.Error("a new session though nothing changed")
	}
	d.Invalidate("!other:x")
	if session() != before {
		t.Error("a new session after a change of another room")
	}
	d.Invalidate(secret)
	if session() == before {
		t.Error("the old session after a change of members")
	}

	rooms.off = true
	if kind, _, err := d.Seal(t.Context(), secret, "m.reaction", content); err != nil || kind != "m.room.encrypted" {
		t.Errorf("once encrypted, always encrypted; but got %s, %v", kind, err)
	}
	rooms.err = invites.ErrNoView
	if _, _, err := d.Seal(t.Context(), plain, "m.reaction", content); !errors.Is(err, invites.ErrNoView) {
		t.Errorf("in a room whose state can't be read: %v", err)
	}
}

func TestSignedDevicesOnly(t *testing.T) {
	s := newStub(t)
	a := newPerson(t, s, alice) // not signed
	d, _, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.SignedOnly = true })
	_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.hear(s, sealed); !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		t.Errorf("an unsigned device got the key: %v", err)
	}
}

// heldRooms holds back the list of members.
type heldRooms struct {
	*fakeRooms
	asked, answer chan struct{}
}

func (h heldRooms) Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error) {
	if membership == "join" {
		h.asked <- struct{}{}
		<-h.answer
	}
	return h.fakeRooms.Members(ctx, r, membership)
}

// TestSealMeetsRenewal: after a member has left, no event is sent with a key of the member, even while another event has the next key
// made.
func TestSealMeetsRenewal(t *testing.T) {
	s := newStub(t)
	rooms := heldRooms{&fakeRooms{}, make(chan struct{}, 9), make(chan struct{}, 9)}
	newPerson(t, s, alice)
	d, _, _ := newDevice(t, s, rooms.fakeRooms, t.TempDir(), func(o *Options) { o.Rooms = rooms })
	say := func(ctx context.Context) (id.SessionID, error) {
		_, sealed, err := d.Seal(ctx, secret, "m.room.message", m{"body": "x"})
		if err != nil {
			return "", err
		}
		return sealed.(*event.EncryptedEventContent).SessionID, nil
	}
	rooms.answer <- struct{}{}
	before, err := say(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-rooms.asked
	d.Invalidate(secret)
	first := make(chan id.SessionID, 1)
	go func() {
		session, err := say(t.Context())
		if err != nil {
			t.Error(err)
		}
		first <- session
	}()
	<-rooms.asked
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if session, err := say(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("said with key %s before anybody knew who may have it, that before was %s, %v", session, before, err)
	}
	d.Invalidate(secret) // somebody else has left meanwhile: who asks now does not wait for what the first finds
	rooms.answer <- struct{}{}
	rooms.answer <- struct{}{}
	last, err := say(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if session := <-first; session == before || last == before {
		t.Errorf("said with keys %s and %s, that before was %s", session, last, before)
	}
	if session, err := say(t.Context()); err != nil || session != last {
		t.Errorf("said with key %s, %v, that before was %s", session, err, last)
	}
}

// joiningRooms are rooms with an invited user, who joins between two questions about members.
type joiningRooms struct {
	*fakeRooms
	who   id.UserID
	asked *int
}

func (j joiningRooms) Members(ctx context.Context, r id.RoomID, membership string) ([]id.UserID, error) {
	users, err := j.fakeRooms.Members(ctx, r, membership)
	if *j.asked++; (*j.asked == 1) == (membership == "invite") {
		users = append(users, j.who)
	}
	return users, err
}

// TestSealForJoining: a user who joins while the members are listed gets the key.
func TestSealForJoining(t *testing.T) {
	s := newStub(t)
	c := newPerson(t, s, carol)
	d, _, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.Rooms = joiningRooms{&fakeRooms{}, carol, new(int)} })
	_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", m{"body": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.hear(s, sealed); err != nil {
		t.Error(err)
	}
}
