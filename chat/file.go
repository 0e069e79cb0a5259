package chat

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/exactjson"
	"usher/invites"
	"usher/room"
)

// Media reads files and events as the bot.
type Media interface {
	// Download returns a file of at most a number of bytes. tooLarge is set for a larger one.
	Download(ctx context.Context, uri id.ContentURIString, most int64) (data []byte, tooLarge bool, err error)
	// Event returns an event as a user sees it (empty: the bot).
	Event(ctx context.Context, r id.RoomID, event id.EventID, as id.UserID) (json.RawMessage, error)
}

// FileOpener decrypts attachments.
type FileOpener interface {
	// OpenFile decrypts a file in place, by the key in its message, once its checksum is the one in the message.
	OpenFile(secret json.RawMessage, data []byte) error
}

// files reads files for commands. It implements commands.Files.
type files struct {
	media     Media
	opener    FileOpener // nil: encryption is off
	encrypted *EncryptedRooms
	state     StateReader
}

// newFiles makes files; nil where none is read.
func newFiles(o Options, encrypted *EncryptedRooms) commands.Files {
	if o.Media == nil {
		return nil
	}
	f := &files{media: o.Media, encrypted: encrypted, state: o.State}
	if o.Device != nil {
		f.opener = o.Device
	}
	return f
}

// Read implements commands.Files.
func (f *files) Read(ctx context.Context, file commands.File, most int64) ([]byte, error) {
	if file.Secret != nil && f.opener == nil {
		return nil, commands.ErrChanged
	}
	data, tooLarge, err := f.media.Download(ctx, file.URL, most)
	switch {
	case err != nil:
		return nil, err
	case tooLarge:
		return nil, commands.ErrTooLarge
	case file.Secret == nil:
		return data, nil
	}
	if f.opener.OpenFile(file.Secret, data) != nil {
		return nil, commands.ErrChanged
	}
	return data, nil
}

// In implements commands.Files. The bot sees more of a room's past than some of its members, and lends its view to nobody: it reads a file of
// somebody else only where the room shows its past to all members, and not in an encrypted one, of which later members have no keys.
func (f *files) In(ctx context.Context, r id.RoomID, event id.EventID, asker id.UserID) (*commands.File, error) {
	raw, err := f.media.Event(ctx, r, event, "")
	if err != nil {
		return nil, err
	}
	sent := invites.Received{
		Event: event, Room: r, Sender: id.UserID(exactjson.Text(raw, "sender")), Type: exactjson.Text(raw, "type"), Raw: raw,
		SentAt: time.UnixMilli(exactjson.Get(raw, "origin_server_ts").Int()),
	}
	opened, err := f.encrypted.reopen(ctx, sent)
	if err != nil || opened.Type != room.TypeMessage {
		return nil, nil // without its key, nobody knows what it is
	}
	file := commands.FileIn(opened.Raw)
	if file == nil || sent.Sender == asker {
		return file, nil
	}
	if sent.Type == room.TypeEncrypted {
		return nil, commands.ErrNotShown
	}
	visibility, err := f.state.Content(ctx, r, room.TypeHistoryVisibility)
	if err != nil {
		return nil, err
	}
	if shown := exactjson.Text(visibility, "history_visibility"); shown == "joined" || shown == "invited" {
		return nil, commands.ErrNotShown
	}
	return file, nil
}
