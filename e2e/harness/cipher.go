package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// cipher is an account's device in encrypted rooms, with its keys in memory.
type cipher struct {
	client  *mautrix.Client
	machine *crypto.OlmMachine
	rooms   map[id.RoomID]bool // encrypted rooms
	hands   bool               // its keys may be passed on to newcomers
	bundles []id.RoomID        // of which keys of the past came
}

// Encrypted makes the account's client one that encrypts in encrypted rooms, and reads what is encrypted for it.
func (a *Account) Encrypted() *Account {
	a.t.Helper()
	if a.cipher != nil {
		return a
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	c := &cipher{client: a.Client, rooms: map[id.RoomID]bool{}}
	c.machine = crypto.NewOlmMachine(a.Client, nil, crypto.NewMemoryStore(nil), cipherRooms{c})
	err := c.machine.Load(ctx)
	if err == nil {
		err = c.machine.ShareKeys(ctx, -1)
	}
	if err == nil {
		_, _, err = c.machine.GenerateAndUploadCrossSigningKeysWithPassword(ctx, a.Password, "")
	}
	if err == nil {
		err = c.machine.SignOwnDevice(ctx, c.machine.OwnIdentity())
	}
	if err != nil {
		a.t.Fatalf("%s: setting encryption up: %v", a.ID, err)
	}
	a.cipher = c
	return a
}

// OpenHistory makes the account agree that its keys are passed on to newcomers, and take keys that are passed on to it (MSC4268).
func (a *Account) OpenHistory() *Account {
	c := a.cipher
	c.hands = true
	c.machine.OnRoomKeyBundle = func(ctx context.Context, content *event.RoomKeyBundleEventContent) {
		bundle, err := c.machine.DownloadRoomKeyBundle(ctx, content)
		if err != nil {
			a.t.Logf("%s: keys of the past of %s: %v", a.ID, content.RoomID, err)
			return
		}
		c.machine.ImportRoomKeyBundle(ctx, &crypto.DecryptedOlmEvent{Content: event.Content{Parsed: content}}, bundle)
		c.bundles = append(c.bundles, content.RoomID)
	}
	return a
}

// AwaitBundle waits for the keys of a room's past.
func (a *Account) AwaitBundle(room id.RoomID) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), a.Patience)
	defer cancel()
	for !slices.Contains(a.cipher.bundles, room) {
		if err := a.sync(ctx); err != nil {
			a.t.Fatalf("%s waited for the keys of %s: %v", a.ID, room, err)
		}
	}
}

// Machine is the account's device, for what tests want to know or spoil.
func (a *Account) Machine() *crypto.OlmMachine { return a.cipher.machine }

// EncryptRoom turns encryption on in a room.
func (a *Account) EncryptRoom(room id.RoomID) {
	a.t.Helper()
	a.SetState(room, "m.room.encryption", "", map[string]any{"algorithm": "m.megolm.v1.aes-sha2"})
}

// encrypted tells whether a room is.
func (c *cipher) encrypted(ctx context.Context, room id.RoomID) bool {
	if !c.rooms[room] {
		var content event.EncryptionEventContent
		c.rooms[room] = c.client.StateEvent(ctx, room, event.StateEncryption, "", &content) == nil
	}
	return c.rooms[room]
}

// Rekey makes the account use a new session for what it says next in a room.
func (a *Account) Rekey(room id.RoomID) {
	a.t.Helper()
	if err := a.cipher.machine.CryptoStore.RemoveOutboundGroupSession(a.t.Context(), room); err != nil {
		a.t.Fatalf("%s: %v", a.ID, err)
	}
}

// SayBeforeKey says something in an encrypted room with a new session whose key nobody gets, until deliver gives it to a user.
func (a *Account) SayBeforeKey(room id.RoomID, text string) (said id.EventID, deliver func(id.UserID)) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	c := a.cipher
	a.Rekey(room)
	if err := c.machine.ShareGroupSession(ctx, room, nil); err != nil {
		a.t.Fatalf("%s: %v", a.ID, err)
	}
	session, err := c.machine.CryptoStore.GetOutboundGroupSession(ctx, room)
	if err != nil {
		a.t.Fatalf("%s: %v", a.ID, err)
	}
	key := session.ShareContent() // before it moves on
	said = a.Say(room, text)
	a.Rekey(room)
	return said, func(to id.UserID) {
		a.t.Helper()
		if err := c.give(a.t.Context(), to, key); err != nil {
			a.t.Fatalf("%s: giving a key to %s: %v", a.ID, to, err)
		}
	}
}

