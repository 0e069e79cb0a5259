package store

import (
	"context"

	"maunium.net/go/mautrix/id"
)

const deleteReceived = `DELETE FROM inbox WHERE event_id = $1`

// Dismiss drops inbox events that turned out to be nobody's business here, all in one commit. Should one come again, it is
// new again.
func (s Inbox) Dismiss(ctx context.Context, events []id.EventID) error {
	return changeEach(ctx, s.db, events, deleteReceived, func(e id.EventID) []any { return []any{e} })
}
