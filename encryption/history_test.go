package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

const carol id.UserID = "@carol:here"

// openRooms are rooms with a history open to later members.
type openRooms struct{ personRooms }

func (openRooms) GetHistoryVisibility(context.Context, id.RoomID) (*event.HistoryVisibilityEventContent, error) {
	return &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityShared}, nil
}

// sign makes a person's identity, and has it sign their device.
func (p *person) sign() {
	p.t.Helper()
	if _, _, err := p.machine.GenerateAndUploadCrossSigningKeys(p.t.Context(), nil, ""); err != nil {
		p.t.Fatal(err)
	}
	if err := p.machine.SignOwnDevice(p.t.Context(), p.machine.OwnIdentity()); err != nil {
		p.t.Fatal(err)
	}
}

// inherits processes the messages to the person's device, and returns the bundles of keys in them.
func (p *person) inherits() (bundles []*crypto.RoomKeyBundle) {
	p.t.Helper()
	p.machine.OnRoomKeyBundle = func(ctx context.Context, content *event.RoomKeyBundleEventContent) {
		bundle, err := p.machine.DownloadRoomKeyBundle(ctx, content)
		if err != nil {
			p.t.Error(err)
			return
		}
		p.machine.ImportRoomKeyBundle(ctx, &crypto.DecryptedOlmEvent{Sender: bot, Content: event.Content{Parsed: content}}, bundle)
		bundles = append(bundles, bundle)
	}
	resp, err := p.machine.Client.SyncRequest(p.t.Context(), 0, "", "", false, "")
	if err != nil {
		p.t.Fatal(err)
	}
	p.machine.ProcessSyncResponse(p.t.Context(), resp, "")
	return bundles
}

// reads reports by its error whether a person can decrypt an event.
func (p *person) reads(said invites.Received) error {
	sealed, err := parse(said)
	if err == nil {
		_, err = p.machine.DecryptMegolmEvent(p.t.Context(), sealed)
	}
	return err
}

// TestShareHistory: an invited user can read earlier events if their senders agreed, and the bot's. The keys go to signed devices only,
// and not if the history is closed or the option is off.
func TestShareHistory(t *testing.T) {
	s, rooms := newStub(t), &fakeRooms{}
	open, closed := newPerson(t, s, alice), newPerson(t, s, bob)
	open.machine.StateStore = openRooms{}
	invited := newPerson(t, s, carol)
	d, came, _ := newDevice(t, s, rooms, t.TempDir(), func(o *Options) { o.History = true })
	share := func() int {
		t.Helper()
		n, err := d.ShareHistory(t.Context(), secret, []id.UserID{carol})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	early, reserved := open.say("welcome, later ones", bot), closed.say("between us", bot)
	await(t, came)
	for errors.Is(open.botReads(d, reserved), invites.ErrNoKey) {
		await(t, came)
	}
	if _, _, err := d.Seal(t.Context(), secret, "m.room.message", map[string]any{"body": "own"}); err != nil {
		t.Fatal(err)
	}

	if n := share(); n != 0 || len(invited.inherits()) != 0 {
		t.Errorf("%d devices that nobody signed got keys", n)
	}
	invited.sign()
	for _, visibility := range []string{`{"history_visibility":"joined"}`, `{"history_visibility":"invited"}`, `{"history_visibility":7}`} {
		rooms.visibility = visibility
		if n := share(); n != 0 {
			t.Errorf("%s: %d devices got keys", visibility, n)
		}
	}
	rooms.visibility = `{"history_visibility":"shared"}`
	d.o.History = false
	if n := share(); n != 0 {
		t.Errorf("switched off, %d devices got keys", n)
	}
	d.o.History = true
	if invited.reads(early) == nil {
		t.Fatal("it could be read before")
	}
	if n := share(); n != 1 {
		t.Errorf("%d devices got keys", n)
	}
	bundles := invited.inherits()
	if len(bundles) != 1 || len(bundles[0].RoomKeys) != 2 || len(bundles[0].Withheld) != 1 || bundles[0].Withheld[0].Code != notShared {
		t.Fatalf("got %+v", bundles)
	}
	if err := invited.reads(early); err != nil {
		t.Errorf("what may be passed on can't be read: %v", err)
	}
	if err := invited.reads(reserved); !errors.Is(err, crypto.ErrGroupSessionWithheld) {
		t.Errorf("what may not be passed on: %v", err)
	}
	if n, err := d.ShareHistory(t.Context(), plain, []id.UserID{carol}); n != 0 || err != nil {
		t.Errorf("in a plain room: %d, %v", n, err)
	}
}

// TestBundleFormat: matrix-rust-sdk refuses a bundle that lacks a field.
func TestBundleFormat(t *testing.T) {
	if raw, err := json.Marshal(newBundle()); err != nil || string(raw) != `{"room_keys":[],"withheld":[]}` {
		t.Errorf("%s %v", raw, err)
	}
}

// botReads reports by its error whether the bot's device can open an event.
func (p *person) botReads(d *Device, said invites.Received) error {
	_, err := d.Open(p.t.Context(), said)
	return err
}
