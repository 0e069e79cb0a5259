package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/olm"
	"maunium.net/go/mautrix/event"

	"usher/exactjson"
	"usher/invites"
	"usher/store"
)

// Open decrypts an event. The returned event has the type and, in Raw, the content that its sender encrypted. The errors are
// invites.ErrNoKey, invites.ErrUnreadable, invites.ErrReplay, or internal errors, after which the caller should try again. The same event may be opened any
// number of times.
func (d *Device) Open(ctx context.Context, ev invites.Received) (invites.Received, error) {
	sealed, err := parse(ev)
	if err != nil {
		return ev, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.session
	if s == nil {
		return ev, fmt.Errorf("%w: %w", invites.ErrNoKey, ErrNotReady)
	}
	ctx, done := s.bound(ctx)
	defer done()
	_ = s.keys.takeFault()
	clear, err := s.machine.DecryptMegolmEvent(ctx, sealed)
	if fault := errors.Join(s.keys.takeFault(), ctx.Err()); store.Unfit(fault) {
		return ev, fmt.Errorf("%w: %w", invites.ErrUnreadable, fault)
	} else if fault != nil {
		return ev, fault
	}
	switch {
	case errors.Is(err, crypto.ErrNoSessionFound), errors.Is(err, crypto.ErrGroupSessionWithheld), errors.Is(err, olm.ErrUnknownMessageIndex):
		return ev, fmt.Errorf("%w: %w", invites.ErrNoKey, err)
	case errors.Is(err, crypto.ErrDuplicateMessageIndex):
		return ev, fmt.Errorf("%w: %w", invites.ErrReplay, err)
	case err != nil:
		return ev, fmt.Errorf("%w: %w", invites.ErrUnreadable, err)
	}
	if err := s.checkSender(ctx, ev, sealed.Content.AsEncrypted().SessionID); err != nil {
		return ev, err
	}
	ev.Type = clear.Type.Type
	ev.Raw, err = json.Marshal(map[string]any{"type": clear.Type.Type, "content": clear.Content.VeryRaw})
	return ev, err
}

// parse turns an event of the inbox into an event of the library. Sender, room and id are those of the inbox.
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
