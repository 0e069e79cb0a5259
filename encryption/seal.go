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
	if err != nil {
		return "", nil, err
	}
	return event.EventEncrypted.Type, sealed, nil
}

// maxTries is how often an event is encrypted with a new session because the session before is expired or gone.
const maxTries = 5

// seal encrypts, with a new session if the last one is not fit any more.
func (d *Device) seal(ctx context.Context, r id.RoomID, eventType string, raw json.RawMessage) (*event.EncryptedEventContent, error) {
	for tries := 1; ; {
		o, err := d.fitSession(ctx, r)
		var sealed *event.EncryptedEventContent
		if err == nil {
			sealed, err = d.encrypt(ctx, r, o, eventType, raw)
		}
		switch {
		case errors.Is(err, errSuperseded) && ctx.Err() == nil:
		case lost(err) && tries < maxTries:
			tries++
			d.rooms.spoil(o)
		default:
			return sealed, err
		}
	}
}

// lost reports whether an error means an expired or missing session.
func lost(err error) bool {
	return errors.Is(err, crypto.ErrSessionExpired) || errors.Is(err, crypto.ErrNoGroupSession) || errors.Is(err, crypto.ErrSessionNotShared)
}

// errSuperseded means another goroutine makes the next session of the room.
var errSuperseded = errors.New("encryption: the room gets another session")

// fitSession returns the session of a room, and makes it if the room needs a new one.
func (d *Device) fitSession(ctx context.Context, r id.RoomID) (*outbound, error) {
	o, ours, err := d.rooms.renew(ctx, r)
	if err != nil || !ours {
		return o, err
	}
	if err = d.sharer.prepare(ctx, r, o); err != nil {
		d.rooms.spoil(o)
	}
	close(o.made)
	return o, err
}

// encrypt encrypts with the session o, unless the room has another session by now.
func (d *Device) encrypt(ctx context.Context, r id.RoomID, o *outbound, eventType string, raw json.RawMessage) (sealed *event.EncryptedEventContent, err error) {
	err = d.step(ctx, &offline{room: r}, func(ctx context.Context, s *session) error {
		if !d.rooms.isLatest(r, o) {
			return errSuperseded
		}
		if err := d.sharer.followLater(ctx, s, r, o); err != nil {
			return err
		}
		sealed, err = s.machine.EncryptMegolmEvent(ctx, r, event.Type{Type: eventType, Class: event.MessageEventType}, raw)
		return err
	})
	return sealed, err
}
