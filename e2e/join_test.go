package e2e

import (
	"testing"

	"usher/e2e/harness"
)

// TestJoin: a local caller is joined by identity assertion, into a public room and into one that invites them; an operator sends the
// bot.
func TestJoin(t *testing.T) {
	s := newStage(t, true)
	direct := s.BotRoom(s.guest, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})

	public := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat"})
	s.succeeds(s.guest, direct, "!join "+string(public))
	s.is(t, public, s.guest.ID, "join", s.guest.ID)

	s.owner.Invite(s.room, s.guest.ID)
	s.succeeds(s.guest, direct, "!join "+string(s.room))
	s.is(t, s.room, s.guest.ID, "join", s.guest.ID)

	closed := s.BotRoom(s.owner, harness.RoomOptions{})
	s.refused(t, s.guest, direct, "!join "+string(closed), "join.not_invited")
	s.is(t, closed, s.guest.ID, "leave", "")

	another := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat"})
	s.refused(t, s.guest, direct, "!join --bot "+string(another), "operator")
	admin := s.Admin()
	office := s.BotRoom(admin, harness.RoomOptions{})
	s.succeeds(admin, office, "!join --bot "+string(another))
	s.is(t, another, s.Usher.Bot, "join", s.Usher.Bot)
}

// TestJoinByAlias: an alias is resolved.
func TestJoinByAlias(t *testing.T) {
	s := newStage(t, true)
	public := s.owner.CreateRoom(harness.RoomOptions{Preset: "public_chat"})
	s.owner.Do("PUT", "/v3/directory/room/%23lounge:usher.test", m{"room_id": public})
	direct := s.BotRoom(s.guest, harness.RoomOptions{Preset: "trusted_private_chat", Direct: true})
	s.succeeds(s.guest, direct, "!join #lounge:usher.test")
	s.is(t, public, s.guest.ID, "join", s.guest.ID)
	s.refused(t, s.guest, direct, "!join #nowhere:usher.test", "#nowhere:usher.test")
}

// TestAutoJoin: invitees whose operator configured it join at once.
func TestAutoJoin(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, Set: m{"puppet.auto_join": []string{"@guest*:usher.test"}}})}
	s.owner, s.guest = s.Account("owner"), s.Account("guest")
	s.room = s.BotRoom(s.owner, harness.RoomOptions{})
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
	s.owner.AwaitMember(s.room, s.guest.ID, "join")
	s.is(t, s.room, s.guest.ID, "join", s.guest.ID)
}
