package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/judge"
	"usher/room"
)

// Store is delivery's part of the store. Every method is one commit, durable when it returns.
type Store interface {
	// Claim leases open rows whose leases are over and adds one to their attempts. It returns these rows, in the order given, without
	// settled rows and rows leased by another attempt.
	Claim(ctx context.Context, rows []int64, now time.Time, lease time.Duration) ([]invites.Change, error)
	// Settle ends claimed attempts, all in one commit, and releases their leases. ErrFenced: none of them is settled.
	Settle(ctx context.Context, s ...invites.Settlement) error
	// Redacted tells whether an event of the inbox was redacted by its sender, and whether it is a state event, or ErrNotFound.
	Redacted(ctx context.Context, event id.EventID) (redacted, state bool, err error)
	// ChangesAfter returns up to limit rows of one request with larger ids, by ID.
	ChangesAfter(ctx context.Context, request string, after int64, limit int) ([]invites.Change, error)
	// ChangeOf returns one row of a request, or ErrNotFound.
	ChangeOf(ctx context.Context, request string, action room.ActionType, r id.RoomID, target id.UserID) (invites.Change, error)
	// PauseRows has the open rows of a request wait. Those under an attempt only get the code of the others.
	PauseRows(ctx context.Context, request string, now time.Time) error
	// ResumeRows opens the paused rows of a request, due at a time, and returns them.
	ResumeRows(ctx context.Context, request string, due time.Time) (rows []int64, err error)
	// EntriesOf returns up to limit invitations of a user in a room, the newest first.
	EntriesOf(ctx context.Context, r id.RoomID, target id.UserID, limit int) ([]invites.Invitation, error)
	// AddressSeen reports whether a room showed the invitation of an address that a request was about.
	AddressSeen(ctx context.Context, request string) (bool, error)
	// UnsentOf returns the invitations of some users in a room that wait to be sent, also those that need approval first.
	UnsentOf(ctx context.Context, r id.RoomID, targets ...id.UserID) ([]invites.Change, error)
}

// Homeserver shows state and makes changes. All errors but ErrNoView and context errors are *ActError.
type Homeserver interface {
	// Snapshot returns the known state of a room, as judge.Homeserver does.
	Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error)
	// Act makes one change, once, without retries of its own. A Snapshot after it shows no older state.
	Act(ctx context.Context, e invites.Effect) error
	// Redacted tells whether an event has been redacted, by the homeserver's record, read as in Snapshot.
	Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error)
}

// Approvals knows the decisions of people.
type Approvals interface {
	// Accepted reports whether people accepted the card about an action on the row's target, for the row's request.
	Accepted(ctx context.Context, row invites.Change, action room.ActionType) (bool, error)
	// Withdraw closes the card for which a row waits, and cancels the row.
	Withdraw(ctx context.Context, row invites.Change) error
}

// Check knows whether the rows of one origin are still wanted.
type Check interface {
	// Wanted returns no code where the row is to be carried out, else the reason code and the sentence with which the row ends.
	Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error)
}

// HistorySharing gives users the keys of an encrypted room's past.
type HistorySharing interface {
	// Invited has a user get the keys soon: the bot itself has just invited the user to the room.
	Invited(r id.RoomID, user id.UserID)
}

// Beside carries on with attempts longer than the patience of a lane.
type Beside interface {
	// Do runs a job beside its caller.
	Do(job func(context.Context))
	// Delivered receives the settled outcomes of attempts which Now left to Beside.
	Delivered(ctx context.Context, outcomes []invites.Outcome)
}

// Limits of delivery.
type Limits struct {
	Lease       time.Duration // longest time of an attempt; after it another one may start
	GiveUpAfter time.Duration // age at which a failing row is given up
}

// Delivery carries rows out. All fields but History and Beside are required; Checks has an entry for each origin called checked in
// the table of origins.
type Delivery struct {
	Store      Store
	Homeserver Homeserver
	Queue      invites.Queue
	Clock      invites.Clock
	Self       invites.Identity
	Limits     Limits
	Judge      *judge.Judge
	Approvals  Approvals
	Checks     map[invites.Origin]Check
	History    HistorySharing // nil: none is shared
	Beside     Beside         // nil: Now waits for all attempts

	pace     pacer
	underWay underWay
	sending  sending
}

