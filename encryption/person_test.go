package encryption

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// person is somebody with a device.
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

func newPerson(t testing.TB, s *stub, user id.UserID) *person {
	t.Helper()
	client, err := mautrix.NewClient(s.url, user, string(user)+" PHONE")
	if err != nil {
		t.Fatal(err)
	}
	client.DeviceID = "PHONE"
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

// hear takes in what was sent to the person's device, and decrypts an event of the bot's.
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
