package invites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/policy"
	"usher/room"
)

// Codes of outcomes that no rule gives.
const (
	CodeDone     = "done"
	CodeGaveUp   = "gave_up"       // it failed until it was too old
	CodeRedacted = "redacted"      // the command was taken back
	CodeNoEffect = "no_effect"     // the homeserver said yes, but the room does not show it
	CodeStopped  = "token_refused" // the homeserver refuses Usher's own token
	CodeAutoJoin = "join.auto"     // the invitee's operator configured that they join at once
)

// Deliver makes one attempt at each of some rows: claim them, read the world again, decide again, act, settle them. An error is
// the store's; everything else is an outcome. They are in the order of the rows.
func (s *Service) Deliver(ctx context.Context, rows ...int64) ([]Outcome, error) {
	claimed, err := s.Store.Claim(ctx, rows, s.Clock.Now(), s.Limits.Lease)
	if err != nil {
		return nil, err
	}
	delivered, _, err := s.deliver(ctx, claimed)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(rows))
	for i, row := range rows {
		if at := slices.IndexFunc(claimed, func(inv Change) bool { return inv.ID == row }); at >= 0 {
			outcomes[i] = delivered[at]
		}
	}
	return outcomes, nil
}

// deliver makes an attempt at each of some rows that were just claimed for it, and returns them as they are then. No attempt
// lasts longer than the lease, and none begins that could not last long enough.
func (s *Service) deliver(ctx context.Context, claimed []Change) ([]Outcome, []Change, error) {
	start, left := s.Clock.Now(), s.Limits.Lease
	for _, inv := range claimed {
		left = min(left, inv.LeasedUntil.Sub(start)) // the commit that claimed it took its time
	}
	leased, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	ends := make([]Outcome, len(claimed))
	for i, inv := range claimed {
		now := s.Clock.Now()
		if i > 0 && (ctx.Err() != nil || now.Sub(start) > s.Limits.Lease/3) {
			ends[i] = Outcome{Status: StatusOpen, Code: inv.Code, Detail: inv.Detail, At: now, Quiet: true}
			continue
		}
		ends[i] = s.attempt(leased, inv)
		if ctx.Err() != nil && ends[i].Status == StatusOpen {
			ends[i].At = now // shutting down: leave it to the next start, but let go of it
		}
	}
	outcomes, err := s.settle(context.WithoutCancel(ctx), claimed, ends)
	after := slices.Clone(claimed)
	for i, end := range ends {
		if err == nil && outcomes[i].Status != "" {
			inv := &after[i]
			inv.Status, inv.Code, inv.Detail, inv.DueAt, inv.LeasedUntil = end.Status, end.Code, end.Detail, end.At, time.Time{}
		}
	}
	return outcomes, after, err
}

// attempt reads, decides and acts.
func (s *Service) attempt(ctx context.Context, inv Change) Outcome {
	if at, wait := s.pace.turn(&inv, s.Clock.Now()); wait {
		return Outcome{Status: StatusOpen, Code: CodeTurn, At: at, Quiet: true}
	}
	q := policy.Question{Action: inv.Action, Actor: inv.Actor, Performer: inv.Performer, Target: inv.Target}
	if inv.Action == room.Join {
		q.Actor = inv.Target // it is the joiner's own, also where an operator sent the bot
	}
	again := inv.Attempt > 1
	if taken, err := s.takenBack(ctx, inv, again); err != nil {
		return s.failure(inv, err)
	} else if taken {
		return Outcome{Status: StatusCancelled, Code: CodeRedacted, Detail: "The command was taken back.", Quiet: true}
	}
	if wanted, err := s.wanted(ctx, inv); err != nil {
		return s.failure(inv, err)
	} else if !wanted {
		return Outcome{Status: StatusRefused, Code: codeGuardOver, Detail: "The room's policy does not want it any more.", Quiet: true}
	}
	if end, final := s.judge(ctx, inv, q, again); final {
		return end
	}
	err := s.Homeserver.Act(ctx, Effect{
		Action: policy.OnTheWire(inv.Action), Room: inv.Room, Via: inv.Via, Performer: inv.Performer, Target: inv.Target, Reason: inv.Reason,
	})
	if wait, limited := Limited(err); limited {
		s.pace.limited(&inv, s.Clock.Now(), wait)
	} else if err == nil || Refused(err) {
		s.pace.answered(&inv, s.Clock.Now())
	}
	switch {
	case err == nil:
		if s.History != nil && inv.Action == room.Invite && inv.Performer == s.Self.Bot {
			s.History.Invited(inv.Room, inv.Target)
		}
		return s.confirm(ctx, inv)
	case Refused(err):
		return s.refusal(ctx, inv, q, err)
	}
	return s.failure(inv, err)
}

