package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

func inviteCommand() Command {
	return Command{
		Name: "invite", Level: User,
		Words: []string{"inv", "lade", "inviter", "invitar", "invita", "uitnodigen"}, Loose: []string{"add", "bring", "let", "in", "ein"},
		See: []string{"uninvite", "pending", "why"},
		Params: []Param{guests(), inRoom(), reason(), members(), dryRun(), asBot(), flag("resend", room.Say("param.resend")), spaceFlag(),
			flag("now", room.Say("param.now")), flag("suggested", room.Say("param.suggested"))},
		Records: true, Beside: true,
		Run: runInvite, Many: inviteMany,
	}
}

// runInvite invites people, of whom some may be named by their e-mail addresses.
func runInvite(ctx context.Context, c *Call) (reply Reply, err error) {
	addresses := c.addresses("user")
	if c.has("space") && len(addresses) == 0 {
		return inSpace(ctx, c, room.Invite, c.has("dry-run"))
	}
	if len(addresses) == 0 && !c.has("resend") {
		in, err := inviteInto(ctx, c)
		if err != nil {
			return reply, err
		}
		return ask(ctx, c, requestOf(c, room.Invite, in))
	}
	w, err := mailCall{c}.wish(ctx, addresses)
	if err != nil {
		return Reply{}, err
	}
	if len(c.people("user")) > 0 {
		in, err := inviteInto(ctx, c)
		if err == nil {
			reply, err = ask(ctx, c, requestOf(c, room.Invite, in))
		}
		if err != nil {
			return Reply{}, err
		}
	}
	about, err := mailCall{c}.letters(ctx, w)
	if err != nil || reply.Empty() {
		return about, err
	}
	if reply.Progress { // the first reply is going to be edited
		return reply, c.Chat.Besides(ctx, c.Message, about)
	}
	if !reply.Text.Empty() {
		reply.Text.Line()
	}
	reply.Text.Append(about.Text)
	return reply, nil
}

// inviteInto returns the room into which a command invites. The error is a Fault where that room was replaced and the command does not name it.
func inviteInto(ctx context.Context, c *Call) (id.RoomID, error) {
	in, err := c.joinedRoom(ctx)
	if err == nil {
		err = whichRoom(ctx, c, in)
	}
	return in, err
}

// whichRoom asks for the room of a command without one, where the room was replaced.
func whichRoom(ctx context.Context, c *Call, in id.RoomID) error {
	if c.has("room") {
		return nil
	}
	next, err := c.Judge.Reach.ReplacedBy(ctx, in, c.Message.Sender)
	if err != nil || next == "" {
		return err
	}
	return fault(room.Say("room.replaced", "here", in, "next", next))
}

// retried has the bot ask again to join a room to which it is invited already, if the command invites the bot there.
func retried(c *Call, reply Reply, rows []invites.Change) Reply {
	for _, row := range rows {
		if row.Target == c.Self.Bot && row.Code == string(policy.CodeAlready) && c.Chat.Retry(row.Room) {
			reply.Text.Line()
			reply.Text.Say("invite.again")
		}
	}
	return reply
}

