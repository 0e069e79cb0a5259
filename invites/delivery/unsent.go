package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// takeBack ends invitations that were not sent yet, for an allowed withdrawal: those asked for by its actor, and with the power to kick all.
// The withdrawal is done then, unless the target is invited as well. While one of the invitations is being sent, the withdrawal waits.
func takeBack(ctx context.Context, d *Delivery, row invites.Change, decision policy.Decision, unsent []invites.Change) (end invites.Outcome, final bool) {
	err := d.Judge.Reach.MayKick(ctx, row.Room, row.Actor)
	if err != nil && !errors.Is(err, judge.ErrKickPower) {
		return d.failure(row, err), true
	}
	if err != nil {
		unsent = slices.DeleteFunc(unsent, func(u invites.Change) bool { return u.Actor != row.Actor })
	}
	left, err := stop(ctx, d, unsent, notSent(invites.CodeUnsent, room.Say("detail.withdrawn", "by", row.Actor)))
	switch {
	case err != nil:
		return d.failure(row, err), true
	case left > 0:
		return invites.Outcome{Status: invites.StatusOpen, Code: string(policy.CodeUnsent), Detail: room.Say("detail.being_sent"), At: d.Clock.Now().Add(secondLook), Quiet: true}, true
	case decision.Code == policy.CodeUnsent:
		return invites.Outcome{Status: invites.StatusDone, Code: string(decision.Code), Quiet: true}, true
	}
	return end, false
}

// Stop ends the rows of a request that wait for another attempt, because its actor says so, and the cards of rows that wait for approval.
// A row that is being sent ends with this attempt.
func (d *Delivery) Stop(ctx context.Context, request string) error {
	// Paused rows are opened for a time that they do not live to see, and end as the others do.
	if _, err := d.Store.ResumeRows(ctx, request, d.Clock.Now().Add(time.Hour)); err != nil {
		return err
	}
	for after := int64(0); ; {
		rows, err := d.Store.ChangesAfter(ctx, request, after, stopAtOnce)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		code := invites.CodeUnsent
		if rows[0].Origin == invites.OriginBulk {
			code = invites.CodeEnded
		}
		rows = slices.DeleteFunc(rows, func(row invites.Change) bool {
			return row.Status != invites.StatusOpen && row.Status != invites.StatusWaiting
		})
		if _, err = stop(ctx, d, rows, notSent(code, room.Say("detail.stopped"))); err != nil {
			return err
		}
	}
}

// End ends rows that wait for another attempt, for a reason. A row that is being sent ends with this attempt.
func End(ctx context.Context, d *Delivery, rows []invites.Change, detail room.Phrase) error {
	_, err := stop(ctx, d, rows, notSent(invites.CodeUnsent, detail))
	return err
}

// notSent is the outcome of a row that ends before it was sent.
func notSent(code string, detail room.Phrase) invites.Outcome {
	return invites.Outcome{Status: invites.StatusCancelled, Code: code, Detail: detail, Quiet: true}
}

// stopAtOnce is how many rows are stopped in one commit.
const stopAtOnce = 500

// stop ends rows with an outcome, and closes the cards of rows that wait for approval. It returns how many go on, since an attempt is under way: they
// end with it.
func stop(ctx context.Context, d *Delivery, rows []invites.Change, end invites.Outcome) (left int, err error) {
	var open []int64
	for _, row := range rows {
		if row.Status == invites.StatusOpen {
			open = append(open, row.ID)
		} else if err := d.Approvals.Withdraw(ctx, row); err != nil {
			return 0, err
		}
	}
	for part := range slices.Chunk(open, stopAtOnce) {
		d.underWay.stop(end, part...) // before the claim: an attempt may end meanwhile
		free := d.underWay.begin(part...)
		claimed, err := d.Store.Claim(ctx, free, d.Clock.Now(), d.Limits.Lease)
		var outcomes []invites.Outcome
		if err == nil && len(claimed) > 0 {
			outcomes, err = d.settle(context.WithoutCancel(ctx), claimed, slices.Repeat([]invites.Outcome{end}, len(claimed)))
		}
		d.underWay.end(free...)
		d.underWay.forget(idsOf(claimed)...)
		if err != nil {
			return 0, err
		}
		left += len(part) - len(claimed)
		if len(outcomes) > 0 && d.Beside != nil {
			d.Beside.Do(func(ctx context.Context) { d.Beside.Delivered(ctx, outcomes) })
		}
	}
	return left, nil
}
