package commands

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

func undoCommand() Command {
	return Command{
		Name: "undo", Level: User,
		Loose:   []string{"back", "revert", "oops", "zurück"},
		See:     []string{"uninvite", "policy"},
		Params:  []Param{inRoom(), dryRun()},
		Records: true,
		Run:     runUndo,
	}
}

// runUndo takes the asker's last invitation or change of the policy in a room back. It is judged as if they had asked for it by !uninvite, or by
// !policy revert.
func runUndo(ctx context.Context, c *Call) (reply Reply, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return reply, err
	}
	if rows, err := c.Requests.Progress(ctx, c.Message.Event); err != nil || len(rows) > 0 {
		return Outcome(rows, c.Clock.Now()), err // run again after a crash
	}
	last, found, err := c.Ledger.LastOf(ctx, c.Message.Sender, in, requests.ActionPolicy)
	switch {
	case err != nil:
		return reply, err
	case !found:
		return reply, fault(room.Say("undo.none"))
	case last.Action == requests.ActionPolicy:
		return undoPolicy(ctx, c, last)
	}
	rows, err := c.Requests.Progress(ctx, id.EventID(last.Request))
	if err != nil {
		return reply, err
	}
	req := requests.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: policy.ActionWithdraw, Room: in, AsBot: last.Performer == c.Self.Bot,
	}
	for _, row := range rows {
		if row.Action == room.Invite && row.Room == in && row.Actor == c.Message.Sender && row.Status != invites.StatusRefused && row.Status != invites.StatusCancelled && row.Code != string(policy.CodeAlready) {
			req.Targets = append(req.Targets, row.Target)
		}
	}
	return ask(ctx, c, req)
}

// undoPolicy takes the last change of a policy back, if it is the asker's.
func undoPolicy(ctx context.Context, c *Call, last invites.Audit) (reply Reply, err error) {
	revisions, err := c.Policies.History(ctx, last.Room, c.Message.Sender, 1)
	if err != nil {
		return reply, asFault(err)
	}
	if len(revisions) == 0 || revisions[0].Event != last.Policy {
		return reply, fault(room.Say("undo.changed", "prefix", c.Prefix))
	}
	if c.has("dry-run") {
		reply.Text.Tell(room.Say("undo.policy").Holding(changes(requests.Revision{Before: revisions[0].After, After: revisions[0].Before})...))
		return reply, nil
	}
	reply, err = revertPolicy(ctx, c, last.Room)
	return reply, asFault(err)
}
