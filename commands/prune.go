package commands

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

func pruneCommand() Command {
	return Command{
		Name: "prune", Level: User,
		About:  "Withdraws all open invitations by somebody, and by those they brought. Asks before it does.",
		Params: []Param{oneBranch(), inRoom(), asBot()},
		Run:    runPrune, Decide: decidePrune,
	}
}

func oneBranch() Param {
	p := user()
	p.once = "One branch at a time."
	return p
}

// ConfirmWithin is how long a command waits for the reaction of the one who gave it.
const ConfirmWithin = 15 * time.Minute

func runPrune(ctx context.Context, c *Call) (Reply, error) {
	req, more, err := c.prune(ctx)
	if err != nil {
		return Reply{}, err
	}
	rows, err := c.Requests.Progress(ctx, c.Message.Event)
	if err != nil {
		return Reply{}, err
	}
	if len(rows) > 0 { // it was confirmed before a restart
		return c.resume(ctx, req, rows)
	}
	var reply Reply
	switch {
	case c.Clock.Now().Sub(c.Event.ReceivedAt) >= ConfirmWithin:
		reply.Text.Say("Nobody confirmed this in time, so I left it.")
		return reply, nil
	case len(req.Targets) == 0:
		reply.Text.Say("No invitation of that branch is open.")
		return reply, nil
	}
	judged, err := c.Requests.DryRun(ctx, req)
	if err != nil {
		return Reply{}, err
	}
	return pruneCard(judged, more), nil
}

// pruneCard asks for a confirmation, and says before it whose invitations would stay and why; where all of them would, there is
// nothing to confirm. What is not known is decided when it is confirmed.
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
	reply := Reply{Mention: true, Card: len(goes) > 0}
	if !reply.Card {
		reply.Text.Sayf("Of %s, none can be withdrawn:", plural(len(stays), "invitation"))
		tellStays(&reply.Text, stays)
		return reply
	}
	reply.Text.Sayf("This withdraws %s:", plural(len(goes), "invitation"))
	tellSome(&reply.Text, len(goes), func(i int) { reply.Text.Code(string(goes[i])) })
	if len(stays) > 0 {
		reply.Text.Line().Sayf("As things are, %s would stay:", plural(len(stays), "other"))
		tellStays(&reply.Text, stays)
	}
	if more {
		reply.Text.Line().Say("The branch is larger than I do at once: ask again afterwards.")
	}
	reply.Text.Line().Sayf("React with ✅ within %s to do it, or with ❌ to leave it.", span(ConfirmWithin))
	return reply
}

// tellStays tells of invitations that can't be withdrawn, each reason once.
func tellStays(t *Text, stays []judge.Judgement) {
	var reasons []string
	whose := map[string][]judge.Judgement{}
	for _, j := range stays {
		why := said(j.Explain().Phrase())
		if len(whose[why]) == 0 {
			reasons = append(reasons, why)
		}
		whose[why] = append(whose[why], j)
	}
	tellSome(t, len(reasons), func(i int) {
		these := whose[reasons[i]]
		t.Code(string(these[0].Question.Target))
		if len(these) > 1 {
			t.Sayf(" and %d more", len(these)-1)
		}
		t.Say(": " + reasons[i]).Reason(string(these[0].Decision.Code))
	})
}

// tellSome tells of the first of n things, each in a line, and how many more there are. It leaves room for what is said after them.
func tellSome(t *Text, n int, one func(i int)) {
	for i := range n {
		t.Line()
		if i == maxLines || t.size > maxMessage/3 {
			t.Sayf("… and %d more.", n-i)
			return
		}
		one(i)
	}
}

// decidePrune does what the card said, or leaves it. What was not open when the command was given is not touched.
func decidePrune(ctx context.Context, c *Call, yes bool) (Reply, error) {
	if !yes {
		var reply Reply
		reply.Text.Say("Left as it is.")
		return reply, nil
	}
	req, _, err := c.prune(ctx)
	if err != nil {
		return Reply{}, err
	}
	rows, err := c.Requests.Progress(ctx, c.Message.Event)
	if err != nil {
		return Reply{}, err
	}
	if len(rows) > 0 {
		return c.resume(ctx, req, rows)
	}
	if len(req.Targets) == 0 {
		var reply Reply
		reply.Text.Say("None of them is open any more.")
		return reply, nil
	}
	return c.ask(ctx, req)
}

// resume goes on with what was begun.
func (c *Call) resume(ctx context.Context, req requests.Request, rows []invites.Change) (Reply, error) {
	req.Targets = nil
	for _, row := range rows {
		req.Targets = append(req.Targets, row.Target)
	}
	return c.ask(ctx, req)
}

// prune reads the command and finds whose invitations it is about.
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
