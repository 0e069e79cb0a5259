package encryption

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// list has the homeserver list a hidden device, and tell the bot.
func (s *stub) list(user id.UserID, device id.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hidden, device)
	s.changed = append(s.changed, user)
	s.arrived.Broadcast()
}

// TestUnlistedDevice: a member gives a command from a device that the homeserver does not list yet. The answer's key follows once it does, for
// that device alone and from that answer on.
func TestUnlistedDevice(t *testing.T) {
	for _, name := range []string{"its command is read", "the key of its command never came", "the answer has a session of its own", "the session is replaced meanwhile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.hidden = map[id.DeviceID]bool{"LAPTOP": true, "TABLET": true}
			phone := newPerson(t, s, alice)
			d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
			seal := func(body string) any {
				t.Helper()
				_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", m{"body": body})
				if err != nil {
					t.Fatal(err)
				}
				return sealed
			}
			before := seal("before")
			laptop, tablet := newPersonAt(t, s, alice, "LAPTOP"), newPersonAt(t, s, alice, "TABLET")
			to := bot
			if name == "the key of its command never came" {
				to = bob
			}
			ev := laptop.say("!help", to)
			if to == bot {
				await(t, came)
			}
			if _, err := d.Open(t.Context(), ev); err != nil && (to == bot || !errors.Is(err, invites.ErrNoKey)) {
				t.Fatal(err)
			}
			if name == "the answer has a session of its own" {
				d.Invalidate(secret)
			}
			answer := seal("answer")
			if name == "the session is replaced meanwhile" {
				d.Invalidate(secret)
				seal("to others")
			}
			if _, err := laptop.hear(s, answer); err == nil {
				t.Fatal("the device has the key already: the test shows nothing")
			}
			s.list(alice, "LAPTOP")
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				if _, err := laptop.hear(s, answer); err == nil {
					break
				} else if time.Now().After(end) {
					t.Fatalf("the key did not follow: %v", err)
				}
			}
			if _, err := phone.hear(s, answer); err != nil {
				t.Errorf("the device known before can't read: %v", err)
			}
			if _, err := laptop.hear(s, before); err == nil {
				t.Error("the device reads an event from before its command")
			}
			if _, err := laptop.hear(s, seal("next")); err != nil {
				t.Errorf("the next answer: %v", err)
			}
			if _, err := tablet.hear(s, answer); err == nil {
				t.Error("a device without a command reads the answer")
			}
		})
	}
}

// TestUnlistedOfOthers: nobody gets a key by an event who does not hold the session: a person who is not in the room, a device that its
// user's server never lists.
func TestUnlistedOfOthers(t *testing.T) {
	s := newStub(t)
	s.hidden = map[id.DeviceID]bool{"LAPTOP": true}
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	open := func(p *person) {
		t.Helper()
		ev := p.say("!help", bot)
		for await(t, came) != secret {
		}
		if _, err := d.Open(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	open(newPerson(t, s, carol))
	open(newPersonAt(t, s, alice, "LAPTOP"))
	if _, _, err := d.Seal(t.Context(), secret, "m.room.message", m{}); err != nil {
		t.Fatal(err)
	}
	d.sharer.late.mu.Lock()
	planned := d.sharer.late.list
	d.sharer.late.mu.Unlock()
	if len(planned) != 1 || planned[0].users[0] != alice {
		t.Fatalf("planned: %+v", planned)
	}
	if silent, err := d.sharer.tryLate(t.Context(), planned[0]); !silent || err != nil {
		t.Errorf("a device that is not listed: another try %v, %v", silent, err)
	}
	planned[0].until = time.Now().Add(-time.Second)
	if silent, err := d.sharer.tryLate(t.Context(), planned[0]); silent || err != nil {
		t.Errorf("a device that is not listed in time: another try %v, %v", silent, err)
	}
}

// TestUnlistedAreBounded: of one user, of one server and altogether only so many devices are expected, and for a time.
func TestUnlistedAreBounded(t *testing.T) {
	var n unlistedDevices
	now := time.Unix(0, 0)
	key := func(i int) id.IdentityKey { return id.IdentityKey(fmt.Sprintf("%043d", i)) }
	for i := range 100 {
		n.expect(secret, mallory, key(i), now)
	}
	if len(n.list) != maxUnlistedOfUser {
		t.Errorf("%d of one user", len(n.list))
	}
	for i := range 100 {
		n.expect(secret, id.UserID(fmt.Sprintf("@m%d:evil", i)), key(i), now)
	}
	if len(n.list) != maxUnlistedOfServer {
		t.Errorf("%d of one server", len(n.list))
	}
	for i := range 2 * maxUnlisted {
		n.expect(secret, id.UserID(fmt.Sprintf("@m:evil%d", i)), key(i), now)
	}
	if len(n.list) != maxUnlisted {
		t.Errorf("%d altogether", len(n.list))
	}
	later := now.Add(unlistedTime + 1)
	if found := n.in(secret, later); len(found) > 0 {
		t.Errorf("%d after their time", len(found))
	}
	for range 2 {
		n.expect(secret, alice, key(0), later)
	}
	if len(n.list) != 1 {
		t.Errorf("%d after their time", len(n.list))
	}
}

// TestLookedUpDevice: a device that the look-up of its command's sender finds can read the answer.
func TestLookedUpDevice(t *testing.T) {
	s := newStub(t)
	newPerson(t, s, alice)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.Verify = true })
	if _, _, err := d.Seal(t.Context(), secret, "m.room.message", m{}); err != nil {
		t.Fatal(err)
	}
	laptop := newPersonAt(t, s, alice, "LAPTOP")
	ev := laptop.say("!help", bot)
	await(t, came)
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	_, answer, err := d.Seal(t.Context(), secret, "m.room.message", m{})
	if err == nil {
		_, err = laptop.hear(s, answer)
	}
	if err != nil {
		t.Error(err)
	}
}
