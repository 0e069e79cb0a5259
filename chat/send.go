package chat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// Timeline sends events and files as the bot.
type Timeline interface {
	// Send sends an event. The same transaction id sends the same event again.
	Send(ctx context.Context, r id.RoomID, txn, eventType string, content any) (id.EventID, error)
	Upload(ctx context.Context, name, contentType string, data []byte) (id.ContentURIString, error)
}

// StateReader reads the content of a room's state with an empty state key, from a cache where it can; nil where there is none.
type StateReader interface {
	Content(ctx context.Context, r id.RoomID, eventType string) (json.RawMessage, error)
}

// Sealer encrypts events for encrypted rooms.
type Sealer interface {
	// Seal returns the type and content to send. After an error, nothing may be sent.
	Seal(ctx context.Context, r id.RoomID, eventType string, content any) (string, any, error)
	// SealFile encrypts a file in place and returns its key for the readers, nil where the room is not encrypted. After an error, the file
	// may not be uploaded.
	SealFile(ctx context.Context, r id.RoomID, data []byte) (*event.EncryptedFileInfo, error)
}

// Speaker knows the language of a room, as a tag, and the names of rooms, as far as an asker may read them. An empty asker is the bot.
type Speaker interface {
	Language(ctx context.Context, r id.RoomID) string
	RoomName(ctx context.Context, of id.RoomID, asker id.UserID) string
}

// errMute forbids to send: the room is encrypted and the bot can't encrypt.
var errMute = errors.New("the room is encrypted and encryption is off")

// Sender sends the bot's events, encrypted where the room is.
type Sender struct {
	timeline Timeline
	state    StateReader
	sealer   Sealer  // nil: encryption is off
	speaker  Speaker // nil: English is spoken
	log      zerolog.Logger

	mu   sync.Mutex
	mute map[id.RoomID]bool // encrypted rooms, while encryption is off
}

// NewSender makes a Sender. A nil sealer sends nothing to encrypted rooms.
func NewSender(timeline Timeline, state StateReader, sealer Sealer, log zerolog.Logger) *Sender {
	return &Sender{timeline: timeline, state: state, sealer: sealer, log: log, mute: map[id.RoomID]bool{}}
}

// worded returns a reply in the language of a room, and with the names of rooms that the asker may know.
func (s *Sender) worded(ctx context.Context, r id.RoomID, reply commands.Reply, asker id.UserID) commands.Reply {
	if s.speaker != nil {
		reply.Lang = s.speaker.Language(ctx, r)
		reply.Names = func(of id.RoomID) string { return s.speaker.RoomName(ctx, of, asker) }
	}
	return reply
}

// say sends the text of a reply to m in the language of the room; with earlier, as an edit of that message. m may be empty.
func (s *Sender) say(ctx context.Context, r id.RoomID, txn string, reply commands.Reply, m commands.Message, earlier id.EventID) (id.EventID, error) {
	reply = s.worded(ctx, r, reply, m.Sender)
	if earlier != "" {
		return s.message(ctx, r, txn, reply.Edit(m, earlier))
	}
	return s.message(ctx, r, txn, reply.Notice(m))
}

// message sends a message.
func (s *Sender) message(ctx context.Context, r id.RoomID, txn string, content any) (id.EventID, error) {
	return s.send(ctx, r, txn, room.TypeMessage, content)
}

// send sends an event. Where the bot may not speak, the returned event id is empty, without an error.
func (s *Sender) send(ctx context.Context, r id.RoomID, txn, kind string, content any) (id.EventID, error) {
	sent, _, err := s.try(ctx, r, txn, kind, content)
	return sent, err
}

// try sends an event, and reports whether the room takes it. An event that is there already has no id.
func (s *Sender) try(ctx context.Context, r id.RoomID, txn, kind string, content any) (sent id.EventID, taken bool, err error) {
	if s.sealer == nil {
		err = s.plain(ctx, r)
	} else {
		kind, content, err = s.sealer.Seal(ctx, r, kind, content)
	}
	if errors.Is(err, errMute) {
		return "", false, nil
	}
	if err == nil {
		sent, err = s.timeline.Send(ctx, r, txn, kind, content)
	}
	if invites.Unseen(err) {
		s.log.Warn().Err(err).Stringer("room", r).Str("homeserver_says", invites.Words(err)).Msg("Answer refused by the room")
		return "", false, nil
	}
	return sent, err == nil, err
}

// sealFile is Sealer.SealFile, also while encryption is off.
func (s *Sender) sealFile(ctx context.Context, r id.RoomID, data []byte) (*event.EncryptedFileInfo, error) {
	if s.sealer == nil {
		return nil, s.plain(ctx, r)
	}
	return s.sealer.SealFile(ctx, r, data)
}

// plain checks whether an event may go to a room unencrypted. It asks the cache, so an answer costs no request. No room ever
// ceases to be encrypted, so an encrypted one is remembered.
func (s *Sender) plain(ctx context.Context, r id.RoomID) error {
	s.mu.Lock()
	mute := s.mute[r]
	s.mu.Unlock()
	if mute {
		return errMute
	}
	settings, err := s.state.Content(ctx, r, room.TypeEncryption)
	if err != nil || settings == nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mute[r] {
		s.log.Warn().Stringer("room", r).Msg("Encrypted room: nothing sent, encryption is off")
	}
	s.mute[r] = true
	return errMute
}

// transaction derives a transaction id from the answered event and the part of the answer.
func transaction(event id.EventID, part string) string {
	sum := sha256.Sum256([]byte(event.String() + "\x00" + part))
	return "usher-" + base64.RawURLEncoding.EncodeToString(sum[:15])
}
