package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher/invites"
	"usher/invites/judge"
	"usher/policy"
	"usher/room"
)

// question returns the question to decide anew. A join is always the joiner's own wish, also where an operator sends the bot.
func question(row invites.Change) policy.Question {
	q := policy.Question{Action: row.Action, Actor: row.Actor, Performer: row.Performer, Target: row.Target}
	if row.Action == room.Join {
		q.Actor = row.Target
	}
	return q
}

// attempt reads, decides and acts.
func (d *Delivery) attempt(ctx context.Context, row invites.Change) invites.Outcome {
	origin, known := originOf(row)
	if !known { // recorded by a newer version, which will carry it out
		return invites.Outcome{Status: invites.StatusOpen, Code: row.Code, Detail: row.Detail, At: d.Clock.Now().Add(time.Minute), Quiet: true}
	}
	if origin.watched {
		return d.watched(ctx, row)
	}
	if row.Code == invites.CodePaused { // while an earlier process was at it
		return pausedRow
	}
	if at, limit, wait := d.pace.turn(&row, d.Clock.Now()); wait {
		return invites.Outcome{Status: invites.StatusOpen, Code: invites.CodeTurn, Detail: limit, At: at, Quiet: true}
	}
	q, again := question(row), row.Attempt > 1
	if waited := d.Clock.Now().Sub(row.CreatedAt); origin.redactable && (again || waited > justAsked || waited < 0) {
		if taken, err := d.takenBack(ctx, row, again); err != nil {
			return d.failure(row, err)
		} else if taken {
			return invites.Outcome{Status: invites.StatusCancelled, Code: invites.CodeRedacted, Detail: room.Say("detail.redacted"), Quiet: true}
		}
	}
	if origin.checked {
		if code, detail, err := d.Checks[row.Origin].Wanted(ctx, row); err != nil {
			return d.failure(row, err)
		} else if code != "" {
			return invites.Outcome{Status: invites.StatusRefused, Code: code, Detail: detail, Quiet: true}
		}
	}
	if end, final := d.judge(ctx, row, q, again); final {
		return end
	}
	defer d.sending.begin(row)()
	reason, because, err := reasonOf(ctx, d, row)
	if err != nil {
		return d.failure(row, err)
	}
	err = d.Homeserver.Act(ctx, invites.Effect{
		Action: policy.OnTheWire(row.Action), Room: row.Room, Via: row.Via, Performer: row.Performer, Target: row.Target, Actor: row.Actor, Reason: reason, Because: because,
		Language: languageOf(ctx, d, row.Room, because),
	})
	if wait, limited := invites.Limited(err); limited {
		limit := d.pace.limited(&row, d.Clock.Now(), wait)
		end := d.failure(row, err)
		end.Detail = limit
		return end
	} else if err == nil || invites.Refused(err) {
		d.pace.answered(&row, d.Clock.Now())
	}
	switch {
	case err == nil:
		if d.History != nil && row.Action == room.Invite && row.Performer == d.Self.Bot {
			d.History.Invited(row.Room, row.Target)
		}
		return d.confirm(ctx, row)
	case invites.Refused(err):
		return d.refusal(ctx, row, q, err)
	}
	return d.failure(row, err)
}

// justAsked is how long a command is not looked up again after its record, which read it.
const justAsked = 100 * time.Millisecond

// takenBack tells whether the command was redacted while its row waited. The inbox knows of redactions by the sender at once. With ask,
// the homeserver is asked, which knows of redactions by others, and of redactions missed by the inbox.
func (d *Delivery) takenBack(ctx context.Context, row invites.Change, ask bool) (bool, error) {
	redacted, state, err := d.Store.Redacted(ctx, row.Command)
	if err == nil && (redacted || state) {
		return !state, nil // a state event is no command: redacting it takes nothing back
	}
	if err = invites.UnlessNone(err); err != nil || !ask {
		return false, err
	}
	redacted, err = d.Homeserver.Redacted(ctx, row.CommandRoom, row.Actor, row.Command)
	return redacted, invites.UnlessUnseen(err) // an actor who can't see the command can't see its redaction either
}

// newest is how many of a user's last invitations are looked through for one.
const newest = 16

