package cards_test

import (
	"testing"

	"usher/invites/invitestest"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	lobby = invitestest.Lobby
)

// world is a world with helpers of this package.
type world struct{ *invitestest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{invitestest.NewWorld(t)}
}