// judge words the decisions on a request, and does nothing.
func (c *Call) judge(ctx context.Context, req requests.Request) (Reply, error) {
	judged, err := c.Requests.DryRun(ctx, req)
	if errors.Is(err, requests.ErrDryRun) {
		return Reply{}, fault(room.Say("many.questions", "n", len(req.Targets), "most", requests.MaxDryRun))
	}
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	for i, j := range judged {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Say("more", "n", len(judged)-i)
			break
		}
		reply.Text.Tell(room.Say("judge", "mark", mark(j.Decision.Verdict), "target", j.Question.Target).Holding(j.Explain().Phrase()))
		reply.Text.Reason(string(j.Decision.Code))
		if j.Decision.Code != policy.CodeAlready {
			continue
		}
		if listed, err := c.Ledger.Listed(ctx, c.Message.Sender, req.Room, j.Question.Target); err != nil {
			return Reply{}, err
		} else if len(listed) > 0 {
			reply.Text.Say("why.listed_since")
		}
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

// partly is the reaction on a command of which only some changes were made.
const partly = "⚠️"

// Outcome words the rows of one command as they stand: ✅ if all are done, ⚠️ if only some are, and then a line for each failed row, and the
// number of rows under way. It serves the first answer and every edit of it.
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
		case row.Status == invites.StatusDone && row.Detail.Empty():
			done++
		default:
			told = append(told, row)
		}
	}
	failed := slices.DeleteFunc(slices.Clone(told), func(row invites.Change) bool { return row.Status == invites.StatusDone })
	if len(open) == 0 && len(failed) < len(rows) && done+len(told) == len(rows) {
		reply.React = "✅"
		if len(failed) > 0 {
			reply.React = partly
		}
	}
	if len(open) == 0 && len(told) == 0 && waiting == 0 {
		return reply
	}
	if waiting > 0 {
		waits(&reply, len(rows), done, waiting)
	} else if len(open) > 0 {
		reply.Progress = true
		reply.Text.Tell(room.Say("progress.open", "n", len(rows), "done", len(rows)-len(open), "all", len(rows)).Holding(wait(open, len(rows), now)))
	} else if reply.React == partly {
		reply.Text.Say("progress.done", "done", len(rows)-len(failed), "all", len(rows))
	}
	reply.Mention = done == 0 && len(open) == 0 && waiting == 0
	for i, row := range told {
		if i > 0 || !reply.Text.Empty() {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Say("more", "n", len(told)-i)
			break
		}
		tell(&reply.Text, row, len(rows) > 1)
	}
	return reply
}

// waits words a request under vote.
func waits(reply *Reply, all, done, waiting int) {
	reply.Progress = true
	if waiting == all {
		reply.Text.Say("progress.approval", "n", all)
	} else {
		reply.Text.Say("progress.waiting", "done", done, "all", all, "waiting", waiting)
	}
	reply.Text.Reason("policy.approval.required")
}

// maxLines is how many people one notice tells of.
const maxLines = 30

// tell words one outcome other than plain success.
func tell(t *Text, row invites.Change, named bool) {
	if named {
		t.Say("about", "target", row.Target)
	}
	if row.Detail.Empty() {
		t.Say("progress.status", "status", row.Status)
	} else {
		t.Tell(row.Detail)
	}
	if row.Code != "" {
		t.Reason(row.Code)
	}
}

// wait says when the open rows among all may be expected.
func wait(open []invites.Change, all int, now time.Time) room.Phrase {
	var last time.Duration
	var server, trouble, limit room.Phrase // say which server can't be reached, what the homeserver said, and which limit it has
	var limited time.Time
	for _, row := range open {
		last = max(last, row.DueAt.Sub(now))
		switch row.Code {
		case invites.CodeServer, string(policy.CodeUnsent):
			server = row.Detail
		case invites.CodeLimited, invites.CodeTurn:
			if !row.DueAt.Before(limited) {
				limited, limit = row.DueAt, row.Detail
			}
		default:
			if row.Detail.Key == "detail.trouble" {
				trouble = row.Detail
			}
		}
	}
	minutes := max(1, int((last+59*time.Second)/time.Minute))
	switch {
	case !server.Empty():
		return room.Say("wait.server", "n", minutes).Holding(server)
	case last <= 2*time.Second && trouble.Empty():
		return room.Say("wait.soon", "n", all)
	case !limited.IsZero():
		if limit.Empty() { // a row of an older version
			limit = room.Say("limit.some")
		}
		return room.Say("wait.limited", "n", minutes).Holding(limit)
	}
	p := room.Say("wait.trouble", "n", minutes)
	if !trouble.Empty() {
		p = p.Holding(trouble)
	}
	return p
}
