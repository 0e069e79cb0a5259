package commands

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/invites/ledger"
	"usher/policy"
	"usher/room"
)

func uninviteCommand() Command {
	return Command{
		Name: "uninvite", Level: User,
		Words: []string{"disinvite", "deinvite", "ausladen", "uninv", "withdraw"}, Loose: []string{"cancel", "revoke", "remove"},
		See:     []string{"pending", "prune"},
		Params:  []Param{invited(), inRoom(), reason(), dryRun(), asBot(), spaceFlag()},
		Records: true,
		Run:     runUninvite,
	}
}

// runUninvite withdraws invitations of users, or of addresses.
func runUninvite(ctx context.Context, c *Call) (reply Reply, err error) {
	named := c.addresses("user")
	if c.has("space") && len(named) == 0 {
		return inSpace(ctx, c, policy.ActionWithdraw, c.has("dry-run"))
	}
	if len(named) > 0 && len(c.people("user")) > 0 {
		return reply, fault(room.Say("uninvite.apart"))
	}
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	if len(named) == 0 {
		return ask(ctx, c, requestOf(c, policy.ActionWithdraw, in))
	}
	about, named, err := mailCall{c}.revoke(ctx, in, named)
	if err != nil || len(named) == 0 {
		return about, err
	}
	reply, err = mailCall{c}.uninviteAddresses(ctx, in, named)
	if err == nil && !about.Text.Empty() {
		about.Text.Line().Append(reply.Text)
		reply.Text = about.Text
	}
	return reply, err
}

// uninviteAddresses withdraws invitations of addresses by the homeserver.
func (c mailCall) uninviteAddresses(ctx context.Context, in id.RoomID, named []string) (reply Reply, err error) {
	gone, err := c.Ledger.Addresses.Withdraw(ctx, ledger.AddressWithdrawal{
		Command: c.Message.Event, Room: in, Actor: c.Message.Sender, Named: named, AsBot: c.has("as-bot"), DryRun: c.has("dry-run"),
	})
	if no := new(ledger.AddressError); errors.As(err, &no) {
		if stranger := c.strangers[no.Named]; stranger != nil {
			return reply, stranger
		}
		reply.Mention = true
		reply.Text.Tell(no.Phrase).Reason(no.Code)
		return reply, nil
	}
	if err != nil {
		return reply, err
	}
	reply.React = "✅"
	if c.has("dry-run") {
		reply.React = ""
		reply.Text.Say("uninvite.dry", "n", len(gone))
	}
	return reply, nil
}
