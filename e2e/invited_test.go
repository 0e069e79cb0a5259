package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/e2e/harness"
	"usher/e2e/homeserver"
)

// TestFirstJoinRefused: the homeserver refuses the bot's first join after an invitation, as it does when it has not stored a federated one
// yet. The bot tries again while the invitation stands, and when somebody in the room asks for it.
func TestFirstJoinRefused(t *testing.T) {
	s := newStage(t, true)
	for _, tt := range []struct {
		status int
		body   string
		times  int // how often the join is refused
	}{
		{403, `{"errcode":"M_FORBIDDEN","error":"You are not invited to this room."}`, 1},
		{404, `{"errcode":"M_UNKNOWN","error":"No row found"}`, 2},
		{404, `{"errcode":"M_NOT_FOUND","error":"Can't join remote room because no servers that are in the room have been provided."}`, 1},
		{403, `<html>`, 2},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			joins := 0
			s.Usher.Tap.Disturb(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/join") && r.URL.Query().Get("user_id") == string(s.Usher.Bot) {
					if joins++; joins <= tt.times {
						_, _ = io.Copy(io.Discard, r.Body)
						w.WriteHeader(tt.status)
						_, _ = io.WriteString(w, tt.body)
						return
					}
				}
				next.ServeHTTP(w, r)
			})
			defer s.Usher.Tap.Disturb(nil)
			room := s.owner.CreateRoom(harness.RoomOptions{})
			s.owner.Invite(room, s.Usher.Bot)
			s.owner.AwaitMember(room, s.Usher.Bot, "join")
		})
	}
}

// TestInvitedUnheard: the event of the bot's invitation never reaches Usher. It finds the invitation by itself.
func TestInvitedUnheard(t *testing.T) {
	s := newStage(t, true)
	s.Usher.Door.Disturb(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}") // taken, and lost
	})
	room := s.owner.CreateRoom(harness.RoomOptions{})
	s.owner.Invite(room, s.Usher.Bot)
	s.owner.AwaitMember(room, s.Usher.Bot, "join")
}

// TestInvitedFromElsewhere: somebody of another server invites the bot. Dendrite does not push that.
func TestInvitedFromElsewhere(t *testing.T) {
	s := &stage{World: harness.New(t, harness.Options{Puppet: true, TLSPort: tlsPort(t, 8448)})}
	peer := harness.Peer(t, homeserver.Dendrite, tlsPort(t, 8449))
	dave := harness.NewAccount(t, peer, "dave", "", false)
	room := dave.CreateRoom(harness.RoomOptions{})
	dave.Invite(room, s.Usher.Bot)
	dave.AwaitMember(room, s.Usher.Bot, "join")
}

// TestUnreachableServer: where the server of the invitee can't be reached, the answer names it, on any homeserver.
func TestUnreachableServer(t *testing.T) {
	s := newStageOf(t, harness.Options{Puppet: true, TLSPort: tlsPort(t, 8448)})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	said := s.owner.Say(s.room, "!invite "+string(id.NewUserID("x", address)))
	reply := s.owner.AwaitReply(said, s.Usher.Bot)
	if text := reply.Field("body"); !strings.Contains(text, address+" does not answer yet") {
		t.Errorf("answered: %s", text)
	}
	s.silentServer(t)
	s.succeeds(s.owner, s.room, "!invite "+string(s.guest.ID))
}

// silentServer has somebody name people, rooms and aliases of a server that takes connections and says nothing, and of one that is not there.
// Somebody else in the room is answered within seconds each time, and the guard sets a door back.
func (s *stage) silentServer(t *testing.T) {
	pit, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pit.Close()
	mod := s.Account("mod")
	guarded := s.guarded(t, "", mod, m{"version": 1, "guard": m{"mode": "enforce", "join_rule": "invite"}})
	go func() {
		for {
			c, err := pit.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	other, silent := s.Account("other"), pit.Addr().String()
	s.owner.Invite(s.room, other.ID)
	other.Join(s.room)
	s.owner.AwaitMember(s.room, other.ID, "join")
	for _, command := range []string{
		"!invite @x:" + silent,
		"!join https://matrix.to/#/!abc:" + silent + "?via=" + silent,
		"!join #x:" + silent,
		"!why @x:" + silent + " invite #x:does-not-exist.invalid",
	} {
		start := time.Now()
		said := s.owner.Say(s.room, command)
		other.AwaitReply(other.Say(s.room, "!ping"), s.Usher.Bot)
		took := time.Since(start)
		reply := s.owner.AwaitReply(said, s.Usher.Bot)
		t.Logf("%s: somebody else waits %s; answered: %s", command, took.Round(time.Millisecond), reply.Field("body"))
		if took > 10*time.Second {
			t.Errorf("%s: somebody else waits %s", command, took)
		}
	}
	mod.Say(guarded, "!join #x:"+silent)
	mod.SetState(guarded, joinRules, "", m{"join_rule": "public"})
	s.owner.Await("the door as it was", func(e harness.Event) bool {
		return e.Room == string(guarded) && e.Type == joinRules && e.Sender == string(s.Usher.Bot) && e.Field("join_rule") == "invite"
	})
}
