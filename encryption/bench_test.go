package encryption

import (
	"testing"

	"usher/invites"
)

// BenchmarkOpen opens new messages, like the chat of an encrypted room: one durable write each.
func BenchmarkOpen(b *testing.B) {
	s := newStub(b)
	d, came, _ := newDevice(b, s, &fakeRooms{}, b.TempDir(), nil)
	a := newPerson(b, s, alice)
	events := []invites.Received{a.say("x", bot)}
	await(b, came)
	for range min(b.N, 95) {
		events = append(events, a.say("x"))
	}
	b.ResetTimer()
	for i := range b.N {
		if i%95 == 94 {
			b.StopTimer()
			events = []invites.Received{a.say("x", bot)}
			await(b, came)
			for range 94 {
				events = append(events, a.say("x"))
			}
			b.StartTimer()
		}
		if _, err := d.Open(b.Context(), events[i%95]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal encrypts for a room with all keys shared.
func BenchmarkSeal(b *testing.B) {
	s := newStub(b)
	newPerson(b, s, alice)
	d, _, _ := newDevice(b, s, &fakeRooms{}, b.TempDir(), nil)
	for range b.N {
		if _, _, err := d.Seal(b.Context(), secret, "m.room.message", map[string]any{"msgtype": "m.notice", "body": "Pong!"}); err != nil {
			b.Fatal(err)
		}
	}
}