// ReactSecretly reacts to an event by an encrypted reaction, and returns its id. How it relates to others stands outside, as the
// specification has it, unless it is to be hidden too, as MSC4392 has it.
func (a *Account) ReactSecretly(room id.RoomID, on id.EventID, key string, hidden bool) id.EventID {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	a.cipher.machine.MSC4392Relations = hidden
	content := &event.ReactionEventContent{RelatesTo: event.RelatesTo{Type: event.RelAnnotation, EventID: on, Key: key}}
	sealed, err := a.cipher.seal(ctx, room, event.EventReaction, content)
	if err != nil {
		a.t.Fatalf("%s: encrypting for %s: %v", a.ID, room, err)
	}
	sent, err := a.Client.SendMessageEvent(ctx, room, event.EventEncrypted, sealed)
	if err != nil {
		a.t.Fatalf("%s: reacting in %s: %v", a.ID, room, err)
	}
	return sent.EventID
}

// give sends a key to all devices of a user, as older clients do: without the sender's own device keys in it, so that the
// receiver has to ask the homeserver for them.
func (c *cipher) give(ctx context.Context, to id.UserID, key event.Content) error {
	found, err := c.machine.FetchKeys(ctx, []id.UserID{to}, true)
	if err != nil {
		return err
	}
	messages := map[id.DeviceID]*event.Content{}
	for _, device := range found[to] {
		// A message of no meaning makes sure of a session between the two.
		if err := c.machine.SendEncryptedToDevice(ctx, device, event.ToDeviceDummy, event.Content{}); err != nil && !c.machine.CryptoStore.HasSession(ctx, device.IdentityKey) {
			return err
		}
		content, err := c.bare(ctx, device, key)
		if err != nil {
			return err
		}
		messages[device.DeviceID] = &event.Content{Parsed: content}
	}
	_, err = c.client.SendToDevice(ctx, event.ToDeviceEncrypted, &mautrix.ReqSendToDevice{Messages: map[id.UserID]map[id.DeviceID]*event.Content{to: messages}})
	return err
}

// bare encrypts a key for a device.
func (c *cipher) bare(ctx context.Context, device *id.Device, key event.Content) (*event.EncryptedEventContent, error) {
	session, err := c.machine.CryptoStore.GetLatestSession(ctx, device.IdentityKey)
	if err != nil {
		return nil, err
	}
	own := c.machine.OwnIdentity()
	text, err := json.Marshal(map[string]any{
		"type": "m.room_key", "content": &key, "sender": own.UserID, "recipient": device.UserID,
		"keys": map[string]any{"ed25519": own.SigningKey}, "recipient_keys": map[string]any{"ed25519": device.SigningKey},
	})
	if err != nil {
		return nil, err
	}
	kind, body, err := session.Encrypt(text)
	if err != nil {
		return nil, err
	}
	return &event.EncryptedEventContent{
		Algorithm: id.AlgorithmOlmV1, SenderKey: own.IdentityKey,
		OlmCiphertext: event.OlmCiphertexts{device.IdentityKey: {Type: kind, Body: string(body)}},
	}, c.machine.CryptoStore.UpdateSession(ctx, device.IdentityKey, session)
}

// seal encrypts, and shares the key with all members first where that has not been done.
func (c *cipher) seal(ctx context.Context, room id.RoomID, kind event.Type, content any) (any, error) {
	session, err := c.machine.CryptoStore.GetOutboundGroupSession(ctx, room)
	if err != nil {
		return nil, err
	}
	if session == nil || session.Expired() {
		if err := c.share(ctx, room); err != nil {
			return nil, err
		}
	}
	return c.machine.EncryptMegolmEvent(ctx, room, kind, content)
}

