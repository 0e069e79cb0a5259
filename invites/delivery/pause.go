package delivery

import (
	"context"

	"usher/invites"
	"usher/room"
)

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
	d.underWay.stop(invites.Outcome{Status: invites.StatusWaiting, Code: invites.CodePaused, Quiet: true}, sending...)
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
