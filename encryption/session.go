package encryption

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

// session is the device as one login has set it up. Device.mu is held while its methods run, but for poll.
type session struct {
	machine *crypto.OlmMachine
	keys    *keyStore
	log     zerolog.Logger
	atEnd   func(f func()) (stop func() bool) // has f called at the end of Run, unless stop is called before

	since   string      // position in /sync; all messages before it are processed
	newKeys []id.RoomID // rooms that got keys, to be reported
}

// bound ends a step with Run. The caller calls done.
func (s *session) bound(ctx context.Context) (bounded context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := s.atEnd(cancel)
	return ctx, func() { stop(); cancel() }
}

// poll waits for messages to the device.
func (s *session) poll(ctx context.Context, timeout time.Duration) (*mautrix.RespSync, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+requestTime-time.Second)
	defer cancel()
	return s.machine.Client.FullSyncRequest(ctx, mautrix.ReqSync{
		Timeout: int(timeout.Milliseconds()), Since: s.since, FilterID: syncFilter, SetPresence: event.PresenceOffline,
	})
}

// minOneTimeKeys is the number of one-time keys below which the library is asked to upload more. It keeps 50 of the 100 that a device
// may have.
const minOneTimeKeys = 50

// process takes in one answer of /sync and saves the position after it.
func (s *session) process(ctx context.Context, resp *mautrix.RespSync) error {
	if changed := resp.DeviceLists.Changed; len(changed) > 0 {
		if _, err := s.machine.FetchKeys(ctx, changed, false); err != nil {
			return err
		}
	}
	for _, ev := range resp.ToDevice.Events {
		ev.Type.Class = event.ToDeviceEventType
		if err := ev.Content.ParseRaw(ev.Type); err != nil {
			s.log.Debug().Err(err).Str("type", ev.Type.Type).Stringer("sender", ev.Sender).Msg("dropped an unreadable message to the device")
			continue
		}
		if err := s.processMessage(ctx, ev); err != nil {
			return err
		}
	}
	if resp.DeviceOTKCount.SignedCurve25519 < minOneTimeKeys {
		s.machine.HandleOTKCounts(ctx, &resp.DeviceOTKCount)
	}
	s.machine.MarkOlmHashSavePoint(ctx)
	// After an empty answer the position need not be saved: from the position before, a restart gets the same answer.
	if len(resp.ToDevice.Events) > 0 || len(resp.DeviceLists.Changed) > 0 || s.since == "" {
		if err := s.keys.PutNextBatch(ctx, resp.NextBatch); err != nil {
			return err
		}
	}
	s.since = resp.NextBatch
	return nil
}

// processMessage takes in one message to the device.
func (s *session) processMessage(ctx context.Context, ev *event.Event) error {
	switch content := ev.Content.Parsed.(type) {
	case *event.EncryptedEventContent:
		// One transaction saves both the ratchet of the Olm session and the key in the message, or neither.
		err := s.keys.inTransaction(ctx, func(ctx context.Context) { s.machine.HandleToDeviceEvent(ctx, ev) })
		if err != nil {
			s.newKeys = nil
			if store.Unfit(err) { // another try would fail again and hold up all later messages
				s.log.Warn().Err(err).Stringer("sender", ev.Sender).Msg("dropped a message to the device that the database can't take")
				return s.machine.Load(ctx)
			}
			return errors.Join(err, s.machine.Load(ctx))
		}
		return ctx.Err()
	case *event.RoomKeyRequestEventContent:
		s.machine.HandleRoomKeyRequest(ctx, ev.Sender, content) // HandleToDeviceEvent would start a goroutine for it
	case *event.RoomKeyWithheldEventContent:
		s.machine.HandleToDeviceEvent(ctx, ev)
	}
	return nil
}

// keyReceived is called by the library for each key that it saves.
func (s *session) keyReceived(_ context.Context, r id.RoomID, megolm id.SessionID, _ uint32) {
	s.log.Debug().Stringer("room", r).Stringer("session", megolm).Msg("received a key")
	s.newKeys = append(s.newKeys, r)
}

// checkSender checks that the key of an event came from the event's sender. With the key of another user, or a key passed on, users
// could speak in the sender's name.
func (s *session) checkSender(ctx context.Context, ev invites.Received, megolm id.SessionID) error {
	key, err := s.keys.GetGroupSession(ctx, ev.Room, megolm)
	if err != nil {
		return err
	}
	if key == nil || key.SourceUser != ev.Sender || key.KeySource != id.KeySourceDirect || len(key.ForwardingChains) > 0 {
		return fmt.Errorf("%w: the key is not the sender's own", invites.ErrUnreadable)
	}
	return nil
}