// takenBack tells whether the command was redacted while it waited. The inbox knows of redactions by the sender at once;
// those by others, and those missed, are asked for before a later attempt.
func (s *Service) takenBack(ctx context.Context, inv Change, ask bool) (bool, error) {
	if inv.Action == policy.ActionExpire {
		return false, nil // nobody asked for it
	}
	redacted, state, err := s.Store.Redacted(ctx, inv.Command)
	if err == nil && (redacted || state) {
		return !state, nil // what somebody did to the room is no command: they can't take that back
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if !ask {
		return false, nil
	}
	redacted, err = s.Homeserver.Redacted(ctx, inv.CommandRoom, inv.Actor, inv.Command)
	if Unseen(err) {
		return false, nil // whoever can't see the command can't see that it was taken back either
	}
	return redacted, err
}

// judge decides again on the world as it is now. final is false when the homeserver is to be asked.
func (s *Service) judge(ctx context.Context, inv Change, q policy.Question, fresh bool) (end Outcome, final bool) {
	if q.Own() {
		return Outcome{}, false
	}
	if inv.Action == policy.ActionExpire {
		if stands, err := s.stands(ctx, inv); err != nil {
			return s.failure(inv, err), true
		} else if stands {
			d := policy.Decision{Code: policy.CodeStands, Side: policy.SidePolicy}
			return Outcome{Status: StatusRefused, Code: string(d.Code), Detail: policy.Explain(q, d).String(), Quiet: true}, true
		}
	}
	if fresh {
		// An earlier attempt may have gone through before a crash: the room shows it, and that is the idempotency.
		if snap, err := s.Homeserver.Snapshot(ctx, inv.Room, q.Actor, policy.Needs(q), true); err == nil &&
			policy.Took(snap, inv.Action, inv.Target) {
			return Outcome{Status: StatusDone, Code: CodeDone}, true
		}
		// Or the ledger has seen it, and what became of it since: nobody is invited again who declined meanwhile.
		if seen, err := s.seen(ctx, inv); err != nil {
			return s.failure(inv, err), true
		} else if seen {
			return Outcome{Status: StatusDone, Code: CodeDone}, true
		}
	}
	if policy.Withdraws(inv.Action) && !fresh { // one who has joined this moment must not be kicked
		if _, err := s.Homeserver.Snapshot(ctx, inv.Room, q.Actor, policy.Needs(q), true); err != nil && !errors.Is(err, ErrNoView) {
			return s.failure(inv, err), true
		}
	}
	d, err := s.decideAgain(ctx, inv, q)
	switch {
	case err != nil:
		return s.failure(inv, err), true
	case d.Code == policy.CodeAlready:
		return Outcome{Status: StatusDone, Code: string(d.Code), Policy: d.Policy, Quiet: true}, true
	case d.Verdict == room.Allow:
		return Outcome{}, false
	case d.Verdict == room.Unknown && (d.Code == room.RuleUnknown || d.Code == policy.CodeFacts):
		return s.failure(inv, fmt.Errorf("state unknown: %v", d.Evidence.Key)), true
	}
	return Outcome{
		Status: StatusRefused, Code: string(d.Code), Policy: d.Policy,
		Detail: policy.Explain(q, d).String(), Quiet: true,
	}, true
}

// confirm looks whether an act as somebody else took effect: a shadow-banned sender's 200 means nothing.
func (s *Service) confirm(ctx context.Context, inv Change) Outcome {
	done := Outcome{Status: StatusDone, Code: CodeDone}
	if inv.Action != room.Invite || inv.Performer == s.Self.Bot {
		return done
	}
	key := room.MemberKey(inv.Target)
	snap, err := s.Homeserver.Snapshot(ctx, inv.Room, inv.Actor, []room.Key{key}, false)
	if err != nil {
		return done // accepted, and nothing speaks against it
	}
	if _, known := snap.Membership(inv.Target); known && !policy.Took(snap, inv.Action, inv.Target) {
		return Outcome{Status: StatusRefused, Code: CodeNoEffect,
			Detail: "The homeserver accepted the invitation of " + string(inv.Target) + ", but the room does not show it."}
	}
	return done
}

// remoteTries is how often an invitation to another server is tried against a refusal that the rules do not explain.
const remoteTries = 6

// refusal handles a homeserver that refuses what was predicted to pass: its answer is final, but the state is read again, so
// that the reason can be told, and so that what is true already counts as done.
func (s *Service) refusal(ctx context.Context, inv Change, q policy.Question, refused error) Outcome {
	code := Errcode(refused)
	end := Outcome{Status: StatusRefused, Code: code, Detail: "The homeserver refused: " + meaning(code) + "."}
	snap, err := s.Homeserver.Snapshot(ctx, inv.Room, q.Actor, policy.Needs(q), true)
	if err != nil {
		return end
	}
	if policy.Took(snap, inv.Action, inv.Target) {
		end.Status, end.Code, end.Detail = StatusDone, CodeDone, ""
		return end
	}
	d, err := s.decideAgain(ctx, inv, q)
	switch {
	case err != nil:
	case d.Verdict == room.Allow && code == "M_FORBIDDEN" && inv.Target.Homeserver() != s.Self.Domain && inv.Attempt < remoteTries:
		// Dendrite answers so when the target's server can't be reached, which passes.
		return s.failure(inv, refused)
	case d.Verdict == room.Deny && (code == "M_FORBIDDEN" || code == "M_BAD_STATE"):
		end.Code, end.Detail, end.Policy = string(d.Code), policy.Explain(q, d).String(), d.Policy
	}
	return end
}

// meaning words the errcodes that a homeserver answers an invitation or a join with.
func meaning(code string) string {
	switch code {
	case "M_INVITE_BLOCKED", "ORG.MATRIX.MSC4155.INVITE_BLOCKED":
		return "this person takes no invitations from you (" + code + ")"
	case "M_USER_LIMIT_EXCEEDED":
		return "a limit of the server is reached (" + code + ")"
	case "M_USER_SUSPENDED", "M_USER_LOCKED":
		return "the account that would do it is suspended or locked (" + code + ")"
	case "M_UNSUPPORTED_ROOM_VERSION", "M_INCOMPATIBLE_ROOM_VERSION":
		return "the room has a version that a server involved does not support (" + code + ")"
	case "M_NOT_FOUND":
		return "the room or the user was not found (" + code + ")"
	case "":
		return "it gave no reason"
	}
	return code
}

// failure turns what went wrong into a time to try again, or into giving up.
func (s *Service) failure(inv Change, err error) Outcome {
	now := s.Clock.Now()
	end := Outcome{Status: StatusOpen, Code: "M_UNKNOWN", At: now.Add(backoff(inv.Attempt))}
	switch wait, limited := Limited(err); {
	case limited:
		end.Code, end.At = CodeLimited, now.Add(max(wait, time.Second))
	case Stopped(err):
		end.Code, end.At = CodeStopped, now.Add(time.Minute)
	case Refused(err) || Errcode(err) != "":
		end.Code = Errcode(err)
	}
	if now.Sub(inv.CreatedAt) >= s.Limits.GiveUpAfter {
		return Outcome{Status: StatusRefused, Code: CodeGaveUp,
			Detail: "The homeserver could not be brought to do it in " + s.Limits.GiveUpAfter.String() + "."}
	}
	return end
}

// backoff is 1, 2, 4 … seconds up to five minutes.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(max(attempt, 1)-1, 9), 5*time.Minute)
}

