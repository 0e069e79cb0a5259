package e2e

import (
	"testing"

	"usher/e2e/child"
	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestFederatedInvite: Usher on one server invites somebody of another, who joins; then a person of the other server asks it, on
// whose behalf only the bot can act. The other server is always Dendrite.
func TestFederatedInvite(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, TLSPort: tlsPort(t, 8448)})}
	s.owner = s.Account("owner")
	peer := harness.Peer(t, homeserver.Dendrite, tlsPort(t, 8449))
	dave, erin := harness.NewAccount(t, peer, "dave", "", false), harness.NewAccount(t, peer, "erin", "", false)
	for _, version := range []string{"10", "12"} {
		t.Run("v"+version, func(t *testing.T) {
			room := s.BotRoom(s.owner, harness.RoomOptions{Version: version})
			s.succeeds(s.owner, room, "!invite "+string(dave.ID))
			s.is(t, room, dave.ID, "invite", s.owner.ID)
			dave.AwaitInvite(room)
			dave.Join(room)
			s.owner.AwaitMember(room, dave.ID, "join")

			said := dave.Say(room, "!invite "+string(erin.ID))
			dave.AwaitReaction(said, s.Usher.Bot, done)
			s.is(t, room, erin.ID, "invite", s.Usher.Bot)
			erin.AwaitInvite(room)
		})
	}
}

// tlsPort returns the usual port if it is free, else another.
func tlsPort(t *testing.T, usual int) int {
	t.Helper()
	if child.PortFree(usual) {
		return usual
	}
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
