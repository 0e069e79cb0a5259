package delivery

import (
	"context"
	"errors"
	"strings"
	"time"

	"usher/invites"
	"usher/room"
)

// settle commits outcomes with their audit and their automatic joins, together.
func (d *Delivery) settle(ctx context.Context, rows []invites.Change, ends []invites.Outcome) ([]invites.Outcome, error) {
	now := d.Clock.Now()
	all := make([]invites.Settlement, len(rows))
	for i, row := range rows {
		all[i] = d.settlement(row, ends[i], now)
	}
	fenced, err := d.settleAll(ctx, all)
	if err != nil {
		return nil, err
	}
	outcomes := make([]invites.Outcome, len(rows))
	for i, end := range ends {
		if fenced[i] {
			continue
		}
		outcomes[i] = end
		if origin, _ := originOf(rows[i]); origin.announced {
			outcomes[i].Command = rows[i].Command
		}
		if len(all[i].Then) > 0 {
			if err := wakeJoin(ctx, d, rows[i], now); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}

// settleAll settles in one commit, or each row apart where one of them is fenced, and tells which are.
func (d *Delivery) settleAll(ctx context.Context, all []invites.Settlement) (fenced []bool, err error) {
	fenced = make([]bool, len(all))
	if err = d.Store.Settle(ctx, all...); !errors.Is(err, invites.ErrFenced) {
		return fenced, err
	}
	for i, one := range all {
		err := d.Store.Settle(ctx, one)
		if fenced[i] = errors.Is(err, invites.ErrFenced); err != nil && !fenced[i] {
			return nil, err
		}
	}
	return fenced, nil
}

func (d *Delivery) settlement(row invites.Change, end invites.Outcome, now time.Time) invites.Settlement {
	origin, _ := originOf(row)
	unsent := end.Status == invites.StatusRefused || end.Status == invites.StatusCancelled && !maybeSent(row) || end.Status == invites.StatusDone && end.Quiet
	settled := invites.Settlement{
		ID: row.ID, Attempt: row.Attempt, Status: end.Status, Code: end.Code, Detail: end.Detail, DueAt: end.At, At: now,
		// An unsent invitation counts against nobody's quota.
		Refund: origin.charged && row.Action == room.Invite && unsent,
	}
	if !end.Quiet {
		verdict := string(end.Status)
		if end.Status == invites.StatusOpen {
			verdict = invites.VerdictRetry
		}
		settled.Audit = []invites.Audit{invites.AuditOf(row, invites.AuditEffect, verdict, end.Code, end.Policy, now)}
	}
	if end.Status == invites.StatusDone && row.Action == room.Invite && autoJoins(d, row) {
		join := joinOf(row, now)
		settled.Then = []invites.Change{join}
		settled.Audit = append(settled.Audit, invites.AuditOf(join, invites.AuditDecision, room.Allow.String(), invites.CodeAutoJoin, "", now))
	}
	return settled
}

// maybeSent reports whether the last attempt at a row may have had an effect: its answer was lost, or said nothing.
func maybeSent(row invites.Change) bool {
	return row.Code != "" && row.Code != invites.CodeTurn && row.Code != invites.CodeLimited && !strings.HasPrefix(row.Code, string(room.RuleUnknown))
}

// autoJoins reports whether the operator lets the row's target join at once.
func autoJoins(d *Delivery, row invites.Change) bool {
	return d.Self.AutoJoin != nil && d.Self.MayAssert(row.Target) && d.Self.AutoJoin(row.Target)
}

// joinOf is the row of an invitee's automatic join. It belongs to the request of the invitation.
func joinOf(row invites.Change, now time.Time) invites.Change {
	return invites.Change{
		Origin: invites.OriginAutoJoin, Request: row.Request, Command: row.Command, CommandRoom: row.CommandRoom,
		Action: room.Join, Room: row.Room, Via: row.Via, Target: row.Target, Actor: row.Target, Performer: row.Target,
		Status: invites.StatusOpen, CreatedAt: now, DueAt: now,
	}
}

// wakeJoin hands the join to the queue: the lane need not wait for it.
func wakeJoin(ctx context.Context, d *Delivery, row invites.Change, now time.Time) error {
	join, err := d.Store.ChangeOf(ctx, row.Request, room.Join, row.Room, row.Target)
	if err != nil || join.Status != invites.StatusOpen {
		return invites.UnlessNone(err)
	}
	return d.Queue.Wake(ctx, now, join.ID)
}
