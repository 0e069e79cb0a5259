package bot

import (
	"bytes"
	"context"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/room"
)

// sealFile encrypts a file in place where the room is encrypted, and returns what its readers need, else nil. An error means that
// it may not be uploaded.
func (b *bot) sealFile(ctx context.Context, r id.RoomID, data []byte) (*event.EncryptedFileInfo, error) {
	if b.sealed.device == nil {
		return nil, b.plain(ctx, r)
	}
	return b.sealed.device.SealFile(ctx, r, data)
}

// attach uploads the picture of a reply, encrypted where the room is, and sends it.
func (b *bot) attach(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	data, contentType := bytes.Clone(reply.Image.PNG), "image/png"
	sealed, err := b.sealFile(ctx, ev.Room, data)
	if errors.Is(err, errMute) || errors.Is(err, invites.ErrNoView) {
		return nil
	} else if err != nil {
		return invites.UnlessRefused(err)
	}
	name := reply.Image.Name
	if sealed != nil {
		name, contentType = "", "application/octet-stream"
	}
	uri, err := b.client.Upload(ctx, name, contentType, data)
	if invites.Refused(err) {
		b.log.Warn().Err(err).Msg("the homeserver takes no picture")
		var instead commands.Reply
		instead.Text.Say("picture.refused").Reason(invites.Errcode(err))
		_, err = b.send(ctx, ev.Room, transaction(ev.Event, "notice"), room.TypeMessage, instead.Notice(m))
		return err
	}
	if err != nil {
		return err
	}
	content := reply.Picture(m, uri)
	if sealed != nil {
		sealed.URL = uri
		content.URL, content.File = "", sealed
	}
	_, err = b.send(ctx, ev.Room, transaction(ev.Event, "picture"), room.TypeMessage, content)
	return err
}
