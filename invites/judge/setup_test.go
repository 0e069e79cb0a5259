package judge_test

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

type object = map[string]any

type world = invitestest.World

func newWorld(t *testing.T) *world {
	t.Helper()
	return invitestest.NewWorld(t)
}
