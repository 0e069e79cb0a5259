package commands

import (
	"context"
	"time"

	"usher/invites"
	"usher/invites/requests"
	"usher/room"
)

func inviteCommand() Command {
	return Command{
		Name: "invite", Level: User,
		About:  "Invites people to this room, or to another that you may invite to.",
		Params: []Param{users(), inRoom(), reason(), dryRun(), asBot()},
		Run:    change(room.Invite),
	}
}

// maxTargets is how many people one command may name: no more fit into a message.
const maxTargets = 5000

// change runs a command that asks for one action on some people.
func change(action room.ActionType) func(context.Context, *Call) (Reply, error) {
	return func(ctx context.Context, c *Call) (Reply, error) {
		in, via, err := c.room(ctx, "room")
		if err != nil {
			return Reply{}, err
		}
		req := requests.Request{
			Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: action,
			Room: in, Via: via, Targets: c.people("user"), Reason: c.text("reason"), AsBot: c.has("as-bot"),
		}
		if c.has("dry-run") {
			return c.judge(ctx, req)
		}
		return c.ask(ctx, req)
	}
}

// ask carries a request out and words its outcome.
func (c *Call) ask(ctx context.Context, req requests.Request) (Reply, error) {
	rows, err := c.Requests.Ask(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	return Outcome(rows, c.Clock.Now()), nil
}

// judge words what a request would lead to.
func (c *Call) judge(ctx context.Context, req requests.Request) (Reply, error) {
	judged, err := c.Requests.DryRun(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	for i, j := range judged {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Sayf("… and %d more.", len(judged)-i)
			break
		}
		explained := j.Explain()
		reply.Text.Say(mark(j.Decision.Verdict) + " ").Code(string(j.Question.Target)).Say(": " + said(explained.Phrase()))
		reply.Text.Reason(string(j.Decision.Code))
	}
	return reply, nil
}

func mark(v room.Verdict) string {
	switch v {
	case room.Allow:
		return "✅"
	case room.Unknown:
		return "❔"
	}
	return "❌"
}

// Outcome words the rows of one command as they stand: a reaction where all went well, else a line for each that did not, and
// what is still to come. It serves the first answer and every edit of it.
func Outcome(rows []invites.Change, now time.Time) Reply {
	var reply Reply
	done, open, waiting := 0, []invites.Change{}, 0
	var told []invites.Change
	for _, row := range rows {
		switch {
		case row.Status == invites.StatusOpen:
			open = append(open, row)
		case row.Status == invites.StatusWaiting:
			waiting++
		case row.Status == invites.StatusDone && row.Detail == "":
			done++
		default:
			told = append(told, row)
		}
	}
	if len(open) == 0 && done > 0 && done+len(told) == len(rows) {
		reply.React = "✅"
	}
	if len(open) == 0 && len(told) == 0 && waiting == 0 {
		return reply
	}
	if waiting > 0 {
		waits(&reply, len(rows), done, waiting)
	} else if len(open) > 0 {
		reply.Progress = true
		reply.Text.Sayf("⏳ %d of %d done; %s", len(rows)-len(open), len(rows), wait(open, now))
	} else if done > 0 {
		reply.Text.Sayf("%d of %d done.", done, len(rows))
	}
	reply.Mention = done == 0 && len(open) == 0 && waiting == 0
	for i, row := range told {
		if i > 0 || !reply.Text.Empty() {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Sayf("… and %d more.", len(told)-i)
			break
		}
		tell(&reply.Text, row, len(rows) > 1)
	}
	return reply
}

// waits says that people are still to decide.
func waits(reply *Reply, all, done, waiting int) {
	reply.Progress = true
	switch {
	case all == 1:
		reply.Text.Say("⏳ This needs approval; those who decide have been asked.")
	case waiting == all:
		reply.Text.Sayf("⏳ These %d invitations need approval; those who decide have been asked.", all)
	default:
		reply.Text.Sayf("⏳ %d of %d done; %d wait for approval.", done, all, waiting)
	}
	reply.Text.Reason("policy.approval.required")
}

// maxLines is how many people one notice tells of.
const maxLines = 30

// tell words one outcome that is not plain success.
func tell(t *Text, row invites.Change, named bool) {
	if named {
		t.Code(string(row.Target)).Say(": ")
	}
	detail := told(row.Detail)
	if detail == "" {
		detail = string(row.Status) + "."
	}
	t.Say(detail)
	if row.Code != "" {
		t.Reason(row.Code)
	}
}

// wait says when the rest may be expected.
func wait(open []invites.Change, now time.Time) string {
	var last time.Duration
	limited := false
	for _, row := range open {
		last = max(last, row.DueAt.Sub(now))
		limited = limited || row.Code == invites.CodeLimited || row.Code == invites.CodeTurn
	}
	switch minutes := int((last + 59*time.Second) / time.Minute); {
	case last <= 2*time.Second:
		return "the rest is on its way."
	case limited && minutes > 1:
		return "the homeserver limits how fast people may be invited; the rest is queued, about " + plural(minutes, "minute") + "."
	case limited:
		return "the homeserver limits how fast people may be invited; the rest is queued, about a minute."
	case minutes > 1:
		return "the homeserver has trouble; I try again in about " + plural(minutes, "minute") + "."
	}
	return "the homeserver has trouble; I try again in a moment."
}
