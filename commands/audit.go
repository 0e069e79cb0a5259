package commands

import (
	"context"
	"time"

	"usher/invites"
	"usher/policy"
)

func auditCommand() Command {
	return Command{
		Name: "audit", Level: User,
		About:  "Lists what was decided and done here, the newest first. For people with the power to kick.",
		Params: []Param{user().optional(), since(), inRoom()},
		Run:    runAudit,
	}
}

func runAudit(ctx context.Context, c *Call) (Reply, error) {
	q := invites.AuditQuery{User: c.person("user")}
	if c.has("since") {
		q.Since, _ = Since(c.text("since"), c.Clock.Now()) // its class has been checked
	}
	var err error
	if q.Room, err = c.joinedRoom(ctx); err != nil {
		return Reply{}, err
	}
	rows, err := c.Ledger.Audit(ctx, c.Message.Sender, q, maxLines+1)
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	if len(rows) == 0 {
		reply.Text.Say("Nothing is on record.")
	}
	for i, row := range rows {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Say("… and more. The operator can list all of it: usher audit.")
			break
		}
		tellAudit(&reply.Text, row)
	}
	return reply, nil
}

// tellAudit words one row.
func tellAudit(t *Text, row invites.Audit) {
	t.Say(row.At.UTC().Format("2006-01-02 15:04:05") + " " + string(row.Kind) + ": ").Code(string(row.Actor)).Say(" " + string(row.Action) + " ")
	t.Code(string(row.Target))
	if row.Performer != row.Actor {
		t.Say(" by ").Code(string(row.Performer))
	}
	t.Say(" → " + row.Verdict)
	if row.Code != "" && row.Code != row.Verdict {
		t.Say(" (").Code(row.Code).Say(")")
	}
}

// Since reads the beginning of a span of time that ends now: its length ("7d"), a date, or a time (RFC 3339).
func Since(text string, now time.Time) (time.Time, bool) {
	if d, ok := policy.ParseSpan(text); ok {
		return now.Add(-d), true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
