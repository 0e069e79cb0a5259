package encryption

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/store/pgtest"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

const mallory id.UserID = "@mallory:evil"

// garbage is an Olm message that can't be decrypted, under a new key.
func garbage(d *Device, sender id.UserID) m {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	text := base64.RawStdEncoding.EncodeToString(key)
	return m{"type": "m.room.encrypted", "sender": sender, "content": m{"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": text,
		"ciphertext": m{d.session.identity.String(): m{"type": 1, "body": text}}}}
}

// count returns the rows of a table of keys.
func count(t *testing.T, d *Device, table string) (n int) {
	t.Helper()
	if err := d.o.Keys.DB.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKeyRequestsOfStrangers: a stranger asks the device for keys, and the stranger's server does not answer. Nobody asks it, and events
// are read.
func TestKeyRequestsOfStrangers(t *testing.T) {
	s := newStub(t)
	asked, _ := slowFor(t, s, "/keys/query", string(mallory))
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	ev := a.say("hello", bot)
	await(t, came)
	var list []m
	for i := range 100 {
		list = append(list, m{"type": "m.room_key_request", "sender": mallory, "content": m{"action": "request", "request_id": fmt.Sprint(i),
			"requesting_device_id": fmt.Sprintf("D%d", i), "body": m{"algorithm": "m.megolm.v1.aes-sha2", "room_id": secret, "session_id": "x", "sender_key": "y"}}})
	}
	s.put(list...)
	s.settled(t, d)
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the stranger's server was asked %d times", n)
	}
}

// TestGarbageOfStrangers: messages that can't be decrypted cost neither goroutines nor requests nor rows, and members are served.
func TestGarbageOfStrangers(t *testing.T) {
	s := newStub(t)
	asked, _ := slowFor(t, s, "/keys/query", "evil")
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	a.say("first", bot)
	await(t, came)
	before := runtime.NumGoroutine()
	const strangers, each = 400, 20
	var list []m
	for i := range strangers {
		for range each {
			list = append(list, garbage(d, id.UserID(fmt.Sprintf("@m%d:evil%d", i, i%40))))
		}
	}
	s.put(list...)
	most := 0
	for range 20 {
		most = max(most, runtime.NumGoroutine()-before)
		time.Sleep(20 * time.Millisecond)
	}
	ev := a.say("in between", bot)
	for await(t, came) != secret {
	}
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "in between" {
		t.Errorf("a member's event is not read: %v", err)
	}
	s.settled(t, d)
	time.Sleep(50 * time.Millisecond)
	after := runtime.NumGoroutine() - before
	t.Logf("%d garbled messages of %d strangers: %d more goroutines at most, %d at the end, %d requests, %d failures, %d buckets",
		len(list), strangers, most, after, asked.Load(), d.session.failures, len(d.intake.senders.buckets))
	if most > 100 || after > 20 {
		t.Error("goroutines grow with messages of strangers")
	}
	if asked.Load() > 0 {
		t.Error("strangers' servers are asked")
	}
	if d.session.failures > int(rateStrangers.burst)+10 {
		t.Errorf("%d messages of strangers were taken in", d.session.failures)
	}
	if n := count(t, d, "crypto_olm_session"); n > 3 {
		t.Errorf("%d Olm sessions", n)
	}
}

// TestMachineIsRenewed: the library remembers each sender of an undecryptable message for good, so its machine is made anew.
func TestMachineIsRenewed(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	a.say("first", bot)
	await(t, came)
	old := d.session.machine
	d.session.failures = maxFailures - 1
	s.put(garbage(d, mallory))
	s.settled(t, d)
	if d.session.machine == old {
		t.Error("the machine is the same")
	}
	ev := a.say("after that", bot)
	for await(t, came) != secret {
	}
	if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "after that" {
		t.Errorf("got %q, %v", text(opened), err)
	}
	_, sealed, err := d.Seal(t.Context(), secret, "m.room.message", m{"body": "x"})
	if err == nil {
		_, err = a.hear(s, sealed)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestWithheldNotices: a notice that a key is withheld is kept from members only, for encrypted rooms only, with a short reason, and
// only so many.
func TestWithheldNotices(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	ev := a.say("first", bot)
	await(t, came)
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Seal(t.Context(), secret, "m.room.message", m{}); err != nil {
		t.Fatal(err)
	}
	notices := func(sender id.UserID, r string) {
		var list []m
		for i := range 150 {
			list = append(list, m{"type": "m.room_key.withheld", "sender": sender, "content": m{"algorithm": "m.megolm.v1.aes-sha2", "code": "m.unverified",
				"room_id": r, "session_id": fmt.Sprintf("%043d", i), "sender_key": "k", "reason": strings.Repeat("é", 10_000)}})
		}
		s.put(list...)
		s.settled(t, d)
	}
	const withheld = `crypto_megolm_inbound_session WHERE withheld_code IS NOT NULL`
	notices(mallory, string(secret))
	notices(alice, "!any:evil")
	if n := count(t, d, withheld); n != 0 {
		t.Errorf("%d notices of a stranger, or for an unknown room", n)
	}
	notices(alice, string(secret))
	if n := count(t, d, withheld); n != strayLimits["withheld"].Sender {
		t.Errorf("%d notices of one member", n)
	}
	if n := count(t, d, withheld+` AND length(withheld_reason) > 200`); n != 0 {
		t.Errorf("%d long reasons", n)
	}
	if err := d.session.keys.dropStrays(t.Context(), time.Now().Add(8*24*time.Hour)); err != nil || count(t, d, withheld) != 0 {
		t.Errorf("old notices stay: %v", err)
	}
}

// TestKeysOfStrangers: keys and Olm sessions of users who share no room with the bot are bounded, and go after a time. Keys of a member
// whose event was read stay.
func TestKeysOfStrangers(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testKeysOfStrangers(t, nil) })
	t.Run("postgres", func(t *testing.T) {
		pg, err := pgtest.Start()
		pgtest.Need(t, err)
		t.Cleanup(func() { _ = pg.Stop() })
		testKeysOfStrangers(t, onPostgres(t, pg.Database(t)))
	})
}