// Deliver makes one attempt at each of some rows. The outcomes are in the order of the rows. An error is the store's.
func (d *Delivery) Deliver(ctx context.Context, rows ...int64) ([]invites.Outcome, error) {
	free := d.underWay.begin(rows...)
	defer d.underWay.end(free...)
	claimed, err := d.Store.Claim(ctx, free, d.Clock.Now(), d.Limits.Lease)
	if err != nil {
		return nil, err
	}
	delivered, _, err := d.deliver(ctx, claimed, queuePatience)
	if err != nil {
		return nil, err
	}
	outcomes := make([]invites.Outcome, len(rows))
	for i, row := range rows {
		if at := slices.IndexFunc(claimed, func(c invites.Change) bool { return c.ID == row }); at >= 0 {
			outcomes[i] = delivered[at]
		}
	}
	return outcomes, nil
}

// Times after which no further attempt begins in one call: a worker of the queue, or a lane, is not held by many slow attempts.
const (
	queuePatience = time.Second
	lanePatience  = 3 * time.Second
)

// deliver makes an attempt at each of some claimed rows, and returns the rows in their state after it. No attempt lasts longer than the
// lease. Rows whose attempt has not begun when patience is over are let go of.
func (d *Delivery) deliver(ctx context.Context, claimed []invites.Change, patience time.Duration) ([]invites.Outcome, []invites.Change, error) {
	start, left := d.Clock.Now(), d.Limits.Lease
	for _, row := range claimed {
		left = min(left, row.LeasedUntil.Sub(start)) // the claiming commit took its time
	}
	leased, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	ends := make([]invites.Outcome, len(claimed))
	for i, row := range claimed {
		now := d.Clock.Now()
		if i > 0 && (ctx.Err() != nil || now.Sub(start) > patience) {
			ends[i] = invites.Outcome{Status: invites.StatusOpen, Code: row.Code, Detail: row.Detail, At: now, Quiet: true}
			continue
		}
		ends[i] = d.attempt(leased, row)
		if ctx.Err() != nil && ends[i].Status == invites.StatusOpen {
			ends[i].At = now // shutting down: leave it to the next start, but let go of it
		}
	}
	var paused []invites.Change
	for i, row := range claimed {
		if end, stopped := d.underWay.stopped(row.ID); stopped && ends[i].Status == invites.StatusOpen {
			claimed[i].Code = ends[i].Code // which tells whether this attempt may have had an effect
			if ends[i] = end; end.Code == invites.CodePaused {
				paused = append(paused, row)
			}
		}
	}
	outcomes, err := d.settle(context.WithoutCancel(ctx), claimed, ends)
	if err == nil {
		err = resumeMissed(context.WithoutCancel(ctx), d, paused)
	}
	d.underWay.forget(idsOf(claimed)...)
	after := slices.Clone(claimed)
	for i, end := range ends {
		if err == nil && outcomes[i].Status != "" {
			row := &after[i]
			row.Status, row.Code, row.Detail, row.DueAt, row.LeasedUntil = end.Status, end.Code, end.Detail, end.At, time.Time{}
		}
	}
	return outcomes, after, err
}

// awaitable is how near the end of another attempt must be, for a command to wait for it before it answers.
const awaitable = 3 * time.Second

