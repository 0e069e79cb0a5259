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
	sealed, err := d.seal(ctx, r, eventType, raw)
	if errors.Is(err, crypto.ErrSessionExpired) || errors.Is(err, crypto.ErrNoGroupSession) || errors.Is(err, crypto.ErrSessionNotShared) {
		d.Invalidate(r)
		sealed, err = d.seal(ctx, r, eventType, raw)
	}
	if err != nil {
		return "", nil, err
	}
	return event.EventEncrypted.Type, sealed, nil
}

// seal encrypts, with a new session if the last one is not fit any more.
func (d *Device) seal(ctx context.Context, r id.RoomID, eventType string, raw json.RawMessage) (*event.EncryptedEventContent, error) {
	for {
		next, users, err := d.recipients(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("who may read it: %w", cause(err))
		}
		if sealed, err := d.sealFor(ctx, r, next, users, eventType, raw); !errors.Is(err, errSuperseded) {
			return sealed, err
		}
	}
}

// errSuperseded says that the room has changed since it was asked who is there, and somebody has asked anew.
var errSuperseded = errors.New("encryption: who may read it is being asked anew")

// sealFor encrypts, with a new session for users if there is to be a next one.
func (d *Device) sealFor(
	ctx context.Context, r id.RoomID, next *sent, users []id.UserID, eventType string, raw json.RawMessage,
) (sealed *event.EncryptedEventContent, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if next != nil {
		defer close(next.made)
		if !d.latest(r, next) {
			return nil, errSuperseded
		}
		defer func() {
			if err != nil {
				d.Invalidate(r)
			}
		}()
	}
	if d.machine == nil {
		return nil, ErrNotReady
	}
	ctx, done := d.within(ctx)
	defer done()
	if next != nil {
		err := d.keys.RemoveOutboundGroupSession(ctx, r)
		if err == nil {
			err = d.machine.ShareGroupSession(ctx, r, users)
		}
		if err != nil {
			return nil, fmt.Errorf("sharing keys: %w", cause(err))
		}
	}
	return d.machine.EncryptMegolmEvent(ctx, r, event.Type{Type: eventType, Class: event.MessageEventType}, raw)
}

// latest tells whether nobody has begun with another session for a room since.
func (d *Device) latest(r id.RoomID, next *sent) bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.rooms.sent[r] == next
}

// recipients returns who is to get the key of the next session where a room needs one: then the caller makes it. It waits for
// somebody who is at that already, since until then there is only the session before, whose key others may have.
func (d *Device) recipients(ctx context.Context, r id.RoomID) (next *sent, users []id.UserID, err error) {
	d.mu.Lock()
	machine := d.machine
	d.mu.Unlock()
	if machine == nil {
		return nil, nil, ErrNotReady
	}
	if next, err = d.renew(ctx, r); err != nil || next == nil {
		return nil, nil, err
	}
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
		close(next.made)
		return nil, nil, err
	}
	return next, users, nil
}

// renew returns nil where the session of a room is fit, and else the place of the next one, which is there from then on, so that
// what changes meanwhile makes it stale.
func (d *Device) renew(ctx context.Context, r id.RoomID) (*sent, error) {
	for {
		d.state.Lock()
		now := d.rooms.sent[r]
		if now == nil || now.stale {
			next := &sent{made: make(chan struct{})}
			d.rooms.sent[r] = next
			d.state.Unlock()
			return next, nil
		}
		d.state.Unlock()
		select {
		case <-now.made:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		d.state.Lock()
		fit := d.rooms.sent[r] == now && !now.stale
		d.state.Unlock()
		if fit {
			return nil, nil
		}
	}
}
