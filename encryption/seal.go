package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// Seal returns the type and content to send to the homeserver: the given ones in a plain room, an m.room.encrypted event in an
// encrypted room. After an error nothing may be sent. Relations to other events stay readable
// (https://spec.matrix.org/latest/client-server-api/#mmegolmv1aes-sha2).
func (d *Device) Seal(ctx context.Context, r id.RoomID, eventType string, content any) (string, any, error) {
	settings, err := d.rooms.settings(ctx, r)
	if err != nil || settings == nil {
		return eventType, content, err
	}
	if algorithm := exactjson.Text(settings, "algorithm"); algorithm != string(id.AlgorithmMegolmV1) {
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
			return nil, fmt.Errorf("finding the users that may read it: %w", cause(err))
		}
		if sealed, err := d.sealFor(ctx, r, next, users, eventType, raw); !errors.Is(err, errSuperseded) {
			return sealed, err
		}
	}
}

// errSuperseded means the room has changed since its members were read, and that another goroutine makes the next session.
var errSuperseded = errors.New("encryption: the members of the room are read again")

// sealFor encrypts. If next is not nil, it first makes that session and sends its key to users.
func (d *Device) sealFor(
	ctx context.Context, r id.RoomID, next *outbound, users []id.UserID, eventType string, raw json.RawMessage,
) (sealed *event.EncryptedEventContent, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if next != nil {
		defer close(next.made)
		if !d.rooms.isLatest(r, next) {
			return nil, errSuperseded
		}
		defer func() {
			if err != nil {
				d.Invalidate(r)
			}
		}()
	}
	s := d.session
	if s == nil {
		return nil, ErrNotReady
	}
	ctx, done := s.bound(ctx)
	defer done()
	if next != nil {
		err := s.keys.RemoveOutboundGroupSession(ctx, r)
		if err == nil {
			err = s.machine.ShareGroupSession(ctx, r, users)
		}
		if err != nil {
			return nil, fmt.Errorf("sharing keys: %w", cause(err))
		}
	}
	return s.machine.EncryptMegolmEvent(ctx, r, event.Type{Type: eventType, Class: event.MessageEventType}, raw)
}

// recipients returns the next session and the users to send its key to, if the room needs a new session. The caller then makes the
// session and closes next.made.
func (d *Device) recipients(ctx context.Context, r id.RoomID) (next *outbound, users []id.UserID, err error) {
	s, err := d.currentSession()
	if err != nil {
		return nil, nil, err
	}
	if next, err = d.rooms.renew(ctx, r); err != nil || next == nil {
		return nil, nil, err
	}
	if users, err = d.rooms.findHolders(ctx, r, next); err == nil {
		// Queried for each session: the list of changed devices in /sync leaves out users that shared no room for a while.
		_, err = s.machine.FetchKeys(ctx, users, true)
	}
	if err != nil {
		d.Invalidate(r)
		close(next.made)
		return nil, nil, err
	}
	return next, users, nil
}