// Now delivers rows before it returns, and updates them to their state after it; the queue gets the rows which can't be carried out now.
// An attempt longer than lanePatience goes on in the background with its lease, since a second one beside it could invite a user twice;
// its row stays open, with the name of the silent server. Rows not in claimed are claimed here. The error is an *UnderWayError where
// another attempt at one of the rows ends in a moment.
func (d *Delivery) Now(ctx context.Context, rows []*invites.Change, claimed map[int64]bool) error {
	var mine []invites.Change
	var others []int64
	for _, row := range rows {
		if claimed[row.ID] {
			mine = append(mine, *row)
		} else {
			others = append(others, row.ID)
		}
	}
	now := d.Clock.Now()
	defer d.underWay.end(d.underWay.begin(idsOf(mine)...)...)
	if others = d.underWay.begin(others...); len(others) > 0 {
		defer d.underWay.end(others...)
		more, err := d.Store.Claim(ctx, others, now, d.Limits.Lease)
		if err != nil {
			return err
		}
		mine = append(mine, more...)
	}
	if err := d.deliverMine(ctx, rows, mine); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Status == invites.StatusOpen && row.LeasedUntil.After(now) && row.LeasedUntil.Before(now.Add(awaitable)) {
			return &invites.UnderWayError{Until: row.LeasedUntil}
		}
	}
	return nil
}

// attempts are the results of deliver.
type attempts struct {
	outcomes []invites.Outcome
	rows     []invites.Change
	err      error
	panicked any
}

// deliverMine delivers the claimed ones of some rows, and waits for lanePatience at most.
func (d *Delivery) deliverMine(ctx context.Context, rows []*invites.Change, mine []invites.Change) error {
	if len(mine) == 0 {
		return nil
	}
	if d.Beside == nil {
		var a attempts
		a.outcomes, a.rows, a.err = d.deliver(ctx, mine, lanePatience)
		return d.update(ctx, rows, a)
	}
	over := make(chan attempts, 1)
	d.Beside.Do(func(ctx context.Context) {
		var a attempts
		defer func() {
			a.panicked = recover()
			over <- a
		}()
		a.outcomes, a.rows, a.err = d.deliver(ctx, mine, lanePatience)
	})
	patience := time.NewTimer(lanePatience)
	defer patience.Stop()
	select {
	case a := <-over:
		return d.update(ctx, rows, a)
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
	}
	d.Beside.Do(func(ctx context.Context) { d.finish(ctx, over) })
	waiting := slices.Clone(mine)
	for i := range waiting {
		if server := serverOf(d, waiting[i]); server != "" {
			waiting[i].Code, waiting[i].Detail = invites.CodeServer, room.Say("detail.unreachable", "server", server)
		}
	}
	replace(rows, waiting)
	return nil
}

// update puts the results of attempts into the rows of a command. A panic of an attempt is one of the caller.
func (d *Delivery) update(ctx context.Context, rows []*invites.Change, a attempts) error {
	if a.panicked != nil {
		panic(a.panicked)
	}
	if a.err != nil {
		return a.err
	}
	replace(rows, a.rows)
	return d.wakeOpen(ctx, a)
}

// replace puts newer rows in the places of rows with the same ids.
func replace(rows []*invites.Change, newer []invites.Change) {
	for _, row := range newer {
		*rows[slices.IndexFunc(rows, func(one *invites.Change) bool { return one.ID == row.ID })] = row
	}
}

// wakeOpen hands the rows still open to the queue.
func (d *Delivery) wakeOpen(ctx context.Context, a attempts) error {
	for i, row := range a.rows {
		if a.outcomes[i].Status == invites.StatusOpen {
			if err := d.Queue.Wake(ctx, a.outcomes[i].At, row.ID); err != nil {
				return fmt.Errorf("queueing: %w", err)
			}
		}
	}
	return nil
}

// finish ends attempts longer than the patience of their lane. After an error the sweep finds the rows once their leases are over.
func (d *Delivery) finish(ctx context.Context, over <-chan attempts) {
	select {
	case a := <-over:
		if a.panicked != nil {
			panic(a.panicked)
		}
		if a.err == nil && d.wakeOpen(ctx, a) == nil {
			d.Beside.Delivered(ctx, a.outcomes)
		}
	case <-ctx.Done():
	}
}

// serverOf returns the other server needed for a change; empty for none.
func serverOf(d *Delivery, row invites.Change) string {
	return otherServer(d.Self.Domain, row.Action, row.Target, row.Via)
}
