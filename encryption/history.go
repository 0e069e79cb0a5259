package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// notShared is the code of keys not meant for sharing by their senders.
const notShared event.RoomKeyWithheldCode = "m.history_not_shared"

// ShareHistory sends invited users the keys of earlier events of a room, as far as the senders of these events agreed and the room's
// history is open to later members (MSC4268). It returns the number of devices with the keys: devices signed by the first identity
// of their owner known to the bot. It does nothing if Options.History is off.
func (d *Device) ShareHistory(ctx context.Context, r id.RoomID, users []id.UserID) (devices int, err error) {
	settings, err := d.rooms.settings(ctx, r)
	if err != nil || settings == nil || !d.o.History {
		return 0, err
	}
	open, err := d.rooms.historyOpen(ctx, r)
	if err != nil || !open {
		return 0, err
	}
	s, err := d.currentSession(ctx)
	if err != nil {
		return 0, err
	}
	users = slices.DeleteFunc(slices.Clone(users), func(user id.UserID) bool { return user == d.o.Bot })
	found, _, err := s.fetch.devices(ctx, users, lateTime)
	if err != nil {
		return 0, fmt.Errorf("fetching devices: %w", cause(err))
	}
	if err := d.sharer.saveDevices(ctx, "", users, found); err != nil {
		return 0, err
	}
	recipients, keys, err := d.historyKeys(ctx, r, users)
	if err != nil || len(recipients) == 0 || len(keys.Keys) == 0 {
		return 0, err
	}
	content, err := upload(ctx, s.fetch.client, r, keys)
	if err != nil {
		return 0, fmt.Errorf("uploading keys: %w", cause(err))
	}
	return d.sendHistory(ctx, r, recipients, content)
}

// historyKeys returns the devices allowed to get the keys of a room, and the keys.
func (d *Device) historyKeys(ctx context.Context, r id.RoomID, users []id.UserID) (recipients []*id.Device, keys *bundle, err error) {
	keys = newBundle()
	err = d.step(ctx, &offline{room: r}, func(ctx context.Context, s *session) error {
		for _, user := range users {
			devices, err := s.keys.GetDevices(ctx, user)
			if err != nil {
				return err
			}
			for _, device := range devices {
				trust, err := s.machine.ResolveTrustContext(ctx, device)
				if err != nil {
					return err
				}
				if trust >= id.TrustStateCrossSignedTOFU {
					recipients = append(recipients, device)
				}
			}
		}
		if len(recipients) == 0 {
			return nil
		}
		return s.keys.GetGroupSessionsForRoom(ctx, r).Iter(func(key *crypto.InboundGroupSession) (bool, error) {
			return true, keys.add(key)
		})
	})
	return recipients, keys, err
}

// sendHistory sends the address of a bundle to devices. A device without one-time keys gets nothing, and the others get theirs.
func (d *Device) sendHistory(ctx context.Context, r id.RoomID, recipients []*id.Device, content *event.RoomKeyBundleEventContent) (devices int, err error) {
	bundle := toDevices{room: r, kind: event.ToDeviceRoomKeyBundle, content: event.Content{Parsed: content}}
	for chunk := range slices.Chunk(recipients, shareChunk) {
		sent, _, failed := d.sharer.sealForDevices(ctx, bundle, chunk, lateTime)
		if failed != nil {
			err = errors.Join(err, cause(failed))
			continue
		}
		for _, device := range chunk {
			if sent.Messages[device.UserID][device.DeviceID] != nil {
				devices++
			} else {
				err = errors.Join(err, fmt.Errorf("%s of %s: no one-time key", device.DeviceID, device.UserID))
			}
		}
	}
	return devices, err
}

// bundle is the keys of a room to share. Unlike the library's type it encodes empty fields, because matrix-rust-sdk requires them.
type bundle struct {
	Keys     []*crypto.ExportedSession            `json:"room_keys"`
	Withheld []*event.RoomKeyWithheldEventContent `json:"withheld"`
}

func newBundle() *bundle {
	return &bundle{Keys: []*crypto.ExportedSession{}, Withheld: []*event.RoomKeyWithheldEventContent{}}
}

// add puts a key into a bundle, or a notice that the key is withheld. Only a key received from its sender is shared.
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
func upload(ctx context.Context, client *mautrix.Client, r id.RoomID, keys *bundle) (*event.RoomKeyBundleEventContent, error) {
	data, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	file := attachment.NewEncryptedFile()
	file.EncryptInPlace(data)
	resp, err := client.UploadBytes(ctx, data, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	return &event.RoomKeyBundleEventContent{RoomID: r, File: event.EncryptedFileInfo{EncryptedFile: *file, URL: resp.ContentURI.CUString()}}, nil
}
