package policy

import (
	"slices"

	"usher/room"
)

// Withdrawing an invitation is a kick to the Matrix rules, even one's own, and needs the kick level
// (https://spec.matrix.org/latest/rooms/v12/#authorization-rules, 4.4). It is an action of its own here, because it must
// never hit a user after they joined.
const (
	ActionWithdraw room.ActionType = "withdraw" // at somebody's request
	ActionExpire   room.ActionType = "expire"   // because the room's policy lets invitations expire
)

// Reason codes of withdrawals.
const (
	CodeNotInvited room.Rule = "withdraw.not_invited" // there is no open invitation
	CodeUnsent     room.Rule = "withdraw.unsent"      // allowed: the invitation was not sent yet, so nothing has to be sent
	CodeStands     room.Rule = "withdraw.stands"      // the room's policy does not let this invitation end, or not yet

	CodeTurnListed room.Rule = "withdraw.listed"         // a policy list bans the invitee by now
	CodeTurnDenied room.Rule = "withdraw.denied"         // the policy itself denies the invitee by now
	CodeTurnBanned room.Rule = "withdraw.inviter_banned" // the inviter was banned
	CodeTurnLeft   room.Rule = "withdraw.inviter_left"   // the inviter has left
)

// Withdraws reports whether an action takes an invitation back.
func Withdraws(a room.ActionType) bool { return a == ActionWithdraw || a == ActionExpire }

// OnTheWire is the action as Matrix knows it.
func OnTheWire(a room.ActionType) room.ActionType {
	if Withdraws(a) {
		return room.Kick
	}
	return a
}

// notOpen denies a withdrawal where the target is not, or no longer, merely invited.
func notOpen(s *room.Snapshot, q Question) room.Rule {
	if !Withdraws(q.Action) {
		return ""
	}
	if membership, known := s.Membership(q.Target); known && membership != "invite" {
		return CodeNotInvited
	}
	return ""
}

// unsent decides on taking back an invitation before it is sent: the user who asked for it may, and users with the power to kick.
func (c check) unsent() Decision {
	d := Decision{Verdict: room.Allow, Code: CodeUnsent, Policy: c.p.Event()}
	if slices.Contains(c.f.Unsent, c.q.Actor) {
		return d
	}
	if result := room.Authorize(c.s, room.Action{Type: room.Kick, Sender: c.q.Actor, Target: c.q.Target}); result.Verdict != room.Allow {
		d.Verdict, d.Code, d.Side, d.Evidence = result.Verdict, result.Rule, SideActor, result.Evidence
	}
	return d
}

// LacksKick reports whether a withdrawal fails for nothing but power.
func LacksKick(v room.Verdict, rule room.Rule) bool {
	return v == room.Deny && (rule == room.RuleKickPower || rule == room.RuleKickOutranked)
}

// withdrawal decides on taking an invitation back. A delegating policy has the bot invite for somebody, and so take back again
// exactly its invitations for them, as long as they might still ask. It denies nobody anything: where it can't be read, or does not
// let them ask, all is as without it.
func (c check) withdrawal() Decision {
	plain := standings(c.s, c.q, false)
	plain.Policy = c.p.Event()
	if !c.f.Theirs || !c.d.Delegate || c.p.Fault() != nil || plain.Side != SideActor {
		return plain
	}
	lent := standings(c.s, c.q, true)
	lent.Policy = c.p.Event()
	if lent.Verdict == room.Deny && lent.Side == SideActor {
		return plain
	}
	author := func() *Decision { return c.lent("delegate") }
	if lent.Verdict != room.Allow {
		author = func() *Decision { return nil }
	}
	for _, part := range []func() *Decision{author, c.ask, c.facts, c.joined} {
		switch no := part(); {
		case no != nil && no.Verdict == room.Unknown:
			no.Side, no.Policy = SidePolicy, c.p.Event()
			return *no
		case no != nil:
			return plain
		}
	}
	return c.delegating(lent)
}
