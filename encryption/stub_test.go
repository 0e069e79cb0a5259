package encryption

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

type m = map[string]any

// stub is a homeserver for keys only. A token is a user id and a device id with a space between.
type stub struct {
	t      testing.TB
	url    string // of the homeserver, or of a proxy before it
	direct string // of the homeserver

	mu        sync.Mutex
	countless bool // /sync does not say how many one-time keys are left

	arrived  *sync.Cond                      // something is in an inbox
	keys     map[id.UserID]map[id.DeviceID]m // device keys
	oneTime  map[id.UserID]map[id.DeviceID]map[id.KeyID]m
	fallback map[id.UserID]map[id.DeviceID]map[id.KeyID]m
	signing  map[id.UserID]m            // what was uploaded of cross-signing
	data     map[string]json.RawMessage // account data
	inbox    map[string][]m             // by token: messages to the device
	position map[string]int             // by token: how many of them were acknowledged
	devices  int
	files    [][]byte             // what was uploaded
	hidden   map[id.DeviceID]bool // devices left out of answers
	changed  []id.UserID          // the news of devices for the bot's next /sync
	hostile  map[id.UserID]any    // the answer of a hostile server about its users' devices and identities, sent with every query
}

func newStub(t testing.TB) *stub {
	s := &stub{t: t, keys: map[id.UserID]map[id.DeviceID]m{}, oneTime: map[id.UserID]map[id.DeviceID]map[id.KeyID]m{},
		fallback: map[id.UserID]map[id.DeviceID]map[id.KeyID]m{},
		signing:  map[id.UserID]m{}, data: map[string]json.RawMessage{}, inbox: map[string][]m{}, position: map[string]int{}}
	s.arrived = sync.NewCond(&s.mu)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url, s.direct = server.URL, server.URL
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	status, answer := s.answer(r, strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3/"), token, body)
	w.WriteHeader(status)
	if file, is := answer.([]byte); is {
		_, _ = w.Write(file)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *stub) answer(r *http.Request, path, token string, body []byte) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, device, _ := strings.Cut(token, " ")
	switch {
	case path == "login":
		var req struct {
			Device string `json:"device_id"`
		}
		_ = json.Unmarshal(body, &req)
		if req.Device == "" {
			s.devices++
			req.Device = fmt.Sprintf("DEVICE%d", s.devices)
		}
		return 200, m{"user_id": bot, "device_id": req.Device, "access_token": string(bot) + " " + req.Device}
	case path == "keys/upload":
		return 200, s.upload(id.UserID(user), id.DeviceID(device), body)
	case path == "keys/query":
		return 200, s.query(body)
	case path == "keys/claim":
		return 200, s.claim(body)
	case path == "keys/device_signing/upload":
		var keys m
		_ = json.Unmarshal(body, &keys)
		s.signing[id.UserID(user)] = keys
	case path == "keys/signatures/upload":
		s.sign(body)
	case strings.HasSuffix(path, "/media/v3/upload"):
		s.files = append(s.files, body)
		return 200, m{"content_uri": fmt.Sprintf("mxc://here/%d", len(s.files)-1)}
	case strings.Contains(path, "/media/download/"):
		var file int
		_, _ = fmt.Sscan(path[strings.LastIndexByte(path, '/')+1:], &file)
		return 200, s.files[file]
	case strings.HasPrefix(path, "sendToDevice/"):
		var req struct {
			Messages map[string]map[string]json.RawMessage
		}
		_ = json.Unmarshal(body, &req)
		for to, devices := range req.Messages {
			for device, content := range devices {
				s.inbox[to+" "+device] = append(s.inbox[to+" "+device], m{"type": strings.Split(path, "/")[1], "sender": user, "content": content})
			}
		}
		s.arrived.Broadcast()
	case strings.Contains(path, "/account_data/") && r.Method == http.MethodPut:
		s.data[path] = body
	case strings.Contains(path, "/account_data/"):
		if s.data[path] == nil {
			return 404, m{"errcode": "M_NOT_FOUND"}
		}
		return 200, s.data[path]
	case path == "sync":
		return 200, s.sync(r, token)
	}
	return 200, m{}
}

func (s *stub) upload(user id.UserID, device id.DeviceID, body []byte) any {
	var req struct {
		Device  m              `json:"device_keys"`
		OneTime map[id.KeyID]m `json:"one_time_keys"`

		Fallback map[id.KeyID]m `json:"fallback_keys"`
	}
	_ = json.Unmarshal(body, &req)
	if len(req.Fallback) > 0 {
		s.fallback[user] = map[id.DeviceID]map[id.KeyID]m{device: req.Fallback}
	}
	if s.keys[user] == nil {
		s.keys[user], s.oneTime[user] = map[id.DeviceID]m{}, map[id.DeviceID]map[id.KeyID]m{}
	}
	if s.oneTime[user][device] == nil {
		s.oneTime[user][device] = map[id.KeyID]m{}
	}
	if req.Device != nil {
		s.keys[user][device] = req.Device
	}
	for name, key := range req.OneTime {
		s.oneTime[user][device][name] = key
	}
	return m{"one_time_key_counts": m{"signed_curve25519": len(s.oneTime[user][device])}}
}

// sign adds signatures of devices.
func (s *stub) sign(body []byte) {
	var signed map[id.UserID]map[id.DeviceID]struct {
		Signatures map[string]map[string]any `json:"signatures"`
	}
	_ = json.Unmarshal(body, &signed)
	for user, devices := range signed {
		for device, keys := range devices {
			if there, ok := s.keys[user][device]["signatures"].(m); ok {
				for name, signature := range keys.Signatures[string(user)] {
					there[string(user)].(m)[name] = signature
				}
			}
		}
	}
}

func (s *stub) query(body []byte) any {
	var req struct {
		Users map[id.UserID]any `json:"device_keys"`
	}
	_ = json.Unmarshal(body, &req)
	devices, master, self := m{}, m{}, m{}
	for user := range req.Users {
		shown := maps.Clone(s.keys[user])
		maps.DeleteFunc(shown, func(device id.DeviceID, _ m) bool { return s.hidden[device] })
		devices[user.String()] = shown
		if keys := s.signing[user]; keys != nil {
			master[user.String()], self[user.String()] = keys["master_key"], keys["self_signing_key"]
		}
	}
	for user, keys := range s.hostile {
		devices[user.String()], master[user.String()], self[user.String()] = keys, keys, keys
	}
	return m{"device_keys": devices, "master_keys": master, "self_signing_keys": self}
}

func (s *stub) claim(body []byte) any {
	var req struct {
		Users map[id.UserID]map[id.DeviceID]string `json:"one_time_keys"`
	}
	_ = json.Unmarshal(body, &req)
	claimed := map[id.UserID]map[id.DeviceID]m{}
	for user, devices := range req.Users {
		claimed[user] = map[id.DeviceID]m{}
		for device := range devices {
			for name, key := range s.oneTime[user][device] {
				delete(s.oneTime[user][device], name)
				claimed[user][device] = m{string(name): key}
				break
			}
			if claimed[user][device] == nil {
				for name, key := range s.fallback[user][device] {
					claimed[user][device] = m{string(name): key}
				}
			}
		}
	}
	return m{"one_time_keys": claimed}
}

// sync waits for messages to the device, and drops the messages before the given position.
func (s *stub) sync(r *http.Request, token string) any {
	var since int
	_, _ = fmt.Sscan(r.URL.Query().Get("since"), &since)
	s.position[token] = max(s.position[token], since)
	stop := context.AfterFunc(r.Context(), s.arrived.Broadcast)
	defer stop()
	ofBot := strings.HasPrefix(token, string(bot)+" ")
	for r.URL.Query().Get("timeout") != "0" && len(s.inbox[token]) == since && (len(s.changed) == 0 || !ofBot) && r.Context().Err() == nil {
		s.arrived.Wait()
	}
	events := append([]m{}, s.inbox[token][since:]...)
	answer := m{"next_batch": fmt.Sprint(since + len(events)), "to_device": m{"events": events}}
	if ofBot {
		answer["device_lists"] = m{"changed": s.changed}
		s.changed = nil
	}
	if !s.countless {
		answer["device_one_time_keys_count"] = m{"signed_curve25519": 50}
	}
	return answer
}

const (
	bot    id.UserID = "@usher:here"
	alice  id.UserID = "@alice:here"
	bob    id.UserID = "@bob:here"
	secret id.RoomID = "!secret:here"
	plain  id.RoomID = "!plain:here"
)

// fakeRooms are two rooms with all users in them.
type fakeRooms struct {
	mu  sync.Mutex
	err error // the state can't be read
	off bool  // the secret room's event is gone

	visibility string // content of m.room.history_visibility

	also []id.UserID // more members
}

func (f *fakeRooms) Content(_ context.Context, r id.RoomID, eventType string) (json.RawMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if eventType == "m.room.encryption" && r == secret && !f.off {
		return json.RawMessage(`{"algorithm":"m.megolm.v1.aes-sha2"}`), f.err
	}
	if eventType == "m.room.history_visibility" && f.visibility != "" {
		return json.RawMessage(f.visibility), f.err
	}
	return nil, f.err
}

func (f *fakeRooms) Members(_ context.Context, _ id.RoomID, membership string) ([]id.UserID, error) {
	if membership == "join" {
		return append([]id.UserID{bot, alice, bob}, f.also...), nil
	}
	return nil, nil
}

// newDevice starts the bot's device, with its keys in a folder.
func newDevice(t testing.TB, s *stub, rooms *fakeRooms, dir string, change func(*Options)) (d *Device, came chan id.RoomID, stop func()) {
	t.Helper()
	keys, err := store.OpenKeys(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(dir, "keys.db"), MaxOpenConns: 4, MaxIdleConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	came = make(chan id.RoomID, 1000)
	o := Options{Homeserver: s.url, Bot: bot, Token: "as", PickleKey: "pickle", Keys: keys, Rooms: rooms, Log: zerolog.Nop(), Now: time.Now,
		Arrived: func(r id.RoomID) { came <- r }}
	if change != nil {
		change(&o)
	}
	if d, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done; _ = keys.Close() })
	t.Cleanup(stop)
	for !d.CaughtUp() {
		await(t, came)
	}
	return d, came, stop
}

