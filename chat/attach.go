package chat

import (
	"bytes"
	"context"
	"errors"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// attach uploads the picture of a reply, encrypted where the room is, and sends it.
func (s *Sender) attach(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	f := commands.Attachment{Name: reply.Image.Name, Type: "image/png", Data: reply.Image.PNG}
	return s.attached(ctx, ev, m, "picture", f, func(uri id.ContentURIString) *event.MessageEventContent { return reply.Picture(m, uri) })
}

// attachFile uploads a file, encrypted where the room is, and sends it.
func (s *Sender) attachFile(ctx context.Context, ev invites.Received, m commands.Message, f commands.Attachment) error {
	return s.attached(ctx, ev, m, "file", f, func(uri id.ContentURIString) *event.MessageEventContent { return f.Attached(m, uri) })
}

// attached sends a file as one part of the answer to an event. A homeserver that does not take the file is told of.
func (s *Sender) attached(ctx context.Context, ev invites.Received, m commands.Message, part string, f commands.Attachment, content func(id.ContentURIString) *event.MessageEventContent) error {
	name, contentType, data := f.Name, f.Type, bytes.Clone(f.Data)
	sealed, err := s.sealFile(ctx, ev.Room, data)
	if errors.Is(err, errMute) || errors.Is(err, invites.ErrNoView) {
		return nil
	} else if err != nil {
		return invites.UnlessRefused(err)
	}
	if sealed != nil {
		name, contentType = "", "application/octet-stream"
	}
	uri, err := s.timeline.Upload(ctx, name, contentType, data)
	if invites.Refused(err) {
		s.log.Warn().Err(err).Msg("File refused by the homeserver")
		var instead commands.Reply
		instead.Text.Say("file.refused").Reason(invites.Errcode(err))
		_, err = s.say(ctx, ev.Room, transaction(ev.Event, "notice"), instead, m, "")
		return err
	}
	if err != nil {
		return err
	}
	message := content(uri)
	if sealed != nil {
		sealed.URL = uri
		message.URL, message.File = "", sealed
	}
	_, err = s.message(ctx, ev.Room, transaction(ev.Event, part), message)
	return err
}