// settle commits endings with their audit, and the automatic joins that follow from them, together.
func (s *Service) settle(ctx context.Context, rows []Change, ends []Outcome) ([]Outcome, error) {
	now := s.Clock.Now()
	all := make([]Settlement, len(rows))
	for i, inv := range rows {
		all[i] = s.settlement(inv, ends[i], now)
	}
	fenced, err := s.settleAll(ctx, all)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(rows))
	for i, end := range ends {
		if fenced[i] {
			continue
		}
		outcomes[i] = end
		outcomes[i].Command = rows[i].Command
		if len(all[i].Then) > 0 {
			if err := s.wakeJoin(ctx, rows[i], now); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}

// settleAll settles in one commit, or each apart where one of them is fenced, and tells which are.
func (s *Service) settleAll(ctx context.Context, all []Settlement) (fenced []bool, err error) {
	fenced = make([]bool, len(all))
	if err = s.Store.Settle(ctx, all...); !errors.Is(err, ErrFenced) {
		return fenced, err
	}
	for i, one := range all {
		err := s.Store.Settle(ctx, one)
		if fenced[i] = errors.Is(err, ErrFenced); err != nil && !fenced[i] {
			return nil, err
		}
	}
	return fenced, nil
}

func (s *Service) settlement(inv Change, end Outcome, now time.Time) Settlement {
	settled := Settlement{
		ID: inv.ID, Attempt: inv.Attempt, Status: end.Status, Code: end.Code, Detail: end.Detail, DueAt: end.At, At: now,
		// An invitation that was not sent counts against nobody's quota.
		Refund: inv.Action == room.Invite && (end.Status == StatusRefused || end.Status == StatusCancelled || (end.Status == StatusDone && end.Quiet)),
	}
	if !end.Quiet {
		verdict := string(end.Status)
		if end.Status == StatusOpen {
			verdict = VerdictRetry
		}
		settled.Audit = []Audit{auditOf(inv, AuditEffect, verdict, end.Code, end.Policy, now)}
	}
	if end.Status == StatusDone && inv.Action == room.Invite && s.autoJoins(inv.Target) {
		join := joinOf(inv, now)
		settled.Then = []Change{join}
		settled.Audit = append(settled.Audit, auditOf(join, AuditDecision, room.Allow.String(), CodeAutoJoin, "", now))
	}
	return settled
}

// autoJoins reports whether an invitee's operator configured that they join at once.
func (s *Service) autoJoins(target id.UserID) bool {
	return s.Self.AutoJoin != nil && s.Self.MayAssert(target) && s.Self.AutoJoin(target)
}

// joinOf is the row of an invitee's automatic join. It hangs on the same command.
func joinOf(inv Change, now time.Time) Change {
	return Change{
		Command: inv.Command, CommandRoom: inv.CommandRoom, Action: room.Join, Room: inv.Room, Via: inv.Via,
		Target: inv.Target, Actor: inv.Target, Performer: inv.Target, Status: StatusOpen, CreatedAt: now, DueAt: now,
	}
}

// wakeJoin hands the join to the queue: the lane need not wait for it.
func (s *Service) wakeJoin(ctx context.Context, inv Change, now time.Time) error {
	rows, err := s.Store.Invitations(ctx, inv.Command)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Action == room.Join && row.Target == inv.Target && row.Status == StatusOpen {
			return s.Queue.Wake(ctx, now, row.ID)
		}
	}
	return nil
}
