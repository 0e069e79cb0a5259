package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/e2e/harness"
	"usher/e2e/stub"
)

// TestFloodInOneRoom: of a thousand commands at once few run, one notice says so, and neither that room nor others wait.
func TestFloodInOneRoom(t *testing.T) {
	q := newQuick(t, m{"commands.per_minute": 30, "commands.answers_per_minute": 60})
	mallory, alice := "@mallory:"+q.Domain, "@alice:"+q.Domain
	in, elsewhere := q.Room("flooded", mallory, alice), q.Room("quiet", alice)
	q.start()
	for range 1000 {
		q.Say(in, mallory, "!help")
	}
	start := time.Now()
	other, same := q.Say(elsewhere, alice, "!ping"), q.Say(in, alice, "!ping")
	q.await("the answer elsewhere", 20*time.Second, func() bool { _, n := q.answers(elsewhere, other); return n == 1 })
	there := time.Since(start)
	q.await("the answer in the flooded room", 20*time.Second, func() bool { _, n := q.answers(in, same); return n == 1 })
	t.Logf("1,000 commands in one room: Alice is answered after %s elsewhere, after %s there", there, time.Since(start))
	if n := len(q.Events(in, func(e stub.Event) bool { return e.Sender == string(q.Usher.Bot) && e.StateKey == nil })); n > 30+1+2 {
		t.Errorf("%d answers", n)
	}
}

// TestFloodInManyRooms: somebody who says something in a thousand rooms, while the homeserver is slow, does not delay others.
func TestFloodInManyRooms(t *testing.T) {
	q := newQuick(t, nil)
	mallory, alice := "@mallory:"+q.Domain, "@alice:"+q.Domain
	quiet := q.Room("quiet", alice)
	var rooms []string
	for i := range 1000 {
		rooms = append(rooms, q.Room(fmt.Sprint("flooded", i), mallory))
	}
	q.start()
	q.Script(stub.Fault{Latency: 100 * time.Millisecond, Serve: true})
	var last string
	for _, in := range rooms {
		last = q.Say(in, mallory, "!ping")
	}
	start := time.Now()
	said := q.Say(quiet, alice, "!ping")
	q.await("Alice's answer", 30*time.Second, func() bool { _, n := q.answers(quiet, said); return n == 1 })
	took := time.Since(start)
	_, n := q.answers(rooms[len(rooms)-1], last)
	q.Script()
	q.await("the last of the flood", time.Minute, func() bool { _, n := q.answers(rooms[len(rooms)-1], last); return n == 1 })
	t.Logf("1,000 rooms: Alice is answered after %s, the last of the flood after %s", took, time.Since(start))
	if n > 0 {
		t.Error("Alice was served after the whole flood")
	}
}

// TestToDeviceFlood: strangers send the bot's devices messages that can't be opened, requests for keys and withheld notices, as fast as the
// homeserver takes them. Commands in an encrypted room are answered as ever meanwhile.
func TestToDeviceFlood(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, Encrypted: true})
	s.settled(s.owner, s.room)
	var flood sync.WaitGroup
	for range 2 {
		stranger := s.Account("stranger")
		flood.Go(func() {
			for i := range scaled(60, 5000) {
				kind, content := "m.room.encrypted", m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": fmt.Sprint("key", i), "ciphertext": m{"x": m{"type": 0, "body": strings.Repeat("A", 2000)}}}
				switch i % 3 {
				case 1:
					kind, content = "m.room_key_request", m{"action": "request", "requesting_device_id": "D", "request_id": fmt.Sprint(i),
						"body": m{"algorithm": "m.megolm.v1.aes-sha2", "room_id": s.room, "session_id": fmt.Sprint("s", i)}}
				case 2:
					kind, content = "m.room_key.withheld", m{"algorithm": "m.megolm.v1.aes-sha2", "room_id": s.room, "session_id": fmt.Sprint("s", i), "code": "m.unverified"}
				}
				status, _ := stranger.Try("PUT", fmt.Sprintf("/v3/sendToDevice/%s/flood%d", kind, i), m{"messages": m{string(s.Usher.Bot): m{"*": content}}})
				if status != 200 {
					t.Errorf("the homeserver answers %d", status)
					return
				}
			}
		})
	}
	var slowest time.Duration
	for range scaled(3, 25) { // one user may give 30 commands a minute
		start := time.Now()
		s.settled(s.owner, s.room)
		slowest = max(slowest, time.Since(start))
	}
	flood.Wait()
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	t.Logf("the slowest answer took %s", slowest)
	if slowest > 10*time.Second {
		t.Errorf("an answer took %s", slowest)
	}
}
