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

	"usher/invites"
	"usher/store"
)

// Open decrypts an event: the Received that it returns has the Type and, in Raw, the content that its sender encrypted.
// Errors are ErrNoKey, ErrUnreadable, ErrReplay, or internal ones, after which it should be tried again. The same event
// may be opened any number of times.
func (d *Device) Open(ctx context.Context, ev invites.Received) (invites.Received, error) {
	sealed, err := parse(ev)
	if err != nil {
		return ev, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.machine == nil {
		return ev, fmt.Errorf("%w: %w", ErrNoKey, ErrNotReady) // whether the key has come shows once the device is set up
	}
	ctx, done := d.within(ctx)
	defer done()
	_ = d.keys.took()
	clear, err := d.machine.DecryptMegolmEvent(ctx, sealed)
	if fault := errors.Join(d.keys.took(), ctx.Err()); store.Unfit(fault) {
		return ev, fmt.Errorf("%w: %w", ErrUnreadable, fault)
	} else if fault != nil {
		return ev, fault
	}
	switch {
	case errors.Is(err, crypto.ErrNoSessionFound), errors.Is(err, crypto.ErrGroupSessionWithheld), errors.Is(err, olm.ErrUnknownMessageIndex):
		return ev, fmt.Errorf("%w: %w", ErrNoKey, err)
	case errors.Is(err, crypto.ErrDuplicateMessageIndex):
		return ev, fmt.Errorf("%w: %w", ErrReplay, err)
	case err != nil:
		return ev, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err := d.vouch(ctx, ev, sealed); err != nil {
		return ev, err
	}
	ev.Type = clear.Type.Type
	ev.Raw, err = json.Marshal(map[string]any{"type": clear.Type.Type, "content": clear.Content.VeryRaw})
	return ev, err
}

// vouch checks that the key came from the event's sender: somebody else's, or one passed on, would let others speak for them.
func (d *Device) vouch(ctx context.Context, ev invites.Received, sealed *event.Event) error {
	session, err := d.keys.GetGroupSession(ctx, ev.Room, sealed.Content.AsEncrypted().SessionID)
	if err != nil {
		return err
	}
	if session == nil || session.SourceUser != ev.Sender || session.KeySource != id.KeySourceDirect || len(session.ForwardingChains) > 0 {
		return fmt.Errorf("%w: the key is not the sender's own", ErrUnreadable)
	}
	return nil
}

// parse makes of an inbox event what the library works with. Who sent it where is what the inbox says.
func parse(ev invites.Received) (*event.Event, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(ev.Raw, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	sealed := &event.Event{
		ID: ev.Event, RoomID: ev.Room, Sender: ev.Sender, Type: event.EventEncrypted, Timestamp: ev.SentAt.UnixMilli(),
	}
	err := json.Unmarshal(fields["content"], &sealed.Content)
	if err == nil {
		err = sealed.Content.ParseRaw(sealed.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return sealed, nil
}
