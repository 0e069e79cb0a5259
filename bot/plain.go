package bot

import (
	"context"
	"errors"

	"usher/room"

	"maunium.net/go/mautrix/id"
)

// errMute says that a room is encrypted and the bot can't encrypt, so that nothing may be said there.
var errMute = errors.New("the room is encrypted and encryption is off")

// plain makes sure that what is said in a room may go unencrypted. It asks the cache, so that an answer costs no request;
// no room ever ceases to be encrypted, so that one that is is not asked about again.
func (b *bot) plain(ctx context.Context, r id.RoomID) error {
	if b.sealed.isMute(r, false) {
		return errMute
	}
	settings, err := b.state.Content(ctx, r, room.TypeEncryption)
	if err != nil || settings == nil {
		return err
	}
	if !b.sealed.isMute(r, true) {
		b.log.Warn().Stringer("room", r).Msg("the room is encrypted and encryption is off: I say nothing there")
	}
	return errMute
}

// isMute tells whether a room is known to be encrypted while encryption is off, and may note that it is.
func (s *sealed) isMute(r id.RoomID, is bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.mute[r]
	if is {
		if s.mute == nil {
			s.mute = map[id.RoomID]bool{}
		}
		s.mute[r] = true
	}
	return before
}
