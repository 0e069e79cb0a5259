package chat

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
)

// invitedTo is a homeserver with open invitations of the bot.
type invitedTo struct {
	Occupancy
	open   []invites.OwnInvitation
	over   []id.RoomID
	joined []id.RoomID
	since  []string
}

func (h *invitedTo) Invitations(_ context.Context, since string) ([]invites.OwnInvitation, []id.RoomID, string, error) {
	h.since = append(h.since, since)
	open, over := h.open, h.over
	h.open, h.over = nil, nil
	return open, over, "next", nil
}

func (h *invitedTo) JoinedRooms(context.Context) ([]id.RoomID, error) { return h.joined, nil }

// joins is a RoomState that answers joins one after the other.
type joins struct {
	RoomState
	answers []error
	asked   []invites.Effect
}

func (j *joins) Act(_ context.Context, e invites.Effect) error {
	j.asked = append(j.asked, e)
	if len(j.answers) == 0 {
		return nil
	}
	err := j.answers[0]
	j.answers = j.answers[1:]
	return err
}

// TestInvitedTriesAgain: an invitation that no event has led to is accepted after a while, and again after each refusal as long as it stands.
func TestInvitedTriesAgain(t *testing.T) {
	t.Parallel()
	b, _ := newChat(t)
	b.Members.runner.Level = func(id.UserID) commands.Level { return commands.User }
	refused := &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403}
	hs, rooms := &invitedTo{open: []invites.OwnInvitation{{Room: "!new:there", Sender: "@ann:there"}}}, &joins{RoomState: b.Members.state, answers: []error{refused, refused}}
	b.Members.state = rooms
	i := &Invited{source: hs, members: b.Members, log: zerolog.Nop(), hurry: make(chan struct{}, 1), open: map[id.RoomID]*standing{}}
	now := time.Now()
	look := func(after time.Duration, joins int) {
		t.Helper()
		now = now.Add(after)
		if err := i.look(t.Context(), now); err != nil || len(rooms.asked) != joins {
			t.Fatalf("%v, %d joins asked, want %d", err, len(rooms.asked), joins)
		}
	}
	look(0, 0)
	look(eventTime, 1) // refused
	look(time.Second, 1)
	look(firstAccept, 2) // refused
	look(firstAccept, 2)
	if !i.Retry("!new:there") || i.Retry("!other:there") {
		t.Error("the invitation is not known, or another is")
	}
	look(0, 3)
	look(time.Hour, 3)
	if e := rooms.asked[2]; e.Room != "!new:there" || e.Performer != b.Members.self.Bot || len(e.Via) != 1 || e.Via[0] != "there" {
		t.Errorf("asked %+v", e)
	}
	if hs.since[0] != "" || hs.since[1] != "next" {
		t.Errorf("asked since %q", hs.since)
	}

	hs.open = []invites.OwnInvitation{{Room: "!gone:there", Sender: "@ann:there"}, {Room: "!in:there", Sender: "@ann:there"}}
	look(0, 3)
	hs.over, hs.joined = []id.RoomID{"!gone:there"}, []id.RoomID{"!in:there"}
	look(time.Hour, 3)
	if len(i.open) > 0 {
		t.Errorf("still open: %v", i.open)
	}
}
