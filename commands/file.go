package commands

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// File is a file attached to a message (https://spec.matrix.org/latest/client-server-api/#mfile).
type File struct {
	Name   string
	Type   string // media type, as its sender says
	Size   int64  // in bytes, as its sender says
	URL    id.ContentURIString
	Secret json.RawMessage // the key to an encrypted file, with its URL; nil: the file is plain
}

// Errors of Files.
var (
	ErrTooLarge = errors.New("commands: the file is too large")
	ErrChanged  = errors.New("commands: the file is not the one that was sent")
	ErrNotShown = errors.New("commands: the asker may not be able to read the message")
)

// Files is the commands' port to files.
type Files interface {
	// Read returns the content of a file, decrypted and checked. The error is Refused where the homeserver has no such file, ErrTooLarge
	// above a number of bytes, and ErrChanged where the content is not the one that was sent.
	Read(ctx context.Context, f File, most int64) ([]byte, error)
	// In returns the file of another message of a room; nil where there is none. The error is ErrNotShown where the bot can't tell that the
	// asker may read the message, too.
	In(ctx context.Context, r id.RoomID, event id.EventID, asker id.UserID) (*File, error)
}

// fileIn reads the file of a message's content, nil where there is none. With a caption, the name stands apart (MSC2530).
func fileIn(content exactjson.Value) *File {
	if !content.Get("msgtype").Is("m.file") {
		return nil
	}
	f := &File{
		Name: content.Get("filename").Text(), Type: content.Get("info").Get("mimetype").Text(), Size: content.Get("info").Get("size").Int(),
		URL: id.ContentURIString(content.Get("url").Text()),
	}
	if f.Name == "" {
		f.Name = content.Get("body").Text()
	}
	if secret := content.Get("file"); secret.Exists() {
		f.Secret = json.RawMessage(secret.Raw)
		f.URL = id.ContentURIString(secret.Get("url").Text())
	}
	return f
}

// FileIn reads the file of an event, nil where there is none.
func FileIn(raw json.RawMessage) *File { return fileIn(exactjson.Get(raw, "content")) }

// captioned reports whether a message with a file has a text besides the file's name.
func captioned(content exactjson.Value) bool {
	name := content.Get("filename").Text()
	return name != "" && name != content.Get("body").Text()
}

// lists reports whether a file may be a list of people, by its name or its type.
func (f *File) lists() bool {
	return slices.Contains([]string{".txt", ".csv", ".tsv"}, strings.ToLower(path.Ext(f.Name))) || strings.HasPrefix(f.Type, "text/")
}
