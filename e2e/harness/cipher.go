package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

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
}

// Encrypted makes the account's client one that encrypts in encrypted rooms, and reads what is encrypted for it.
func (a *Account) Encrypted() *Account {
	a.t.Helper()
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
