package encryption

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/store"
)

// session is the device as one login has set it up. Its methods run under the device's lock, but for poll.
type session struct {
	machine *crypto.OlmMachine
	keys    *keyStore
	log     zerolog.Logger
	atEnd   func(f func()) (stop func() bool) // has f called at the end of Run, unless stop is called before

	wire       *wire // of machine's client
	fetch      *fetcher
	identity   id.IdentityKey // the device's public key
	newMachine func() *crypto.OlmMachine

	since    string      // position in /sync; all messages before it are processed
	newKeys  []id.RoomID // rooms with new keys, to be reported
	failures int         // undecryptable messages since machine was made
	refilled time.Time   // the last one-time keys were made
	fellBack time.Time   // the last fallback key was made
	cleaned  time.Time   // old rows of strangers were deleted
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
	return s.fetch.client.FullSyncRequest(ctx, mautrix.ReqSync{
		Timeout: int(timeout.Milliseconds()), Since: s.since, FilterID: syncFilter, SetPresence: event.PresenceOffline,
	})
}

// strayPause is how often old rows of strangers are deleted.
const strayPause = 10 * time.Minute

// save saves the position after a batch.
func (s *session) save(ctx context.Context, b *batch) error {
	s.machine.MarkOlmHashSavePoint(ctx)
	if now := s.keys.now(); now.Sub(s.cleaned) >= strayPause {
		if err := s.keys.dropStrays(ctx, now); err != nil {
			return err
		}
		s.cleaned = now
	}
	// After an empty answer the position need not be saved: from the position before, a restart gets the same answer.
	if !b.empty || len(b.changed) > 0 || s.since == "" {
		if err := s.keys.PutNextBatch(ctx, b.next); err != nil {
			return err
		}
	}
	s.since = b.next
	return nil
}

// maxReason is the number of bytes kept of the reason for which a key is withheld.
const maxReason = 200

// processMessage takes in one message to the device. wedged is the device's key of an undecryptable message.
func (s *session) processMessage(ctx context.Context, ev *event.Event) (wedged id.IdentityKey, err error) {
	switch content := ev.Content.Parsed.(type) {
	case *event.EncryptedEventContent:
		s.keys.olm.read, s.keys.olm.opened = false, false
		// One transaction saves both the ratchet of the Olm session and the key in the message, or neither.
		err := s.keys.inTransaction(ctx, func(ctx context.Context) { s.machine.HandleToDeviceEvent(ctx, ev) })
		if err != nil {
			s.newKeys = nil
			if store.Unfit(err) { // another try would fail again and hold up all later messages
				s.log.Warn().Err(err).Stringer("sender", ev.Sender).Msg("dropped a message to the device that the database can't take")
				return "", s.machine.Load(ctx)
			}
			return "", errors.Join(err, s.machine.Load(ctx))
		}
		if s.keys.olm.read && !s.keys.olm.opened {
			return content.SenderKey, errors.Join(ctx.Err(), s.countFailure(ctx))
		}
		return "", ctx.Err()
	case *event.RoomKeyWithheldEventContent:
		content.Reason = strings.ToValidUTF8(content.Reason[:min(len(content.Reason), maxReason)], "")
		return "", s.saveWithheld(ctx, ev.Sender, content)
	}
	return "", nil
}

// saveWithheld keeps a notice of a withheld key, for a time.
func (s *session) saveWithheld(ctx context.Context, sender id.UserID, content *event.RoomKeyWithheldEventContent) error {
	err := s.keys.inTransaction(ctx, func(ctx context.Context) {
		if s.keys.PutWithheldGroupSession(ctx, *content) == nil {
			_ = s.keys.noteStray(ctx, store.StrayWithheld, content.SessionID, sender)
		}
	})
	if store.Unfit(err) {
		return nil
	}
	return err
}

// maxFailures is the number of undecryptable messages after which the library's machine is made anew: it remembers each sender for good.
const maxFailures = 1000

func (s *session) countFailure(ctx context.Context) error {
	if s.failures++; s.failures < maxFailures {
		return nil
	}
	next := s.newMachine()
	next.CrossSigningKeys = s.machine.CrossSigningKeys
	if err := next.Load(ctx); err != nil {
		return err
	}
	s.machine, s.failures = next, 0
	return nil
}

// keyReceived is called by the library for each saved key.
func (s *session) keyReceived(_ context.Context, r id.RoomID, megolm id.SessionID, _ uint32) {
	s.log.Debug().Stringer("room", r).Stringer("session", megolm).Msg("received a key")
	s.newKeys = append(s.newKeys, r)
}

// senderKey returns the device key under which an event was sent: that of its room key, or without one, the claimed one.
func (s *session) senderKey(ctx context.Context, r id.RoomID, content *event.EncryptedEventContent) id.IdentityKey {
	if key, err := s.keys.GetGroupSession(ctx, r, content.SessionID); err == nil && key != nil {
		return key.SenderKey
	}
	return content.SenderKey
}

// checkSender checks the key of an event: it must come from the event's sender. With the key of another user, or a key passed on, users
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
