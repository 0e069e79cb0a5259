package guard_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites/invitestest"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	lobby = invitestest.Lobby
	dora  = id.UserID("@dora:here")
)

type object = map[string]any

type world = invitestest.World

func newWorld(t *testing.T) *world {
	t.Helper()
	return invitestest.NewWorld(t)
}