// Seen reports whether the ledger knows an invitation made by the row.
func (d *Delivery) Seen(ctx context.Context, row invites.Change) (bool, error) {
	switch {
	case row.Action != room.Invite:
		return false, nil
	case row.Origin == invites.OriginAddress:
		return d.Store.AddressSeen(ctx, row.Request)
	}
	entries, err := d.Store.EntriesOf(ctx, row.Room, row.Target, newest)
	return slices.ContainsFunc(entries, func(e invites.Invitation) bool { return string(e.Command) == row.Request }), err
}

// judge decides again on the current state. final is false where the homeserver is to be asked.
func (d *Delivery) judge(ctx context.Context, row invites.Change, q policy.Question, again bool) (end invites.Outcome, final bool) {
	if q.Own() {
		return end, false
	}
	done := invites.Outcome{Status: invites.StatusDone, Code: invites.CodeDone}
	var unsent []invites.Change
	if row.Action == policy.ActionWithdraw {
		var err error
		if unsent, err = d.Store.UnsentOf(ctx, row.Room, row.Target); err != nil {
			return d.failure(row, err), true
		}
		again = again && len(unsent) == 0 // an invitation that is not there yet must not pass for one taken back
	}
	if again && row.Code == invites.CodeNoEffect { // the second look, see confirm
		if d.confirmed(ctx, row, true) {
			return done, true
		}
		return invites.Outcome{Status: invites.StatusRefused, Code: row.Code, Detail: row.Detail}, true
	}
	if again {
		// An earlier attempt may have gone through before a crash: the room shows the change then, and the row counts as done.
		if snap, err := d.Homeserver.Snapshot(ctx, row.Room, q.Actor, policy.Needs(q), true); err == nil && policy.Took(snap, row.Action, row.Target) {
			return done, true
		}
		// Or the ledger has seen the invitation, and its end: a user who declined meanwhile is not invited again.
		if seen, err := d.Seen(ctx, row); err != nil {
			return d.failure(row, err), true
		} else if seen {
			return done, true
		}
	} else if policy.Withdraws(row.Action) { // a user who has joined this moment must not be kicked
		if _, err := d.Homeserver.Snapshot(ctx, row.Room, q.Actor, policy.Needs(q), true); err != nil && !errors.Is(err, invites.ErrNoView) {
			return d.failure(row, err), true
		}
	}
	decision, err := d.decideAgain(ctx, row, q)
	switch {
	case err != nil:
		return d.failure(row, err), true
	case decision.Code == policy.CodeAlready:
		return invites.Outcome{Status: invites.StatusDone, Code: string(decision.Code), Policy: decision.Policy, Quiet: true}, true
	case decision.Verdict == room.Allow && len(unsent) > 0:
		return takeBack(ctx, d, row, decision, unsent)
	case decision.Verdict == room.Allow:
		return end, false
	case decision.Verdict == room.Unknown && (decision.Code == room.RuleUnknown || decision.Code == policy.CodeFacts):
		return d.failure(row, fmt.Errorf("state unknown: %v", decision.Evidence.Key)), true
	}
	return invites.Outcome{
		Status: invites.StatusRefused, Code: string(decision.Code), Policy: decision.Policy, Detail: policy.Explain(q, decision).Phrase(), Quiet: true,
	}, true
}

// decideAgain decides on a row by the current state. A decision looks at the approval last: its card is read only where
// nothing else stands in the way.
func (d *Delivery) decideAgain(ctx context.Context, row invites.Change, q policy.Question) (policy.Decision, error) {
	f := policy.Facts{Paid: true}
	var err error
	origin, _ := originOf(row)
	f.Unasked = origin.unasked && row.Actor == d.Self.Bot
	if origin.admitted {
		if f.Itself, err = d.Approvals.Accepted(ctx, row, room.Knock); err != nil {
			return policy.Decision{}, err
		}
	}
	j, err := d.Judge.Decide(ctx, row.Room, q, f, nil)
	if err != nil || j.Decision.Code != policy.CodeApproval {
		return j.Decision, err
	}
	for _, action := range []room.ActionType{row.Action, room.Knock} { // asked for, or knocked for
		if f.Approved, err = d.Approvals.Accepted(ctx, row, action); err != nil {
			return j.Decision, err
		}
		if f.Approved {
			j, err = d.Judge.Decide(ctx, row.Room, q, f, nil)
			break
		}
	}
	return j.Decision, err
}

// secondLook is the pause before a room is looked at once more if it does not show an accepted change.
const secondLook = 2 * time.Second

