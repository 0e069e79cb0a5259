package encryption

import (
	"context"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"
)

// TestSilentServer: the server of one member does not answer. Other rooms are served meanwhile, the other members can read the event, and
// the member gets the key of the event later.
func TestSilentServer(t *testing.T) {
	for _, path := range []string{"/keys/query", "/keys/claim"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			const far id.UserID = "@zoe:far"
			_, release := slowFor(t, s, path, string(far))
			rooms := &fakeRooms{also: []id.UserID{far}}
			a := newPerson(t, s, alice)
			d, came, _ := newDevice(t, s, rooms, t.TempDir(), nil)
			ev := a.say("hello", bot)
			await(t, came)
			z := newPersonDirect(t, s, far)
			type result struct {
				sealed any
				err    error
			}
			said := make(chan result, 1)
			go func() {
				_, sealed, err := d.Seal(context.Background(), secret, "m.room.message", m{"body": "for all"})
				said <- result{sealed, err}
			}()
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if _, err := d.Open(ctx, ev); err != nil {
					t.Fatalf("nothing is opened while one server does not answer: %v", err)
				}
				cancel()
				time.Sleep(10 * time.Millisecond)
			}
			r := <-said
			if r.err != nil {
				t.Fatal(r.err)
			}
			if _, err := a.hear(s, r.sealed); err != nil {
				t.Errorf("a member of another server can't read: %v", err)
			}
			if _, err := z.hear(s, r.sealed); err == nil {
				t.Error("the key came though the server did not answer: the test shows nothing")
			}
			release()
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				if _, err := z.hear(s, r.sealed); err == nil {
					return
				} else if time.Now().After(end) {
					t.Fatalf("the key did not follow: %v", err)
				}
			}
		})
	}
}
