package commands

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func whoInvitedCommand() Command {
	return Command{
		Name: "whoinvited", Level: User,
		About:  "Says who invited somebody here, when, how, and what became of it.",
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
			reply.Text.Sayf("… and %d more people.", len(users)-i)
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
	t.Code(string(user)).Say(": ")
	if len(entries) == 0 {
		t.Say("I have seen no invitation here.")
		return nil
	}
	for i, e := range entries {
		if i > 0 {
			t.Line().Say("· before that, ")
		}
		if i == maxHistory {
			t.Say("more.")
			break
		}
		t.Say("invited by ").Code(string(e.Inviter)).Say(through(e.Way) + " on " + e.At.UTC().Format("2006-01-02 15:04") + " UTC, ")
		tellFate(t, e)
	}
	return nil
}

// tellFate words what became of an invitation.
func tellFate(t *Text, e invites.Invitation) {
	t.Say(string(e.Fate))
	switch e.Fate {
	case invites.FatePending:
		t.Say(".")
		return
	case invites.FateUnseen:
		t.Say(" (I was not here when it ended).")
		return
	case invites.FateWithdrawn, invites.FateBanned, invites.FateRenewed:
		t.Say(" by ").Code(string(e.EndedBy))
	}
	t.Say(" on " + e.EndedAt.UTC().Format("2006-01-02 15:04") + " UTC.")
}
