package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidwall/gjson"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Seal turns what the bot says into what goes to the homeserver: the same in a plain room, an m.room.encrypted event in an
// encrypted one. An error means that nothing may be sent. How an event relates to others stays readable
// (https://spec.matrix.org/latest/client-server-api/#mmegolmv1aes-sha2).
func (d *Device) Seal(ctx context.Context, r id.RoomID, eventType string, content any) (string, any, error) {
	settings, err := d.settings(ctx, r)
	if err != nil || settings == nil {
		return eventType, content, err
	}
	if algorithm := gjson.GetBytes(settings, "algorithm").Str; algorithm != string(id.AlgorithmMegolmV1) {
		return "", nil, &invites.ActError{Class: invites.ClassRefused, Err: fmt.Errorf("the room is encrypted by an unknown algorithm %.40q", algorithm)}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return "", nil, err
	}
	sealed, err := d.sealHere(ctx, r, eventType, raw)
	if errors.Is(err, ErrNotReady) {
		return d.sealElsewhere(ctx, r, eventType, raw)
	}
	if err != nil {
		return "", nil, err
	}
	return event.EventEncrypted.Type, sealed, nil
}

// sealHere encrypts if this replica has the device; else the error is ErrNotReady.
func (d *Device) sealHere(ctx context.Context, r id.RoomID, eventType string, raw json.RawMessage) (*event.EncryptedEventContent, error) {
	sealed, err := d.seal(ctx, r, eventType, raw)
	if errors.Is(err, crypto.ErrSessionExpired) || errors.Is(err, crypto.ErrNoGroupSession) || errors.Is(err, crypto.ErrSessionNotShared) {
		d.Invalidate(r)
		sealed, err = d.seal(ctx, r, eventType, raw)
	}
	return sealed, err
}

// seal encrypts, with a new session if the last one is not fit any more.
func (d *Device) seal(ctx context.Context, r id.RoomID, eventType string, raw json.RawMessage) (*event.EncryptedEventContent, error) {
	users, renew, err := d.recipients(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("who may read it: %w", cause(err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.machine == nil {
		return nil, ErrNotReady
	}
	ctx, done := d.within(ctx)
	defer done()
	if renew {
		err := d.keys.RemoveOutboundGroupSession(ctx, r)
		if err == nil {
			err = d.machine.ShareGroupSession(ctx, r, users)
		}
		if err != nil {
			d.Invalidate(r)
			return nil, fmt.Errorf("sharing keys: %w", cause(err))
		}
	}
	return d.machine.EncryptMegolmEvent(ctx, r, event.Type{Type: eventType, Class: event.MessageEventType}, raw)
}

// recipients tells whether a room needs a new session, and who is to get its key.
func (d *Device) recipients(ctx context.Context, r id.RoomID) (users []id.UserID, renew bool, err error) {
	d.mu.Lock()
	machine := d.machine
	d.mu.Unlock()
	if machine == nil {
		return nil, false, ErrNotReady
	}
	next := &sent{}
	d.state.Lock()
	before := d.rooms.sent[r]
	if before != nil && !before.stale {
		d.state.Unlock()
		return nil, false, nil
	}
	d.rooms.sent[r] = next // in place from here on, so that what changes meanwhile makes it stale
	d.state.Unlock()
	found, err := d.audience(ctx, r)
	if err == nil {
		d.state.Lock()
		next.to, next.visibility = found.to, found.visibility
		d.state.Unlock()
		users = slices.Sorted(maps.Keys(found.to))
		// Asked anew each time: what /sync says of changed devices leaves out people who were gone for a while.
		_, err = machine.FetchKeys(ctx, users, true)
	}
	if err != nil {
		d.Invalidate(r)
	}
	return users, true, err
}
