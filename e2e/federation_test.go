package e2e

import (
	"net/url"
	"os"
	"testing"

	"maunium.net/go/mautrix/id"

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

// TestFederatedSecret: somebody of another server gives commands in an encrypted room and reads the answers: device lists, one-time
// keys and keys of messages go over federation, those of a device that is new too. The other server is Dendrite, and Synapse
// where there is one. The room is one of the bot's server, or, where a remote invitation reaches the bot, one of theirs.
func TestFederatedSecret(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, Encrypted: true, TLSPort: tlsPort(t, 8448)})}
	s.owner = s.Account("owner")
	peers := []homeserver.Kind{homeserver.Dendrite}
	if s.Server.Kind == homeserver.Synapse || os.Getenv("USHER_E2E_SYNAPSE_ROOT") != "" {
		peers = append(peers, homeserver.Synapse)
	}
	for i, kind := range peers {
		peer := harness.Peer(t, kind, tlsPort(t, 8449+i))
		dave := harness.NewAccount(t, peer, "dave", "", false).Encrypted()
		t.Run("somebody of "+string(kind), func(t *testing.T) {
			room := s.BotRoom(s.owner, harness.RoomOptions{Power: m{"invite": 0}})
			s.settled(s.owner, room)
			s.succeeds(s.owner, room, "!invite "+string(dave.ID))
			dave.AwaitInvite(room)
			dave.Join(room)
			s.owner.AwaitMember(room, dave.ID, "join")
			s.speaks(t, dave, room)
			s.settled(s.owner, room)
		})
		t.Run("a room of "+string(kind), func(t *testing.T) {
			if s.Server.Kind == homeserver.Dendrite {
				t.Skip("Dendrite does not tell the bot of remote invitations")
			}
			s.speaks(t, dave, s.BotRoom(dave, harness.RoomOptions{Power: m{"invite": 0}}))
		})
	}
}

// speaks has somebody invite a new guest in an encrypted room, be refused, and go on with a new device.
func (s *stage) speaks(t *testing.T, who *harness.Account, room id.RoomID) {
	t.Helper()
	guest := s.Account("guest")
	said := who.Say(room, "!invite "+string(guest.ID))
	who.AwaitReaction(said, s.Usher.Bot, done)
	guest.AwaitInvite(room)
	if reply := s.refused(t, who, room, "!invite", "Usage"); reply.Wire != "m.room.encrypted" {
		t.Errorf("answered by %s", reply.Wire)
	}
	again := who.Again()
	s.settled(again, room) // its server's news of the device may come after the answer; the key follows then
	s.settled(who, room)
}

// TestFederatedFacts: whether the homeserver tells an appservice that its bot was invited from another server. Dendrite does
// not; the invitation shows in the bot's own /sync alone.
func TestFederatedFacts(t *testing.T) {
	w := harness.New(t, harness.Options{Alone: true, TLSPort: tlsPort(t, 8448)})
	if err := w.Door.To(harness.Accept); err != nil {
		t.Fatal(err)
	}
	peer := harness.Peer(t, homeserver.Dendrite, tlsPort(t, 8449))
	dave := harness.NewAccount(t, peer, "dave", "", false)
	bot := id.NewUserID("usher", w.Server.Domain)
	caller := harness.Caller{URL: w.Server.URL, Token: w.Bot.ASToken}
	ask := func(path string, body any) {
		t.Helper()
		if answer, err := caller.Do(harness.Soon(t), "POST", "/_matrix/client/v3"+path, body); err != nil || answer.Status != 200 {
			t.Fatalf("%s: %v %s", path, err, answer)
		}
	}
	ask("/register", m{"type": "m.login.application_service", "username": "usher", "inhibit_login": true})
	room := dave.CreateRoom(harness.RoomOptions{})
	dave.Invite(room, bot)
	caller.UserID = string(bot)
	ask("/join/"+url.PathEscape(string(room)), m{})
	said := dave.Say(room, "hello")
	if _, err := w.Door.AwaitEvent(harness.Soon(t), func(e harness.Event) bool { return e.ID == string(said) }); err != nil {
		t.Fatalf("a remote message is not pushed: %v", err)
	}
	invited := false
	for _, transaction := range w.Door.Transactions() {
		for _, e := range transaction.Events() {
			invited = invited || (e.Room == string(room) && e.Is(string(bot)) && e.Field("membership") == "invite")
		}
	}
	if known := w.Server.Kind == homeserver.Synapse; invited != known {
		t.Errorf("a remote invitation of the bot is pushed: %v, known: %v", invited, known)
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