// await waits for a call of Options.Arrived.
func await(t testing.TB, came chan id.RoomID) id.RoomID {
	t.Helper()
	select {
	case r := <-came:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

// person is a user with a device.
type person struct {
	t       testing.TB
	machine *crypto.OlmMachine
	events  int
}

type personRooms struct{ crypto.StateStore }

func (personRooms) GetEncryptionEvent(context.Context, id.RoomID) (*event.EncryptionEventContent, error) {
	return nil, nil
}
func (personRooms) GetHistoryVisibility(context.Context, id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	return nil, nil
}
func (personRooms) FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error) { return nil, nil }

// newPersonDirect is newPerson for a user whose requests do not pass the proxy before the stub.
func newPersonDirect(t testing.TB, s *stub, user id.UserID) *person {
	t.Helper()
	proxy := s.url
	s.url = s.direct
	defer func() { s.url = proxy }()
	return newPerson(t, s, user)
}

func newPerson(t testing.TB, s *stub, user id.UserID) *person {
	t.Helper()
	return newPersonAt(t, s, user, "PHONE")
}

// newPersonAt is newPerson with another device.
func newPersonAt(t testing.TB, s *stub, user id.UserID, device id.DeviceID) *person {
	t.Helper()
	client, err := mautrix.NewClient(s.url, user, string(user)+" "+string(device))
	if err != nil {
		t.Fatal(err)
	}
	client.DeviceID = device
	p := &person{t: t, machine: crypto.NewOlmMachine(client, nil, crypto.NewMemoryStore(nil), personRooms{})}
	if err := p.machine.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.machine.ShareKeys(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	return p
}

// say encrypts a text for a room, with the key given to users.
func (p *person) say(text string, to ...id.UserID) invites.Received {
	p.t.Helper()
	ctx := p.t.Context()
	if len(to) > 0 {
		_ = p.machine.CryptoStore.RemoveOutboundGroupSession(ctx, secret)
		_, err := p.machine.FetchKeys(ctx, to, true)
		if err == nil {
			err = p.machine.ShareGroupSession(ctx, secret, to)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	sealed, err := p.machine.EncryptMegolmEvent(ctx, secret, event.EventMessage, map[string]any{"msgtype": "m.text", "body": text})
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"content": sealed})
	if err != nil {
		p.t.Fatal(err)
	}
	p.events++
	return invites.Received{Event: id.EventID(fmt.Sprintf("$%s%d", p.machine.Client.UserID, p.events)), Room: secret, Sender: p.machine.Client.UserID,
		Type: "m.room.encrypted", Raw: raw, SentAt: time.UnixMilli(1)}
}

// hear processes the messages to the person's device, and decrypts an event of the bot.
func (p *person) hear(s *stub, sealed any) (*event.Event, error) {
	p.t.Helper()
	sync, err := p.machine.Client.FullSyncRequest(p.t.Context(), mautrix.ReqSync{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.machine.ProcessSyncResponse(p.t.Context(), sync, "")
	ev := &event.Event{ID: "$bot", RoomID: secret, Sender: bot, Type: event.EventEncrypted}
	raw, _ := json.Marshal(sealed)
	if err := json.Unmarshal(raw, &ev.Content); err != nil {
		p.t.Fatal(err)
	}
	if err := ev.Content.ParseRaw(ev.Type); err != nil {
		p.t.Fatal(err)
	}
	return p.machine.DecryptMegolmEvent(p.t.Context(), ev)
}

// text is the body in an opened event.
func text(ev invites.Received) string {
	var e struct{ Content struct{ Body string } }
	_ = json.Unmarshal(ev.Raw, &e)
	return e.Content.Body
}

// slowFor puts a proxy before the stub that answers requests about a user's keys only once release is closed, as a homeserver does whose
// peer does not answer. It counts these requests.
func slowFor(t *testing.T, s *stub, path, user string) (asked *atomic.Int64, release func()) {
	asked, released := new(atomic.Int64), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, path) && strings.Contains(string(body), user) {
			asked.Add(1)
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return asked, func() { close(released) }
}

// settled waits until the device has processed all messages in its inbox.
func (s *stub) settled(t *testing.T, d *Device) {
	t.Helper()
	token := string(bot) + " " + string(d.session.fetch.client.DeviceID)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		done := s.position[token] == len(s.inbox[token])
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatal("messages to the device are not processed")
		}
	}
}
