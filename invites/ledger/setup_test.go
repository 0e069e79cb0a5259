package ledger_test

import (
	"testing"
	"time"

	"usher/invites/invitestest"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	lobby = invitestest.Lobby
)

const day = 24 * time.Hour

// world is a world with helpers of this package.
type world struct{ *invitestest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{invitestest.NewWorld(t)}
}
