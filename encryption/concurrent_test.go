package encryption

import (
	"context"
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// heldRooms holds back who is joined.
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

// TestSealMeetsRenewal: once somebody has left, nothing is said with the key that they have, also while the next key is being made
// for something else that is said.
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
