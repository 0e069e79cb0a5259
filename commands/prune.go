package commands

import (
	"context"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

func pruneCommand() Command {
	return Command{
		Name: "prune", Level: User,
		Loose:  []string{"withdrawall", "purge"},
		See:    []string{"tree", "uninvite"},
		Params: []Param{oneBranch(), inRoom(), asBot()},
		Run:    runPrune,
	}
}

func oneBranch() Param {
	p := user()
	p.once = room.Say("missing.one_branch")
	return p
}

// ConfirmWithin limits the time for the sender's reaction to a card.
const ConfirmWithin = 15 * time.Minute

// runPrune asks for a confirmation. The card does the rest: see requests.Propose.
func runPrune(ctx context.Context, c *Call) (reply Reply, err error) {
	req, seen, err := c.Requests.Proposed(ctx, c.Message.Event)
	if err != nil || seen {
		return Reply{Progress: true}, err // after a restart: the card stands
	}
	more := false
	if len(req.Targets) == 0 {
		if req, more, err = c.prune(ctx); err != nil {
			return reply, err
		}
	}
	switch {
	case c.Clock.Now().Sub(c.Event.ReceivedAt) >= ConfirmWithin:
		reply.Text.Say("prune.late")
		return reply, nil
	case len(req.Targets) == 0:
		reply.Text.Say("prune.none")
		return reply, nil
	}
	judged, err := c.Requests.DryRun(ctx, req)
	if err != nil {
		return reply, err
	}
	reply = pruneCard(judged, more)
	if reply.Progress {
		err = c.Requests.Propose(ctx, req, c.Event.ReceivedAt.Add(ConfirmWithin))
	}
	return reply, err
}

// pruneCard asks for a confirmation, and lists the invitations to stay, with reasons. If all would stay, nothing is
// asked. Unknown verdicts are decided after the confirmation.
func pruneCard(judged []judge.Judgement, more bool) Reply {
	var goes []id.UserID
	var stays []judge.Judgement
	for _, j := range judged {
		if j.Decision.Verdict == room.Deny || j.Decision.Code == policy.CodeNoView {
			stays = append(stays, j)
		} else {
			goes = append(goes, j.Question.Target)
		}
	}
	reply := Reply{Mention: true, Progress: len(goes) > 0}
	if !reply.Progress {
		reply.Text.Say("prune.nothing", "n", len(stays))
		tellStays(&reply.Text, stays)
		return reply
	}
	reply.Text.Say("prune.head", "n", len(goes))
	tellSome(&reply.Text, len(goes), func(i int) { reply.Text.Code(string(goes[i])) })
	if len(stays) > 0 {
		reply.Text.Line().Say("prune.stay", "n", len(stays))
		tellStays(&reply.Text, stays)
	}
	if more {
		reply.Text.Line().Say("prune.large")
	}
	reply.Text.Line().Say("prune.react", "within", ConfirmWithin)
	return reply
}

// tellStays lists the invitations to stay, each reason once.
func tellStays(t *Text, stays []judge.Judgement) {
	var reasons []string
	whose := map[string][]judge.Judgement{}
	for _, j := range stays {
		why := j.Explain().Phrase().String()
		if len(whose[why]) == 0 {
			reasons = append(reasons, why)
		}
		whose[why] = append(whose[why], j)
	}
	tellSome(t, len(reasons), func(i int) {
		these := whose[reasons[i]]
		more := ""
		if len(these) > 1 {
			more = fmt.Sprint(len(these) - 1)
		}
		t.Tell(room.Say("prune.stays", "target", these[0].Question.Target, "more", more).Holding(these[0].Explain().Phrase())).Reason(string(these[0].Decision.Code))
	})
}

// tellSome writes the first of n lines, and the number of the others. It leaves room in the message for more text.
func tellSome(t *Text, n int, one func(i int)) {
	for i := range n {
		t.Line()
		if i == maxLines || t.in("", nil).size > maxMessage/3 {
			t.Say("more", "n", n-i)
			return
		}
		one(i)
	}
}

// prune reads the command and finds the invitations of the branch.
func (c *Call) prune(ctx context.Context) (req requests.Request, more bool, err error) {
	in, err := c.joinedRoom(ctx)
	if err != nil {
		return req, false, err
	}
	entries, more, err := c.Ledger.Branch(ctx, c.Message.Sender, in, c.person("user"), maxTargets)
	if err != nil {
		return req, false, err
	}
	var targets []id.UserID
	for _, e := range entries {
		if !e.At.After(c.Event.ReceivedAt) {
			targets = append(targets, e.Target)
		}
	}
	return requests.Request{
		Command: c.Message.Event, CommandRoom: c.Message.Room, Actor: c.Message.Sender, Action: policy.ActionWithdraw,
		Room: in, Targets: targets, AsBot: c.has("as-bot"),
	}, more, nil
}
