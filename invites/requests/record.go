package requests

import (
	"cmp"
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// record decides on the targets without a row, and commits rows and audit together. The commit also claims the rows to deliver at
// once, which saves nearly every command a commit. The error is a *LimitError where the asker names too many people.
func (s *Requests) record(ctx context.Context, req Request) (all []invites.Change, claimed map[int64]bool, err error) {
	known, err := s.Store.ChangesOf(ctx, req.key())
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
	giveBack := func() {}
	if !req.counted && len(known) == 0 {
		if giveBack, err = s.Limits.name(cmp.Or(req.Asker, req.Actor), len(fresh.Targets)); err != nil {
			return nil, nil, err
		}
	}
	stored, claimed, err := s.decideAndRecord(ctx, fresh, len(known) == 0, 0)
	if err != nil {
		giveBack() // another try counts
	}
	return append(known, stored...), claimed, err
}

// claims reports whether a row was stored with the lease given to it. Another process may have stored it before.
func claims(given, stored invites.Change) bool {
	return given.Attempt == 1 && stored.Attempt == 1 && stored.Status == invites.StatusOpen &&
		stored.LeasedUntil.UnixMilli() == given.LeasedUntil.UnixMilli()
}

// spendTries is how often a decision is made again because other requests charged the same quotas meanwhile.
const spendTries = 20

// decideAndRecord decides on all targets and records the rows, with the quotas spent by them, in one commit. With claim, the commit
// also claims the rows to deliver at once. asked is how many rows of the request wait for approval already.
func (s *Requests) decideAndRecord(ctx context.Context, req Request, claim bool, asked int) (stored []invites.Change, claimed map[int64]bool, err error) {
	for try := 1; ; try++ {
		w := s.reader(req)
		judged, err := s.Judge.Each(ctx, req.Room, s.questions(req), w)
		if err != nil {
			return nil, nil, err
		}
		giveBack := s.Limits.Take(judged)
		rows, audit := s.rows(req, judged)
		err = s.refuseQueued(ctx, rows)
		if err == nil {
			err = s.Cards.Limit(ctx, rows, asked)
		}
		if err != nil {
			giveBack()
			return nil, nil, err
		}
		if req.native() && rows[0].Status == invites.StatusRefused { // it has one target, and spends nothing
			s.refused.add(audit[0], 1)
			return rows, nil, nil
		}
		shorten(rows)
		underWay(rows)
		for i, left := 0, s.AtOnce; claim && i < len(rows) && left > 0; i++ {
			if row := &rows[i]; row.Status == invites.StatusOpen {
				row.Attempt, row.LeasedUntil = 1, row.CreatedAt.Add(s.Delivery.Limits.Lease)
				left--
			}
		}
		stored, err = s.Store.Record(ctx, rows, audit, s.charges(req, rows, judged, w)...)
		if err != nil {
			giveBack()
		}
		claimed = make(map[int64]bool, s.AtOnce)
		for i, row := range stored {
			claimed[row.ID] = claims(rows[i], row)
		}
		if !errors.Is(err, invites.ErrSpent) || try == spendTries {
			return stored, claimed, err
		}
	}
}

// charges are the quotas spent by rows.
func (s *Requests) charges(req Request, rows []invites.Change, judged []judge.Judgement, w *judge.Reader) []invites.Charge {
	c := invites.Charge{Room: req.Room, Version: w.Version, Server: policy.ServerName(req.Actor), At: s.Clock.Now()}
	for i := range rows {
		if judged[i].Charges && rows[i].Status != invites.StatusRefused {
			c.For = append(c.For, rows[i])
		}
	}
	if len(c.For) == 0 {
		return nil
	}
	return []invites.Charge{c}
}

// rows turns judgements into rows and their audit.
func (s *Requests) rows(req Request, judged []judge.Judgement) ([]invites.Change, []invites.Audit) {
	now := s.Clock.Now()
	rows, audit := make([]invites.Change, len(judged)), make([]invites.Audit, len(judged))
	for i, j := range judged {
		q, d := j.Question, j.Decision
		row := invites.Change{
			Origin: cmp.Or(req.Origin, invites.OriginCommand), Request: req.key(), Command: req.Command, CommandRoom: req.CommandRoom, Action: req.Action, Room: req.Room, Via: req.Via,
			Target: q.Target, Actor: cmp.Or(req.Asker, q.Actor), Performer: q.Performer, Reason: req.Reason,
			Status: invites.StatusOpen, Code: string(d.Code), CreatedAt: now, DueAt: now,
		}
		switch {
		case d.Code == policy.CodeAlready || d.Code == policy.CodeAlreadyJoined:
			row.Status, row.SettledAt, row.Detail = invites.StatusDone, now, j.Explain().Phrase()
		case req.Approve && d.Verdict == room.Allow:
			row.Status, row.Code, row.Detail = invites.StatusWaiting, invites.CodeLinkApproval, room.Say("link.approval")
		case d.Code == policy.CodeApproval && req.Origin != invites.OriginAddress && req.Origin != invites.OriginPlan: // a plan would ask for hundreds at once
			row.Status, row.Detail = invites.StatusWaiting, j.Explain().Phrase()
			if req.Origin == invites.OriginNative { // the bot sends it once people have agreed
				row.Origin, row.Performer = invites.OriginAsked, s.Self.Performer(req.Action, q.Actor, q.Target, false)
			}
		case !mayTry(q, d):
			row.Status, row.SettledAt, row.Detail = invites.StatusRefused, now, j.Explain().Phrase()
		}
		rows[i] = row
		audit[i] = invites.AuditOf(row, invites.AuditDecision, d.Verdict.String(), string(d.Code), d.Policy, now)
	}
	return rows, audit
}

// mayTry reports whether a decision lets Usher ask the homeserver. An unknown one does not, save where somebody asks for their own
// membership and sends it themselves: then no power is lent, and the homeserver knows best.
func mayTry(q policy.Question, d policy.Decision) bool {
	return d.Verdict == room.Allow || (d.Verdict == room.Unknown && q.Own())
}

// fullRefusals is how many refused rows of one command keep the reason that the asker gave, and the detail of the refusal. The answer tells
// of no more; the code stays with each row.
const fullRefusals = 30

// shorten drops the repeated parts of refused rows: one command may name thousands of users who are all refused.
func shorten(rows []invites.Change) {
	refused := 0
	for i := range rows {
		row := &rows[i]
		if row.Status != invites.StatusRefused {
			continue
		}
		if refused++; refused > fullRefusals {
			row.Reason, row.Detail, row.Via = "", room.Phrase{}, nil
		}
	}
}
