package commands

import (
	"context"
	"time"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
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
	for i := 0; i < len(rows); {
		if i > 0 {
			reply.Text.Line()
		}
		if i >= maxLines {
			reply.Text.Say("audit.more")
			break
		}
		same := 1
		for i+same < len(rows) && again(rows[i], rows[i+same]) {
			same++
		}
		reply.Text.Tell(auditRow(rows[i], same))
		i += same
	}
	return reply, nil
}

// again reports whether two rows tell of attempts at the same change that did not succeed.
func again(a, b invites.Audit) bool {
	return a.Verdict == invites.VerdictRetry && b.Verdict == a.Verdict && a.Code == b.Code && a.Request == b.Request && a.Action == b.Action && a.Target == b.Target
}

// auditRow words one row, and how many like it follow.
func auditRow(row invites.Audit, n int) room.Phrase {
	at, through := when(row.At), row.Performer
	if through == row.Actor {
		through = ""
	}
	target := row.Target
	if row.Action == room.Join {
		target = "" // who joins is said already
	}
	switch {
	case row.Kind == invites.AuditEffect && row.Action == requests.ActionPolicy:
		return room.Say("audit.policy", "at", at, "actor", row.Actor, "performer", through, "code", row.Code)
	case row.Kind == invites.AuditVote:
		return room.Say("audit.vote", "at", at, "actor", row.Actor, "target", row.Target, "code", row.Code)
	case row.Kind == invites.AuditDecision && row.Verdict == room.Allow.String():
		return room.Say("audit.allow", "at", at, "actor", row.Actor, "action", row.Action, "target", target)
	case row.Kind == invites.AuditDecision && row.Code == string(policy.CodeApproval):
		return room.Say("audit.asked", "at", at, "actor", row.Actor, "target", target)
	case row.Kind == invites.AuditDecision && row.Verdict == room.Deny.String():
		return room.Say("audit.deny", "at", at, "actor", row.Actor, "action", row.Action, "target", target, "code", row.Code)
	case row.Kind == invites.AuditEffect && row.Verdict == string(invites.StatusDone):
		actor := row.Actor
		if actor == row.Performer {
			actor = ""
		}
		return room.Say("audit.done", "at", at, "performer", row.Performer, "action", row.Action, "target", target, "actor", actor)
	case row.Kind == invites.AuditEffect && row.Verdict == invites.VerdictRetry:
		return room.Say("audit.retry", "at", at, "actor", row.Actor, "action", row.Action, "target", row.Target, "n", n, "code", row.Code)
	}
	return room.Say("audit.other", "at", at, "kind", row.Kind, "actor", row.Actor, "action", row.Action, "target", row.Target, "verdict", row.Verdict, "code", row.Code)
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
