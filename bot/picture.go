package bot

import (
	"context"
	"errors"

	"usher/commands"
	"usher/invites"
)

// attach uploads the picture of a reply and sends it. Rooms that are encrypted will want it encrypted here.
func (b *bot) attach(ctx context.Context, ev invites.Received, m commands.Message, reply commands.Reply) error {
	uri, err := b.client.Upload(ctx, reply.Image.Name, "image/png", reply.Image.PNG)
	var act *invites.ActError
	if errors.As(err, &act) && act.Class == invites.ClassRefused {
		b.log.Warn().Err(err).Msg("the homeserver takes no picture")
		var instead commands.Reply
		instead.Text.Say("The homeserver did not take the picture.").Reason(act.Code)
		_, err = b.send(ctx, ev.Room, transaction(ev.Event, "notice"), "m.room.message", instead.Notice(m))
		return err
	}
	if err != nil {
		return err
	}
	_, err = b.send(ctx, ev.Room, transaction(ev.Event, "picture"), "m.room.message", reply.Picture(m, uri))
	return err
}