func testKeysOfStrangers(t *testing.T, change func(*Options)) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), change)
	member := newPerson(t, s, alice)
	ev := member.say("hello", bot)
	await(t, came)
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	kept := count(t, d, "crypto_megolm_inbound_session")
	evil := newPerson(t, s, mallory)
	devices, err := evil.machine.FetchKeys(t.Context(), []id.UserID{bot}, true)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 25
	for i := range keys {
		session, err := crypto.NewOutboundGroupSession(id.RoomID(fmt.Sprintf("!lair%d:evil", i)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, device := range devices[bot] {
			if err := evil.machine.SendEncryptedToDevice(t.Context(), device, event.ToDeviceRoomKey, session.ShareContent()); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.settled(t, d)
	if n := count(t, d, "crypto_megolm_inbound_session") - kept; n != strayLimits["key"].Sender {
		t.Errorf("%d of %d keys of a stranger are kept", n, keys)
	}
	if n := count(t, d, "usher_stray"); n > strayLimits["key"].Sender+strayLimits["olm"].Sender {
		t.Errorf("%d rows of strangers", n)
	}
	if err := d.session.keys.dropStrays(t.Context(), time.Now().Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "crypto_megolm_inbound_session"); n != kept {
		t.Errorf("%d keys stay, of a member there are %d", n, kept)
	}
	if n := count(t, d, "crypto_olm_session"); n != 1 {
		t.Errorf("%d Olm sessions stay", n)
	}
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Errorf("the member's event can't be read any more: %v", err)
	}
}

// TestOneTimeKeysClaimed: whoever claims all one-time keys keeps nobody from the device: there is a fallback key.
func TestOneTimeKeysClaimed(t *testing.T) {
	s := newStub(t)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	s.mu.Lock()
	clear(s.oneTime[bot][d.session.fetch.client.DeviceID])
	fallbacks := len(s.fallback[bot][d.session.fetch.client.DeviceID])
	s.mu.Unlock()
	if fallbacks != 1 {
		t.Fatalf("%d fallback keys", fallbacks)
	}
	for _, user := range []id.UserID{alice, bob} {
		ev := newPerson(t, s, user).say("hello", bot)
		for await(t, came) != secret {
		}
		if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "hello" {
			t.Errorf("%s: got %q, %v", user, text(opened), err)
		}
	}
}

// TestOneTimeKeysStay: an answer of /sync without the number of one-time keys does not have the account make keys until it forgets the
// first ones.
func TestOneTimeKeysStay(t *testing.T) {
	s := newStub(t)
	s.countless = true
	var late atomic.Int64
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	device := d.session.fetch.client.DeviceID
	a := newPerson(t, s, alice)
	for range 5 {
		late.Add(int64(2 * refillPause))
		ev := a.say("hello", bot)
		for await(t, came) != secret {
		}
		if _, err := d.Open(t.Context(), ev); err != nil {
			t.Error(err)
		}
	}
	s.mu.Lock()
	n := len(s.oneTime[bot][device])
	s.mu.Unlock()
	if n < minOneTimeKeys-1 || n > minOneTimeKeys+1 {
		t.Errorf("%d one-time keys", n)
	}
	late.Add(int64(2 * refillPause))
	s.mu.Lock()
	for name := range s.oneTime[bot][device] {
		if len(s.oneTime[bot][device]) > 10 {
			delete(s.oneTime[bot][device], name) // claimed
		}
	}
	s.mu.Unlock()
	s.put(garbage(d, mallory))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.oneTime[bot][device])
		s.mu.Unlock()
		if n == minOneTimeKeys {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%d one-time keys after a refill", n)
		}
	}
}

// TestOlmSessionIsRepaired: a member whose Olm message can't be decrypted gets a message by a new Olm session. The repair costs one claim
// an hour, and nobody else waits for it.
func TestOlmSessionIsRepaired(t *testing.T) {
	s := newStub(t)
	asked, release := slowFor(t, s, "/keys/claim", string(alice))
	release()
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), nil)
	a := newPerson(t, s, alice)
	ev := a.say("hello", bot)
	await(t, came)
	if _, err := d.Open(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Seal(t.Context(), secret, "m.room.message", m{}); err != nil {
		t.Fatal(err)
	}
	before := asked.Load()
	broken := garbage(d, alice)
	broken["content"].(m)["sender_key"] = a.machine.OwnIdentity().IdentityKey
	for range 20 {
		next := garbage(d, alice)
		broken["content"].(m)["ciphertext"] = next["content"].(m)["ciphertext"]
		s.put(m{"type": broken["type"], "sender": alice, "content": m{"algorithm": "m.olm.v1.curve25519-aes-sha2",
			"sender_key": a.machine.OwnIdentity().IdentityKey, "ciphertext": next["content"].(m)["ciphertext"]}})
	}
	s.settled(t, d)
	for end := time.Now().Add(10 * time.Second); asked.Load() == before && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	time.Sleep(100 * time.Millisecond)
	if n := asked.Load() - before; n != 1 {
		t.Errorf("%d keys claimed for one device", n)
	}
}