// confirm looks whether a change took effect: the 200 of a shadow-banned sender means nothing. A room without the change is
// looked at once more after a pause, because a homeserver of several processes may show a change late.
func (d *Delivery) confirm(ctx context.Context, row invites.Change) invites.Outcome {
	if d.confirmed(ctx, row, false) {
		return invites.Outcome{Status: invites.StatusDone, Code: invites.CodeDone}
	}
	return invites.Outcome{Status: invites.StatusOpen, Code: invites.CodeNoEffect, At: d.Clock.Now().Add(secondLook),
		Detail: room.Say("detail.no_effect", "target", row.Target)}
}

// confirmed reports whether nothing speaks against an accepted change. It does not look at the bot's own invitations,
// nor at joins: the answer to a join names the room.
func (d *Delivery) confirmed(ctx context.Context, row invites.Change, fresh bool) bool {
	if row.Action == room.Join || row.Action == room.Invite && row.Performer == d.Self.Bot {
		return true
	}
	snap, err := d.Homeserver.Snapshot(ctx, row.Room, row.Actor, []room.Key{room.MemberKey(row.Target)}, fresh)
	if err != nil {
		return true
	}
	_, known := snap.Membership(row.Target)
	return !known || policy.Took(snap, row.Action, row.Target)
}

// remoteTries is how often an invitation to another server is tried after a refusal without a reason in the rules.
const remoteTries = 6

// refusal handles a refusal by the homeserver of a change allowed by the rules: the refusal is final, but the state is read again, to find
// the reason, and to count a change as done if the room shows it already.
func (d *Delivery) refusal(ctx context.Context, row invites.Change, q policy.Question, refused error) invites.Outcome {
	code := invites.Errcode(refused)
	end := invites.Outcome{Status: invites.StatusRefused, Code: code, Detail: room.Say("detail.refused").Holding(judge.Meaning(refused)...)}
	snap, err := d.Homeserver.Snapshot(ctx, row.Room, q.Actor, policy.Needs(q), true)
	if err != nil {
		return end
	}
	if policy.Took(snap, row.Action, row.Target) {
		return invites.Outcome{Status: invites.StatusDone, Code: invites.CodeDone}
	}
	decision, err := d.decideAgain(ctx, row, q)
	switch {
	case err != nil:
	case decision.Verdict == room.Allow && code == "M_FORBIDDEN" && row.Target.Homeserver() != d.Self.Domain && row.Attempt < remoteTries:
		// Dendrite answers so when the target's server can't be reached, which passes.
		return d.failure(row, refused)
	case decision.Verdict == room.Deny && (code == "M_FORBIDDEN" || code == "M_BAD_STATE"):
		end.Code, end.Detail, end.Policy = string(decision.Code), policy.Explain(q, decision).Phrase(), decision.Policy
	}
	return end
}

// failure turns an error into a time to try again, or into giving up.
func (d *Delivery) failure(row invites.Change, err error) invites.Outcome {
	now, server := d.Clock.Now(), invites.Unreachable(err)
	end := invites.Outcome{Status: invites.StatusOpen, Code: invites.CodeTrouble, At: now.Add(backoff(row.Attempt))}
	switch wait, limited := invites.Limited(err); {
	case limited:
		end.Code, end.At = invites.CodeLimited, now.Add(max(wait, time.Second))
	case invites.Stopped(err):
		end.Code, end.At = invites.CodeStopped, now.Add(time.Minute)
	case server != "":
		end.Code, end.Detail = invites.CodeServer, room.Say("detail.unreachable", "server", server)
	case invites.Refused(err) || invites.Errcode(err) != "":
		end.Code = invites.Errcode(err)
		if words := invites.Words(err); words != "" {
			end.Detail = room.Say("detail.trouble", "words", words)
		}
	}
	switch late := now.Sub(row.CreatedAt) >= d.Limits.GiveUpAfter; {
	case late && server != "":
		return invites.Outcome{Status: invites.StatusRefused, Code: invites.CodeServer,
			Detail: room.Say("detail.unreachable.gave_up", "server", server, "within", d.Limits.GiveUpAfter)}
	case late:
		return invites.Outcome{Status: invites.StatusRefused, Code: invites.CodeGaveUp,
			Detail: room.Say("detail.gave_up", "within", d.Limits.GiveUpAfter, "words", invites.Words(err))}
	}
	return end
}

// backoff is 1, 2, 4 … seconds up to five minutes.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 9), 5*time.Minute)
}
