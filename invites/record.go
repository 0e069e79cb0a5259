package invites

import (
	"cmp"
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// record decides on the targets that have no row yet, and commits rows and audit together. Those that are to be delivered at once
// are claimed with that, which saves nearly every command a commit.
func (s *Service) record(ctx context.Context, req Request) (all []Change, claimed map[int64]bool, err error) {
	known, err := s.Store.Invitations(ctx, req.Command)
	if err != nil {
		return nil, nil, err
	}
	have := make(map[id.UserID]bool, len(known))
	for _, row := range known {
		have[row.Target] = have[row.Target] || row.Action == req.Action // in whatever room its alias named then
	}
	fresh := req
	fresh.Targets = nil
	for _, target := range req.Targets {
		if !have[target] {
			have[target] = true
			fresh.Targets = append(fresh.Targets, target)
		}
	}
	if len(fresh.Targets) == 0 {
		return known, nil, nil
	}
	stored, claimed, err := s.decideAndRecord(ctx, fresh, len(known) == 0)
	return append(known, stored...), claimed, err
}

// claims reports whether a row was stored with the lease it was given. Another process may have had it stored before.
func claims(given, stored Change) bool {
	return given.Attempt == 1 && stored.Attempt == 1 && stored.Status == StatusOpen &&
		stored.LeasedUntil.UnixMilli() == given.LeasedUntil.UnixMilli()
}

// spendTries is how often a decision is made again because others spent of the same quotas meanwhile.
const spendTries = 20

// decideAndRecord decides on all targets and records what follows, with what it spends, in one commit. With claim, the rows to
// be delivered at once are claimed by that commit.
func (s *Service) decideAndRecord(ctx context.Context, req Request, claim bool) (stored []Change, claimed map[int64]bool, err error) {
	for try := 1; ; try++ {
		w := &purse{}
		judged, err := s.judgeAll(ctx, req, w)
		if err != nil {
			return nil, nil, err
		}
		rows, audit := s.rows(req, judged)
		if err := s.limitCards(ctx, rows); err != nil {
			return nil, nil, err
		}
		for i, left := 0, s.Limits.AtOnce; claim && i < len(rows) && left > 0; i++ {
			if row := &rows[i]; row.Status == StatusOpen {
				row.Attempt, row.LeasedUntil = 1, row.CreatedAt.Add(s.Limits.Lease)
				left--
			}
		}
		stored, err = s.Store.Record(ctx, rows, audit, s.charges(req, rows, judged, w)...)
		claimed = make(map[int64]bool, s.Limits.AtOnce)
		for i, row := range stored {
			claimed[row.ID] = claims(rows[i], row)
		}
		if !errors.Is(err, ErrSpent) || try == spendTries {
			return stored, claimed, err
		}
	}
}

// charges are what rows spend.
func (s *Service) charges(req Request, rows []Change, judged []Judgement, w *purse) []Charge {
	c := Charge{Room: req.Room, Version: w.version, Server: policy.ServerName(req.Actor), At: s.Clock.Now()}
	for i := range rows {
		if judged[i].charge && (rows[i].Status == StatusOpen || rows[i].Status == StatusWaiting) {
			c.For = append(c.For, rows[i])
		}
	}
	if len(c.For) == 0 {
		return nil
	}
	return []Charge{c}
}

// rows turns judgements into rows and their audit.
func (s *Service) rows(req Request, judged []Judgement) ([]Change, []Audit) {
	now := s.Clock.Now()
	rows, audit := make([]Change, len(judged)), make([]Audit, len(judged))
	for i, j := range judged {
		q, d := j.Question, j.Decision
		row := Change{
			Command: req.Command, CommandRoom: req.CommandRoom, Action: req.Action, Room: req.Room, Via: req.Via,
			Target: q.Target, Actor: cmp.Or(req.Asker, q.Actor), Performer: q.Performer, Reason: req.Reason,
			Status: StatusOpen, Code: string(d.Code), CreatedAt: now, DueAt: now,
		}
		switch {
		case d.Code == policy.CodeAlready || d.Code == policy.CodeAlreadyJoined:
			row.Status, row.SettledAt, row.Detail = StatusDone, now, j.Explain().String()
		case d.Code == policy.CodeApproval:
			row.Status, row.Detail = StatusWaiting, j.Explain().String()
		case !mayTry(q, d):
			row.Status, row.SettledAt, row.Detail = StatusRefused, now, j.Explain().String()
		}
		rows[i] = row
		audit[i] = auditOf(row, AuditDecision, d.Verdict.String(), string(d.Code), d.Policy, now)
	}
	return rows, audit
}

// mayTry reports whether a decision lets Usher ask the homeserver. What is unknown is not tried, save where somebody asks
// for their own membership and sends it themselves: then no power is lent, and the homeserver knows best.
func mayTry(q policy.Question, d policy.Decision) bool {
	return d.Verdict == room.Allow || (d.Verdict == room.Unknown && q.Own())
}

func auditOf(row Change, kind AuditKind, verdict, code string, inForce id.EventID, at time.Time) Audit {
	return Audit{
		At: at, Kind: kind, Action: row.Action, Room: row.Room, Actor: row.Actor, Performer: row.Performer,
		Target: row.Target, Verdict: verdict, Code: code, Policy: inForce, Command: row.Command,
	}
}
