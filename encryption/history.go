package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// notShared is the code of keys whose makers did not agree to have them passed on.
const notShared event.RoomKeyWithheldCode = "m.history_not_shared"

// ShareHistory gives people whom the bot has invited to a room the keys to what was said there, as far as those who said it agreed
// and the room's history is open to newcomers (MSC4268). It returns to how many devices. Those get them that their owners have
// signed, by the identity that the bot knew first. Nothing is done where Options.History is off.
func (d *Device) ShareHistory(ctx context.Context, r id.RoomID, users []id.UserID) (devices int, err error) {
	settings, err := d.settings(ctx, r)
	if err != nil || settings == nil || !d.o.History {
		return 0, err
	}
	open, err := d.historyOpen(ctx, r)
	if err != nil || !open {
		return 0, err
	}
	d.mu.Lock()
	machine := d.machine
	d.mu.Unlock()
	if machine == nil {
		return 0, ErrNotReady
	}
	found, err := machine.FetchKeys(ctx, users, true)
	if err != nil {
		return 0, fmt.Errorf("their devices: %w", cause(err))
	}
	heirs, keys, err := d.inheritance(ctx, r, found)
	if err != nil || len(heirs) == 0 || len(keys.Keys) == 0 {
		return 0, err
	}
	content, err := upload(ctx, machine, r, keys)
	if err != nil {
		return 0, fmt.Errorf("uploading keys: %w", cause(err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.machine != machine {
		return 0, ErrNotReady
	}
	ctx, done := d.within(ctx)
	defer done()
	_ = d.keys.took()
	for _, heir := range heirs {
		// One that gets nothing, for it has no one-time keys left, is no reason to leave out the others.
		if failed := machine.SendEncryptedToDevice(ctx, heir, event.ToDeviceRoomKeyBundle, event.Content{Parsed: content}); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s of %s: %w", heir.DeviceID, heir.UserID, cause(failed)))
			continue
		}
		devices++
	}
	return devices, errors.Join(err, d.keys.took())
}

// historyOpen tells whether people who come later may see what was said before. What is not understood is not open here, though it
// is to the specification, and to the library.
func (d *Device) historyOpen(ctx context.Context, r id.RoomID) (bool, error) {
	raw, err := d.o.Rooms.Content(ctx, r, "m.room.history_visibility")
	if err != nil || raw == nil {
		return err == nil, err // without one it is
	}
	visibility := exactjson.Text(raw, "history_visibility")
	return visibility == string(event.HistoryVisibilityShared) || visibility == string(event.HistoryVisibilityWorldReadable), nil
}

// inheritance picks the devices that may get the keys of a room, and puts the keys together.
func (d *Device) inheritance(ctx context.Context, r id.RoomID, found map[id.UserID]map[id.DeviceID]*id.Device) (heirs []*id.Device, keys *bundle, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.machine == nil {
		return nil, nil, ErrNotReady
	}
	for user, devices := range found {
		for _, device := range devices {
			trust, err := d.machine.ResolveTrustContext(ctx, device)
			if err != nil {
				return nil, nil, err
			}
			if user != d.o.Bot && trust >= id.TrustStateCrossSignedTOFU {
				heirs = append(heirs, device)
			}
		}
	}
	if len(heirs) == 0 {
		return nil, nil, nil
	}
	keys = newBundle()
	return heirs, keys, d.keys.GetGroupSessionsForRoom(ctx, r).Iter(func(s *crypto.InboundGroupSession) (bool, error) {
		return true, keys.add(s)
	})
}

// bundle is what is passed on. Unlike the library's, it has its fields even where they are empty: matrix-rust-sdk takes no other.
type bundle struct {
	Keys     []*crypto.ExportedSession            `json:"room_keys"`
	Withheld []*event.RoomKeyWithheldEventContent `json:"withheld"`
}

func newBundle() *bundle {
	return &bundle{Keys: []*crypto.ExportedSession{}, Withheld: []*event.RoomKeyWithheldEventContent{}}
}

// add puts a key into a bundle, or says there that it is not to be had. Only what came from its maker is passed on.
func (b *bundle) add(s *crypto.InboundGroupSession) error {
	if s.SharedHistory == nil || !*s.SharedHistory || s.KeySource != id.KeySourceDirect || len(s.ForwardingChains) > 0 {
		b.Withheld = append(b.Withheld, &event.RoomKeyWithheldEventContent{
			RoomID: s.RoomID, Algorithm: id.AlgorithmMegolmV1, SessionID: s.ID(), SenderKey: s.SenderKey, Code: notShared, Reason: "History not shared",
		})
		return nil
	}
	key, err := s.Internal.Export(s.Internal.FirstKnownIndex())
	if err != nil {
		return err
	}
	b.Keys = append(b.Keys, &crypto.ExportedSession{
		Algorithm: id.AlgorithmMegolmV1, RoomID: s.RoomID, SenderKey: s.SenderKey, SenderClaimedKeys: crypto.SenderClaimedKeys{Ed25519: s.SigningKey},
		SessionID: s.ID(), SessionKey: string(key),
	})
	return nil
}

// upload encrypts a bundle as a file and uploads it.
func upload(ctx context.Context, machine *crypto.OlmMachine, r id.RoomID, keys *bundle) (*event.RoomKeyBundleEventContent, error) {
	data, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	file := attachment.NewEncryptedFile()
	file.EncryptInPlace(data)
	resp, err := machine.Client.UploadBytes(ctx, data, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	return &event.RoomKeyBundleEventContent{RoomID: r, File: event.EncryptedFileInfo{EncryptedFile: *file, URL: resp.ContentURI.CUString()}}, nil
}
