package chat

import (
	"bytes"
	"context"
	"errors"

	"usher/commands"
	"usher/invites"
)

// attach uploads the picture of a reply, encrypted where the room is, and sends it.
func (s *Sender) attach(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	data, contentType := bytes.Clone(reply.Image.PNG), "image/png"
	sealed, err := s.sealFile(ctx, ev.Room, data)
	if errors.Is(err, errMute) || errors.Is(err, invites.ErrNoView) {
		return nil
	} else if err != nil {
		return invites.UnlessRefused(err)
	}
	name := reply.Image.Name
	if sealed != nil {
		name, contentType = "", "application/octet-stream"
	}
	uri, err := s.timeline.Upload(ctx, name, contentType, data)
	if invites.Refused(err) {
		s.log.Warn().Err(err).Msg("Picture refused by the homeserver")
		var instead commands.Reply
		instead.Text.Say("picture.refused").Reason(invites.Errcode(err))
		_, err = s.say(ctx, ev.Room, transaction(ev.Event, "notice"), instead, m, "")
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
	_, err = s.message(ctx, ev.Room, transaction(ev.Event, "picture"), content)
	return err
}
