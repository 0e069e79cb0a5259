package encryption

import (
	"context"
	"encoding/json"
	"errors"

	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// SealFile encrypts a file for a room, in place, and returns the key to it, without the URL. For a plain room it returns nil and leaves
// the file as it is (https://spec.matrix.org/latest/client-server-api/#sending-encrypted-attachments).
func (d *Device) SealFile(ctx context.Context, r id.RoomID, data []byte) (*event.EncryptedFileInfo, error) {
	settings, err := d.rooms.settings(ctx, r)
	if err != nil || settings == nil {
		return nil, err
	}
	if exactjson.Text(settings, "algorithm") != string(id.AlgorithmMegolmV1) {
		return nil, &invites.ActError{Class: invites.ClassRefused, Err: errors.New("the room is encrypted by an unknown algorithm")}
	}
	file := attachment.NewEncryptedFile()
	file.EncryptInPlace(data)
	return &event.EncryptedFileInfo{EncryptedFile: *file}, nil
}

// OpenFile decrypts an attachment in place, by the key in the message with it, once its checksum is the one in the message.
func (d *Device) OpenFile(secret json.RawMessage, data []byte) error {
	given := func(keys ...string) string { return exactjson.Text(secret, keys...) }
	file := attachment.EncryptedFile{
		Key:        attachment.JSONWebKey{Key: given("key", "k"), Algorithm: given("key", "alg")},
		InitVector: given("iv"), Hashes: attachment.EncryptedFileHashes{SHA256: given("hashes", "sha256")}, Version: given("v"),
	}
	return file.DecryptInPlace(data)
}
