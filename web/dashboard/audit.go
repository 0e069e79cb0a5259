package dashboard

import (
	"net/http"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
)

// auditPage lists decisions and effects.
type auditPage struct {
	*visit
	Typed string
	List  []auditRow
	Next  string
}

// auditRow is a row of the audit in a table.
type auditRow struct {
	*visit
	Row     invites.Audit
	Action  string
	Outcome string
	Class   string // of the outcome
}

// audit lists the audit of a room, the newest row first.
func (d *Dashboard) audit(v *visit) error {
	v.Title, v.Tab = v.Say("dash.audit"), "audit"
	p := auditPage{visit: v, Typed: room.Shorten(v.r.FormValue("user"), maxText)}
	q := invites.AuditQuery{Room: v.Room, User: id.UserID(p.Typed), After: readPlace(v.r.FormValue("after"))}
	rows, err := d.Ledger.Audit(v.r.Context(), v.User, q, maxRows+1)
	if err != nil {
		return err
	}
	if len(rows) > maxRows {
		rows = rows[:maxRows]
		last := rows[maxRows-1]
		p.Next = v.At("audit", "user", p.Typed, "after", writePlace(invites.Place{At: last.At, ID: last.ID}))
	}
	for _, row := range rows {
		p.List = append(p.List, v.auditRow(row))
	}
	v.show(http.StatusOK, "audit.html", p)
	return nil
}

// did words an action.
func did(v *visit, a room.ActionType) string {
	return v.Say("dash.audit.action", "action", string(a))
}

func (v *visit) auditRow(row invites.Audit) auditRow {
	one := auditRow{visit: v, Row: row, Action: did(v, row.Action), Outcome: row.Verdict, Class: "absent"}
	switch {
	case row.Kind == invites.AuditVote:
		one.Outcome = v.Say("dash.audit.vote")
	case row.Code == string(policy.CodeApproval):
		one.Outcome, one.Class = v.Say("dash.audit.asked"), "open"
	case row.Verdict == room.Allow.String():
		one.Outcome, one.Class = v.Say("dash.audit.allow"), "good"
	case row.Verdict == room.Deny.String(), row.Verdict == string(invites.StatusRefused):
		one.Outcome, one.Class = v.Say("dash.audit.deny"), "bad"
	case row.Verdict == string(invites.StatusDone):
		one.Outcome, one.Class = v.Say("dash.audit.done"), "good"
	case row.Verdict == invites.VerdictRetry:
		one.Outcome, one.Class = v.Say("dash.audit.retry"), "open"
	}
	return one
}
