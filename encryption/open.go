package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/store"
)

// Open decrypts an event. The returned event has the type and, in Raw, the content as encrypted by its sender. The errors are
// invites.ErrNoKey, invites.ErrUnreadable, invites.ErrReplay, or internal errors, after which the caller should try again. The same event
// may be opened any number of times.
func (d *Device) Open(ctx context.Context, ev invites.Received) (invites.Received, error) {
	sealed, err := parse(ev)
	if err != nil {
		return ev, err
	}
	var clear *event.Event
	err = d.step(ctx, &offline{room: ev.Room}, func(ctx context.Context, s *session) error {
		clear, err = s.decrypt(ctx, ev, sealed)
		if err == nil && clear.Mautrix.TrustSource == nil || errors.Is(err, invites.ErrNoKey) {
			d.sharer.expectSender(ctx, s, ev.Room, ev.Sender, s.senderKey(ctx, ev.Room, sealed.Content.AsEncrypted()))
		}
		return err
	})
	if errors.Is(err, ErrNotReady) {
		err = fmt.Errorf("%w: %w", invites.ErrNoKey, err)
	}
	if err != nil {
		return ev, err
	}
	if err := d.intake.meet(ctx, ev.Sender); err != nil {
		return ev, err
	}
	if ev.Protection, err = d.protection(ctx, ev, sealed.Content.AsEncrypted().SessionID); err != nil {
		return ev, err
	}
	ev.Type = clear.Type.Type
	ev.Raw, err = json.Marshal(map[string]any{"type": clear.Type.Type, "content": clear.Content.VeryRaw})
	return ev, err
}

// decrypt decrypts an event and checks the owner of its key. The errors are as for Open.
func (s *session) decrypt(ctx context.Context, ev invites.Received, sealed *event.Event) (*event.Event, error) {
	clear, err := s.machine.DecryptMegolmEvent(ctx, sealed)
	if fault := errors.Join(s.keys.takeFault(), ctx.Err()); store.Unfit(fault) {
		return nil, fmt.Errorf("%w: %w", invites.ErrUnreadable, fault)
	} else if fault != nil {
		return nil, fault
	}
	switch {
	case errors.Is(err, crypto.ErrNoSessionFound), errors.Is(err, crypto.ErrGroupSessionWithheld), errors.Is(err, olm.ErrUnknownMessageIndex):
		return nil, fmt.Errorf("%w: %w", invites.ErrNoKey, err)
	case errors.Is(err, crypto.ErrDuplicateMessageIndex):
		return nil, fmt.Errorf("%w: %w", invites.ErrReplay, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", invites.ErrUnreadable, err)
	}
	return clear, s.checkSender(ctx, ev, sealed.Content.AsEncrypted().SessionID)
}

// protection returns the protection of a decrypted event. If verified devices are asked for, it first looks for changes of the sender's
// devices.
func (d *Device) protection(ctx context.Context, ev invites.Received, megolm id.SessionID) (invites.Protection, error) {
	if !d.o.Verify {
		return invites.Encrypted, nil
	}
	if err := d.sharer.lookUp(ctx, ev.Room, ev.Sender); err != nil {
		return invites.Plain, err
	}
	protection := invites.Encrypted
	err := d.step(ctx, &offline{room: ev.Room}, func(ctx context.Context, s *session) error {
		key, err := s.keys.GetGroupSession(ctx, ev.Room, megolm)
		if err != nil || key == nil {
			return err
		}
		device, err := s.keys.FindDeviceByKey(ctx, ev.Sender, key.SenderKey)
		if err != nil || device == nil || device.SigningKey != key.SigningKey {
			return err
		}
		trust, err := s.machine.ResolveTrustContext(ctx, device)
		if trust >= id.TrustStateCrossSignedTOFU {
			protection = invites.Verified
		}
		return errors.Join(err, s.keys.takeFault())
	})
	return protection, err
}

// Encrypted reports whether a room is encrypted, or was once.
func (d *Device) Encrypted(ctx context.Context, r id.RoomID) (bool, error) {
	settings, err := d.rooms.settings(ctx, r)
	return settings != nil, err
}

// parse turns an event of the inbox into an event of the library. Sender, room and id are from the inbox.
func parse(ev invites.Received) (*event.Event, error) {
	sealed := &event.Event{
		ID: ev.Event, RoomID: ev.Room, Sender: ev.Sender, Type: event.EventEncrypted, Timestamp: ev.SentAt.UnixMilli(),
	}
	err := json.Unmarshal(exactjson.Find(ev.Raw, "content"), &sealed.Content)
	if err == nil {
		err = sealed.Content.ParseRaw(sealed.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", invites.ErrUnreadable, err)
	}
	return sealed, nil
}
