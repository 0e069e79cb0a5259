package invites

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/policy"
	"usher/room"
)

// joined looks at somebody who came in: uninvited, by a door that should be shut?
func (g *Guard) joined(ctx context.Context, ev Received, p *policy.InForce, target id.UserID) error {
	guard := &p.Document.Guard
	if guard.Intruders == policy.Ignore || !guard.IsIntruder(false) {
		return nil
	}
	if vouched, err := vouched(ctx, g.Service, ev); err != nil || !guard.IsIntruder(vouched) {
		return UnlessUnseen(err)
	}
	event, err := g.Service.stateEvent(ctx, ev.Room, "", ev.Event)
	if err != nil {
		return UnlessUnseen(err)
	}
	before, err := g.Service.before(ctx, ev.Room, "", event)
	if err != nil {
		return UnlessUnseen(err)
	}
	if before == "invite" || before == "join" {
		return nil
	}
	report := Report{Kind: ReportIntruder, Part: "intruder", Event: ev.Event, Who: target, Target: target, At: ev.SentAt}
	return g.remove(ctx, ev, p, report, removal{
		path: "guard.intruders", wanted: guard.Intruders == policy.Kick, membership: "join",
		reason: "You joined without an invitation.", code: "guard.intruder",
	})
}

// membershipOf returns the membership that a member event in the inbox sets.
func membershipOf(ev Received) string { return exactjson.Text(ev.Raw, "content", "membership") }

// vouched reports whether a join was let in by a restricted join rule (room.Vouched). A rule that was set after the join arrived does not
// count: homeservers do not check who vouches while a room is public. Where the room's state is not known, nobody is accused.
func vouched(ctx context.Context, s *Service, ev Received) (bool, error) {
	content, user := exactjson.Find(ev.Raw, "content"), id.UserID(*ev.StateKey)
	snap, err := s.Homeserver.Snapshot(ctx, ev.Room, "", room.VouchedNeeds(user, content), false)
	if err != nil {
		return false, err
	}
	rules, _ := snap.Event(room.Key{Type: "m.room.join_rules"})
	if result := room.Vouched(snap, user, content); result.Verdict == room.Deny || rules == nil {
		return result.Verdict == room.Unknown, nil
	}
	set, err := s.stateEvent(ctx, ev.Room, "", rules.ID)
	if err != nil {
		return true, UnlessUnseen(err)
	}
	before := exactjson.Text(set.Before, "join_rule")
	return !set.SentAt.After(ev.ReceivedAt) || before == "restricted" || before == "knock_restricted", nil
}

// newest is how many of somebody's last invitations are looked through for one.
const newest = 16

// byHand judges an invitation that was not made through the bot as if it were asked for.
func (g *Guard) byHand(ctx context.Context, ev Received, p *policy.InForce, target id.UserID) error {
	guard := &p.Document.Guard
	if guard.ByHand == policy.Ignore {
		return nil
	}
	s := g.Service
	entries, err := s.Store.EntriesOf(ctx, ev.Room, target, newest)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(entries, func(e Invitation) bool { return e.Event == ev.Event }); i >= 0 && (entries[i].Way == WayBot || entries[i].Way == WayActor) {
		return nil // made through the bot
	}
	q := policy.Question{Action: room.Invite, Actor: ev.Sender, Performer: ev.Sender, Target: target}
	snap, err := s.Homeserver.Snapshot(ctx, ev.Room, "", policy.Needs(q), false)
	if err != nil {
		return UnlessUnseen(err)
	}
	facts, err := s.facts(ctx, ev.Room, q, p, snap, policy.Facts{Now: s.Clock.Now()}, &purse{})
	if err != nil {
		return err
	}
	d := policy.Decide(policy.Uninvited(snap, q), q, p, facts)
	if d.Verdict != room.Deny || d.Side != policy.SidePolicy {
		return nil
	}
	if now, _ := snap.Membership(target); now == "join" && d.Code == policy.CodeFull {
		return nil // accepted by now: they are one of those who are counted
	}
	report := Report{Kind: ReportByHand, Part: "by_hand", Event: ev.Event, Who: ev.Sender, Target: target, At: ev.SentAt,
		Code: string(d.Code), Because: policy.Explain(q, d).Sentence.String()}
	return g.remove(ctx, ev, p, report, removal{
		path: "guard.by_hand", wanted: guard.ByHand == policy.Withdraw, membership: "invite",
		reason: "The room's policy does not allow this invitation.", code: string(d.Code),
	})
}

