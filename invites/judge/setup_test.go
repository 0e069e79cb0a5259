package judge_test

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

type object = map[string]any

type world = invitestest.World

func newWorld(t *testing.T) *world {
	t.Helper()
	return invitestest.NewWorld(t)
}
