package links_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
)

const (
	alice  = invitestest.Alice
	bob    = invitestest.Bob
	carol  = invitestest.Carol
	remote = invitestest.Remote
	lobby  = invitestest.Lobby
)

type world = invitestest.World

func newWorld(t *testing.T) *world {
	t.Helper()
	return invitestest.NewWorld(t)
}

// makeLink has alice make a link into the lobby.
func makeLink(t *testing.T, w *world) (invites.Link, links.Secret) {
	t.Helper()
	l, secret, err := w.Links.Create(t.Context(), links.Wish{Maker: alice, Rooms: []id.RoomID{lobby}, Uses: 2})
	if err != nil {
		t.Fatal(err)
	}
	return l, secret
}
