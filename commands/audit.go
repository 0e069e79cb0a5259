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
		Words: []string{"auditlog", "audit-log"}, Loose: []string{"log", "history"},
		See:    []string{"policy", "pending"},
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
		reply.Text.Say("audit.none")
	}
	for i, row := range rows {
		if i > 0 {
			reply.Text.Line()
		}
		if i == maxLines {
			reply.Text.Say("audit.more")
			break
		}
		tellAudit(&reply.Text, row)
	}
	return reply, nil
}

// tellAudit words one row.
func tellAudit(t *Text, row invites.Audit) {
	performer, code := row.Performer, row.Code
	if performer == row.Actor {
		performer = ""
	}
	if code == row.Verdict {
		code = ""
	}
	t.Say("audit.row", "at", row.At.UTC().Format("2006-01-02 15:04:05"), "kind", row.Kind, "actor", row.Actor, "action", row.Action, "target", row.Target,
		"performer", performer, "verdict", row.Verdict, "code", code)
}

// Since reads the beginning of a span of time up to now: its length ("7d"), a date, or a time (RFC 3339).
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