func (c *cipher) share(ctx context.Context, room id.RoomID) error {
	answer, err := Caller{URL: c.client.HomeserverURL.String(), Token: c.client.AccessToken}.Do(ctx, http.MethodGet,
		"/_matrix/client/v3/rooms/"+url.PathEscape(string(room))+"/joined_members", nil)
	if err != nil {
		return err
	}
	var members struct {
		Joined map[id.UserID]json.RawMessage `json:"joined"`
	}
	if err := json.Unmarshal(answer.Body, &members); err != nil {
		return err
	}
	var users []id.UserID
	for user := range members.Joined {
		users = append(users, user)
	}
	if _, err := c.machine.FetchKeys(ctx, users, true); err != nil {
		return err
	}
	return c.machine.ShareGroupSession(ctx, room, users)
}

// take processes the keys in an answer of /sync.
func (c *cipher) take(ctx context.Context, body []byte) error {
	var sync mautrix.RespSync
	if err := json.Unmarshal(body, &sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	c.machine.ProcessSyncResponse(ctx, &sync, "")
	return nil
}

// open decrypts an event in place, where it can.
func (c *cipher) open(ctx context.Context, e *Event) {
	if e.Type == "m.room.encryption" && e.Is("") {
		c.rooms[id.RoomID(e.Room)] = true
	}
	if e.Type != "m.room.encrypted" {
		return
	}
	sealed := &event.Event{ID: id.EventID(e.ID), RoomID: id.RoomID(e.Room), Sender: id.UserID(e.Sender), Type: event.EventEncrypted}
	if json.Unmarshal(e.Content, &sealed.Content) != nil || sealed.Content.ParseRaw(sealed.Type) != nil {
		return
	}
	opened, err := c.machine.DecryptMegolmEvent(ctx, sealed)
	if err != nil {
		return
	}
	e.Type, e.Content = opened.Type.Type, opened.Content.VeryRaw
}

// cipherRooms shows the rooms to the library.
type cipherRooms struct{ *cipher }

var _ crypto.StateStore = cipherRooms{}

// IsEncrypted implements crypto.StateStore.
func (c cipherRooms) IsEncrypted(_ context.Context, room id.RoomID) (bool, error) {
	return c.rooms[room], nil
}

// GetEncryptionEvent implements crypto.StateStore.
func (c cipherRooms) GetEncryptionEvent(context.Context, id.RoomID) (*event.EncryptionEventContent, error) {
	return &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}, nil
}

// GetHistoryVisibility implements crypto.StateStore.
func (c cipherRooms) GetHistoryVisibility(context.Context, id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	if c.hands {
		return &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityShared}, nil
	}
	return nil, nil
}

// FindSharedRooms implements crypto.StateStore: any, which costs no more than a new session.
func (c cipherRooms) FindSharedRooms(context.Context, id.UserID) ([]id.RoomID, error) {
	var list []id.RoomID
	for room := range c.rooms {
		list = append(list, room)
	}
	return list, nil
}

// Again logs the account in once more, as a further device, which encrypts as well.
func (a *Account) Again() *Account {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), Patience)
	defer cancel()
	client, err := mautrix.NewClient(a.Client.HomeserverURL.String(), "", "")
	if err == nil {
		_, err = client.Login(ctx, &mautrix.ReqLogin{
			Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: a.ID.String()},
			Password: a.Password, StoreCredentials: true,
		})
	}
	if err != nil {
		a.t.Fatalf("%s: logging in again: %v", a.ID, err)
	}
	b := &Account{ID: a.ID, Password: a.Password, Client: client, Patience: a.Patience, t: a.t, inbox: map[id.RoomID]bool{}, known: map[string]bool{}}
	b.cipher = &cipher{client: client, rooms: map[id.RoomID]bool{}}
	b.cipher.machine = crypto.NewOlmMachine(client, nil, crypto.NewMemoryStore(nil), cipherRooms{b.cipher})
	if err = b.cipher.machine.Load(ctx); err == nil {
		err = b.cipher.machine.ShareKeys(ctx, -1)
	}
	if err != nil {
		a.t.Fatalf("%s: setting encryption up: %v", a.ID, err)
	}
	return b
}
