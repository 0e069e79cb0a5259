package commands

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func whoInvitedCommand() Command {
	return Command{
		Name: "whoinvited", Level: User,
		Words: []string{"who-invited", "invitedby", "whoinvites", "whoinvite"}, Loose: []string{"who", "inviter"},
		See:    []string{"tree", "pending"},
		Params: []Param{users(), inRoom()},
		Run:    runWhoInvited,
	}
}

// maxHistory is how many invitations of one person are told.
const maxHistory = 5

func runWhoInvited(ctx context.Context, c *Call) (Reply, error) {
	users := c.people("user")
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	for i, user := range users {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines/2 {
			reply.Text.Say("more.people", "n", len(users)-i)
			break
		}
		if err := c.tellHistory(ctx, &reply.Text, in, user); err != nil {
			return Reply{}, err
		}
	}
	return reply, nil
}

func (c *Call) tellHistory(ctx context.Context, t *Text, in id.RoomID, user id.UserID) error {
	entries, err := c.Ledger.Past(ctx, c.Message.Sender, in, user, maxHistory+1)
	if err != nil {
		return err
	}
	t.Say("about", "target", user)
	if len(entries) == 0 {
		t.Say("history.none")
		return nil
	}
	for i, e := range entries {
		if i > 0 {
			t.Line().Say("history.before")
		}
		if i == maxHistory {
			t.Say("history.more")
			break
		}
		tellEntry(t, e, c.Clock.Now())
	}
	return nil
}

// tellFate words the end of an invitation.
func tellEntry(t *Text, e invites.Invitation, now time.Time) {
	switch e.Fate {
	case invites.FatePending:
		t.Say("history.pending", "inviter", e.Inviter, "way", through(e.Way), "age", now.Sub(e.At), "at", moment(e.At))
		return
	case invites.FateUnseen:
		t.Say("history.unseen", "inviter", e.Inviter, "way", through(e.Way), "age", now.Sub(e.At), "at", moment(e.At))
		return
	}
	by := e.EndedBy
	switch e.Fate {
	case invites.FateWithdrawn, invites.FateBanned, invites.FateRenewed:
	default:
		by = ""
	}
	t.Say("history.ended", "inviter", e.Inviter, "way", through(e.Way), "age", now.Sub(e.At), "at", moment(e.At), "fate", e.Fate, "by", by, "since", now.Sub(e.EndedAt), "ended", moment(e.EndedAt))
}
