package guard

import (
	"context"
	"errors"
	"slices"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// joined looks at a user after a join: uninvited, by a door meant to be shut?
func (g *Guard) joined(ctx context.Context, ev invites.Received, p *policy.InForce, target id.UserID) error {
	guard := &p.Document.Guard
	if guard.Intruders == policy.Ignore || !guard.IsIntruder(false) {
		return nil
	}
	if vouched, err := g.vouched(ctx, ev); err != nil || !guard.IsIntruder(vouched) {
		return invites.UnlessUnseen(err)
	}
	event, err := g.Judge.History.Event(ctx, ev.Room, "", ev.Event)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	before, err := g.Judge.History.Before(ctx, ev.Room, "", event)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	if before == "invite" || before == "join" {
		return nil
	}
	report := Report{Kind: ReportIntruder, Part: "intruder", Event: ev.Event, Who: target, Target: target, At: ev.SentAt}
	return g.remove(ctx, ev, p, report, removal{
		path: "guard.intruders", wanted: guard.Intruders == policy.Kick, membership: "join",
		code: "guard.intruder",
	})
}

// membershipOf returns the membership set by a member event.
func membershipOf(ev invites.Received) string { return exactjson.Text(ev.Raw, "content", "membership") }

// vouched reports whether a restricted join rule let the user join (room.Vouched). A rule set after the join arrived does not
// count: homeservers do not check the voucher while a room is public. Where the room's state is not known, nobody is accused.
func (g *Guard) vouched(ctx context.Context, ev invites.Received) (bool, error) {
	content, user := exactjson.Find(ev.Raw, "content"), id.UserID(*ev.StateKey)
	snap, err := g.Homeserver.Snapshot(ctx, ev.Room, "", room.VouchedNeeds(user, content), false)
	if err != nil {
		return false, err
	}
	rules, _ := snap.Event(room.Key{Type: room.TypeJoinRules})
	if result := room.Vouched(snap, user, content); result.Verdict == room.Deny || rules == nil {
		return result.Verdict == room.Unknown, nil
	}
	set, err := g.Judge.History.Event(ctx, ev.Room, "", rules.ID)
	if err != nil {
		return true, invites.UnlessUnseen(err)
	}
	before := exactjson.Text(set.Before, "join_rule")
	return !set.SentAt.After(ev.ReceivedAt) || before == "restricted" || before == "knock_restricted", nil
}

// newest is how many of a user's last invitations are looked through for one.
const newest = 16

// byHand judges an invitation made past the bot as if the bot had been asked for it.
func (g *Guard) byHand(ctx context.Context, ev invites.Received, p *policy.InForce, target id.UserID) error {
	guard := &p.Document.Guard
	if guard.ByHand == policy.Ignore {
		return nil
	}
	entries, err := g.Store.EntriesOf(ctx, ev.Room, target, newest)
	if err != nil {
		return err
	}
	judged := []invites.Way{invites.WayBot, invites.WayActor, invites.WayNative}
	if slices.ContainsFunc(entries, func(e invites.Invitation) bool { return e.Event == ev.Event && slices.Contains(judged, e.Way) }) {
		return nil // before it was sent
	}
	q := policy.Question{Action: room.Invite, Actor: ev.Sender, Performer: ev.Sender, Target: target}
	d, snap, err := g.Judge.ByHand(ctx, ev.Room, q, p)
	if err != nil {
		return invites.UnlessUnseen(err)
	}
	if d.Verdict != room.Deny || d.Side != policy.SidePolicy {
		return nil
	}
	if now, _ := snap.Membership(target); now == "join" && d.Code == policy.CodeFull {
		return nil // accepted by now: they are one of the users counted
	}
	report := Report{Kind: ReportByHand, Part: "by_hand", Event: ev.Event, Who: ev.Sender, Target: target, At: ev.SentAt,
		Code: string(d.Code), Because: policy.Explain(q, d).Sentence}
	return g.remove(ctx, ev, p, report, removal{
		path: "guard.by_hand", wanted: guard.ByHand == policy.Withdraw, membership: "invite",
		code: string(d.Code),
	})
}

// removal describes the action to take against a user.
type removal struct {
	path       string // field of the policy behind it
	wanted     bool   // else it is only reported
	membership string // as long as the user has it
	code       string // of the audit's decision
}

// remove reports a user and, where the policy wants it and may have it, kicks them: the row first, then the report, then the act.
func (g *Guard) remove(ctx context.Context, ev invites.Received, p *policy.InForce, report Report, r removal) error {
	snap, err := g.Judge.Policies.Look(ctx, ev.Room, p, report.Target)
	if err != nil || snap == nil {
		return err
	}
	rows, err := g.Store.ChangesOf(ctx, string(ev.Event))
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
	kick := room.Action{Type: room.Kick, Sender: g.Self.Bot, Target: report.Target}
	switch result := room.Authorize(snap, kick); {
	case !r.wanted || len(rows) > 0: // decided before a crash
	case result.Verdict != room.Allow:
		report.Rule = string(result.Rule)
		report.Code, r.wanted = string(policy.CodeGuardPower), false
	case p.Entitled(snap, r.path, kick).Verdict != room.Allow:
		report.Code, r.wanted = string(policy.CodeGuardAuthor), false
	}
	if r.wanted && len(rows) == 0 && r.code == string(policy.CodeListed) {
		if err := applyBrake(ctx, g, ev, p, &report); err != nil {
			return err
		}
		if r.wanted = report.Code != string(policy.CodeGuardBrake); !r.wanted {
			report.Call = g.admins(snap)
		}
	}
	report.Acts = r.wanted
	if !r.wanted {
		return g.Tell(ctx, ev.Room, report)
	}
	now := g.Clock.Now()
	row := invites.Change{Origin: invites.OriginGuard, Request: string(ev.Event), Command: ev.Event, CommandRoom: ev.Room, Action: room.Kick, Room: ev.Room, Target: report.Target,
		Actor: g.Self.Bot, Performer: g.Self.Bot, Status: invites.StatusOpen, Code: r.code, CreatedAt: now, DueAt: now}
	rows, err = g.Store.Record(ctx, []invites.Change{row}, []invites.Audit{invites.AuditOf(row, invites.AuditDecision, room.Allow.String(), r.code, p.Event(), now)})
	if err != nil {
		return err
	}
	if err := g.Tell(ctx, ev.Room, report); err != nil || rows[0].Status != invites.StatusOpen {
		return err
	}
	return g.Delivery.Now(ctx, []*invites.Change{&rows[0]}, nil)
}

// applyBrake puts into a report why an invitation is not withdrawn although a policy list bans the user: the lists ban most members of the room, or had
// many invitations withdrawn.
func applyBrake(ctx context.Context, g *Guard, ev invites.Received, p *policy.InForce, report *Report) error {
	members, err := g.Homeserver.Members(ctx, ev.Room, "join")
	if err != nil {
		return err
	}
	most, err := g.Judge.ListedMost(ctx, p, members)
	switch {
	case err != nil:
		return err
	case most:
		report.Code = string(policy.CodeGuardBrake)
	case !g.listed.allow(ev.Room, ev.Event, g.Clock.Now()):
		report.Code, report.Window = string(policy.CodeGuardBrake), guardWindow
	}
	return nil
}

// codeOver is the outcome of a removal which waited until the policy did not want it any more.
const codeOver = "guard.over"

// Wanted implements delivery.Check: the policy wants the removal and may have it, and its cause stands.
func (g *Guard) Wanted(ctx context.Context, row invites.Change) (code string, detail room.Phrase, err error) {
	wanted, err := g.wanted(ctx, row)
	if wanted || err != nil {
		return "", detail, err
	}
	return codeOver, room.Say("detail.over"), nil
}

func (g *Guard) wanted(ctx context.Context, row invites.Change) (bool, error) {
	ev, err := g.Store.Received(ctx, row.Command)
	if errors.Is(err, invites.ErrNotFound) {
		return false, nil
	}
	if err != nil || ev.StateKey == nil {
		return err == nil, err
	}
	p, err := g.Judge.Policies.Of(ctx, row.Room, "")
	if err == nil && p == nil {
		err = invites.ErrKept
	}
	if err != nil || p.Fault() != nil {
		return false, invites.UnlessUnseen(err)
	}
	snap, err := g.Judge.Policies.Look(ctx, row.Room, p, row.Target)
	if err != nil || snap == nil {
		return false, err
	}
	if !snap.Tells(room.MemberKey(row.Target)) {
		return false, invites.ErrKept
	}
	doc := &p.Document.Guard
	membership, _ := snap.Membership(row.Target)
	path, wants := "guard.intruders", doc.Mode != policy.Off && doc.Intruders == policy.Kick && doc.IsIntruder(false) && membership != "invite"
	if wants && membershipOf(ev) == "join" {
		vouched, err := g.vouched(ctx, ev)
		if err != nil {
			return false, invites.UnlessUnseen(err)
		}
		wants = doc.IsIntruder(vouched)
	}
	if membershipOf(ev) == "invite" { // as long as the invitation stands: a user who accepted it is no intruder
		path, wants = "guard.by_hand", doc.Mode != policy.Off && doc.ByHand == policy.Withdraw && invites.MemberEventID(snap, row.Target) == row.Command
	}
	return wants && p.Entitled(snap, path, room.Action{Type: room.Kick, Sender: g.Self.Bot, Target: row.Target}).Verdict == room.Allow, nil
}