// removal is what is to be done about somebody.
type removal struct {
	path       string // field that says so
	wanted     bool   // else it is only reported
	membership string // as long as they have that
	reason     string
	code       string // of the audit's decision
}

// remove reports somebody and, where the policy wants and may have it, kicks them: the row first, then the report, then the act.
func (g *Guard) remove(ctx context.Context, ev Received, p *policy.InForce, report Report, r removal) error {
	s := g.Service
	snap, err := s.look(ctx, ev.Room, p, report.Target)
	if err != nil || snap == nil {
		return err
	}
	rows, err := s.Store.Invitations(ctx, ev.Event)
	if err != nil {
		return err
	}
	switch now, known := snap.Membership(report.Target); {
	case len(rows) > 0 || known && now == r.membership:
	case known && now == "join": // invited, and so no intruder
		report.Late, r.wanted = true, false
	default:
		return nil // gone already
	}
	kick := room.Action{Type: room.Kick, Sender: s.Self.Bot, Target: report.Target}
	switch result := room.Authorize(snap, kick); {
	case !r.wanted || len(rows) > 0:
	case result.Verdict != room.Allow:
		report.Rule = string(result.Rule)
		report.Code, r.wanted = string(policy.CodeGuardPower), false
	case p.Entitled(snap, r.path, kick).Verdict != room.Allow:
		report.Code, r.wanted = string(policy.CodeGuardAuthor), false
	}
	report.Acts = r.wanted
	if !r.wanted {
		return g.Tell(ctx, ev.Room, report)
	}
	now := s.Clock.Now()
	row := Change{Command: ev.Event, CommandRoom: ev.Room, Action: room.Kick, Room: ev.Room, Target: report.Target,
		Actor: s.Self.Bot, Performer: s.Self.Bot, Reason: r.reason, Status: StatusOpen, Code: r.code, CreatedAt: now, DueAt: now}
	rows, err = s.Store.Record(ctx, []Change{row}, []Audit{auditOf(row, AuditDecision, room.Allow.String(), r.code, p.Event(), now)})
	if err != nil {
		return err
	}
	if err := g.Tell(ctx, ev.Room, report); err != nil || rows[0].Status != StatusOpen {
		return err
	}
	return s.deliverNow(ctx, []*Change{&rows[0]}, nil)
}

// codeGuardOver is the outcome of a removal that waited until nobody wanted it any more.
const codeGuardOver = "guard.over"

// wanted reports whether a guard's row still is: the policy says so, may say so, and what it is about stands. Rows that no
// guard made are.
func (s *Service) wanted(ctx context.Context, inv Change) (bool, error) {
	if inv.Actor != s.Self.Bot || inv.Action != room.Kick {
		return true, nil
	}
	ev, err := s.Store.Received(ctx, inv.Command)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil || ev.StateKey == nil {
		return err == nil, err
	}
	p, err := s.Policy(ctx, inv.Room, "")
	if err != nil || p == nil || p.Fault() != nil {
		return false, UnlessUnseen(err)
	}
	snap, err := s.look(ctx, inv.Room, p, inv.Target)
	if err != nil || snap == nil {
		return false, err
	}
	doc := &p.Document.Guard
	membership, _ := snap.Membership(inv.Target)
	path, wants := "guard.intruders", doc.Mode != policy.Off && doc.Intruders == policy.Kick && doc.IsIntruder(false) && membership != "invite"
	if wants && membershipOf(ev) == "join" {
		vouched, err := vouched(ctx, s, ev)
		if err != nil {
			return false, UnlessUnseen(err)
		}
		wants = doc.IsIntruder(vouched)
	}
	if membershipOf(ev) == "invite" { // as long as that invitation stands: whoever accepted it is no intruder
		path, wants = "guard.by_hand", doc.Mode != policy.Off && doc.ByHand == policy.Withdraw && memberEvent(snap, inv.Target) == inv.Command
	}
	return wants && p.Entitled(snap, path, room.Action{Type: room.Kick, Sender: s.Self.Bot, Target: inv.Target}).Verdict == room.Allow, nil
}
