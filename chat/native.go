package chat

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// Post shows the cards of a request soon: no lane does it where the homeserver asked, and not a command.
func (d *CardDesk) Post(request id.EventID) {
	d.status.Do(func(ctx context.Context) {
		if err := d.postOf(ctx, request); err != nil {
			d.log.Warn().Err(err).Str("request", string(request)).Msg("Card left to the sweep")
		}
	})
}
