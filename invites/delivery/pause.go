package delivery

import (
	"context"

	"usher/invites"
	"usher/room"
)

// pausedRow is the outcome of a row that waits until its request is resumed.
var pausedRow = invites.Outcome{Status: invites.StatusWaiting, Code: invites.CodePaused, Quiet: true}

// Pause has the open rows of a request wait until Resume or Stop. A row that is being sent ends with this attempt: it waits, too, if the
// homeserver does not settle it.
func (d *Delivery) Pause(ctx context.Context, request string) error {
	if err := d.Store.PauseRows(ctx, request, d.Clock.Now()); err != nil {
		return err
	}
	sending, err := attemptsOf(ctx, d, request) // no further attempt begins
	if err != nil || len(sending) == 0 {
		return err
	}
	d.underWay.stop(pausedRow, sending...)
	return d.Store.PauseRows(ctx, request, d.Clock.Now()) // those whose attempt ended before they were told
}

// Resume has the paused rows of a request go on.
func (d *Delivery) Resume(ctx context.Context, request string) error {
	sending, err := attemptsOf(ctx, d, request)
	if err != nil {
		return err
	}
	d.underWay.forget(sending...)
	now := d.Clock.Now()
	rows, err := d.Store.ResumeRows(ctx, request, now)
	if err != nil || len(rows) == 0 {
		return err
	}
	return d.Queue.Wake(ctx, now, rows...)
}

// resumeMissed has rows go on that their attempt has just paused, where the request was resumed meanwhile: Resume found them under way, and
// undid their stop.
func resumeMissed(ctx context.Context, d *Delivery, rows []invites.Change) error {
	for _, row := range rows {
		if _, stopped := d.underWay.stopped(row.ID); stopped {
			continue
		}
		if err := d.Resume(ctx, row.Request); err != nil {
			return err
		}
	}
	return nil
}

// attemptsOf returns the rows of a request that are attempted now.
func attemptsOf(ctx context.Context, d *Delivery, request string) (rows []int64, err error) {
	for _, row := range d.underWay.leased() {
		of, err := d.Store.ChangesAfter(ctx, request, row-1, 1)
		if err != nil {
			return nil, err
		}
		if len(of) == 1 && of[0].ID == row && of[0].Action != room.Join {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
