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

// Refusal is why a policy could not be written: for people.
type Refusal struct {
	Code string
	Text string
}

// Error implements error.
func (r Refusal) Error() string { return r.Text }

// Reason codes of edits.
const (
	CodeEditPower  = "policy.edit.power"       // the one who asks may not send the policy event
	CodeEditBot    = "policy.edit.performer"   // they may, but the bot can't act for them and lacks the power itself
	CodeEditView   = "policy.edit.no_view"     // the room can't be seen, or they are not in it
	CodeEditServer = "policy.edit.homeserver"  // the homeserver refused it
	CodeEditLarge  = "policy.edit.too_large"   // more than an event holds
	actionPolicy   = room.ActionType("policy") // in the audit
	maxContent     = 60_000                    // bytes: an event holds 65,536 in all
	codeEdited     = "policy.edited"           // of an audit row
)

// OwnPolicy returns what a room's own policy sets. Its Fault tells of one that can't be read. The source's event is empty where
// the room has none.
func (s *Service) OwnPolicy(ctx context.Context, r id.RoomID, viewer id.UserID) (policy.Source, error) {
	snap, err := s.Homeserver.Snapshot(ctx, r, viewer, []room.Key{policy.Key()}, true)
	if err != nil {
		return policy.Source{}, err
	}
	if event, _ := snap.Event(policy.Key()); event != nil {
		return s.source(r, event), nil
	}
	return policy.Source{Room: r}, nil
}

// WritePolicy sets a room's own policy for somebody whom the room's power levels let send that event: as them where Usher may,
// else as the bot, if it has the power too. The error is a Refusal where it is not to be.
func (s *Service) WritePolicy(ctx context.Context, command id.EventID, r id.RoomID, actor id.UserID, layer policy.Layer) (by id.UserID, err error) {
	content := layer.ContentFor(actor)
	if len(content) > maxContent {
		return "", Refusal{CodeEditLarge, "That is more than a policy event can hold. Keep long lists in a policy list (!lists)."}
	}
	by, err = s.writer(ctx, r, actor)
	if err != nil {
		return "", err
	}
	if by != s.Self.Bot {
		content = layer.Content()
	}
	event, err := s.Homeserver.SendState(ctx, r, by, policy.Key(), content)
	if Refused(err) {
		return "", Refusal{CodeEditServer, "The homeserver refused it: " + meaning(Errcode(err)) + "."}
	}
	if err != nil {
		return "", fmt.Errorf("writing the policy: %w", err)
	}
	_, err = s.Store.Record(ctx, nil, []Audit{{
		At: s.Clock.Now(), Kind: AuditEffect, Action: actionPolicy, Room: r, Actor: actor, Performer: by,
		Verdict: string(StatusDone), Code: codeEdited, Policy: event, Command: command,
	}})
	return by, err
}

// writer chooses who sends the policy event, by the state as it is now.
func (s *Service) writer(ctx context.Context, r id.RoomID, actor id.UserID) (id.UserID, error) {
	needs := []room.Key{{Type: "m.room.create"}, {Type: "m.room.power_levels"}, room.MemberKey(actor), room.MemberKey(s.Self.Bot)}
	snap, err := s.Homeserver.Snapshot(ctx, r, actor, needs, true)
	if errors.Is(err, ErrNoView) {
		return "", Refusal{CodeEditView, "I can't see that room."}
	}
	if err != nil {
		return "", err
	}
	may := snap.CanSend(actor, policy.EventType, true)
	switch {
	case may.Verdict == room.Unknown:
		return "", fmt.Errorf("reading who may write the policy: %v unknown", may.Evidence.Key)
	case may.Rule == room.RuleStatePower:
		return "", Refusal{CodeEditPower, fmt.Sprintf("The policy is for those with power level %d here, and you have %d.", may.Evidence.Needed, may.Evidence.Had)}
	case may.Verdict != room.Allow:
		return "", Refusal{CodeEditView, "You are not in that room."}
	case s.Self.MayAssert(actor):
		return actor, nil
	}
	can := snap.CanSend(s.Self.Bot, policy.EventType, true)
	if can.Verdict == room.Allow {
		return s.Self.Bot, nil
	}
	return "", Refusal{CodeEditBot, fmt.Sprintf("You may write the policy, but I can't do it for you: I can't act as you, and I need power level %d myself.", can.Evidence.Needed)}
}

// Revision is one version of a room's policy.
type Revision struct {
	By     id.UserID // sender of the event
	For    id.UserID // who had the bot write it; empty: nobody, or nobody knows any more
	At     time.Time
	Event  id.EventID
	Before policy.Layer // empty where there was none, or none that could be read
	After  policy.Layer
	Fault  error // it could not be read
}

// PolicyHistory returns the last versions of a room's own policy, newest first.
func (s *Service) PolicyHistory(ctx context.Context, r id.RoomID, viewer id.UserID, limit int) ([]Revision, error) {
	events, err := s.Homeserver.History(ctx, r, viewer, policy.Key(), limit+1)
	if err != nil {
		return nil, err
	}
	var list []Revision
	for i, e := range events {
		if i == limit {
			break
		}
		rev := Revision{By: e.Sender, At: e.SentAt, Event: e.ID}
		rev.After, rev.Fault = policy.Parse(e.Content)
		if i+1 < len(events) {
			rev.Before, _ = policy.Parse(events[i+1].Content)
		}
		list = append(list, rev)
	}
	return list, s.askers(ctx, r, list)
}

// maxTraced is how many audit rows are looked through for whom the bot wrote.
const maxTraced = 1000

// askers says of the versions that the bot wrote who asked for them.
func (s *Service) askers(ctx context.Context, r id.RoomID, list []Revision) error {
	if !slices.ContainsFunc(list, func(rev Revision) bool { return rev.By == s.Self.Bot }) {
		return nil
	}
	audit, err := s.Store.RecentAudit(ctx, AuditQuery{Room: r, User: s.Self.Bot}, maxTraced)
	if err != nil {
		return fmt.Errorf("looking up who had the policy written: %w", err)
	}
	for i := range list {
		wrote := func(a Audit) bool {
			return a.Action == actionPolicy && a.Policy == list[i].Event && a.Performer == s.Self.Bot
		}
		if n := slices.IndexFunc(audit, wrote); n >= 0 {
			list[i].For = audit[n].Actor
		}
	}
	return nil
}

// QuotaLine is how one quota stands.
type QuotaLine struct {
	Field string // "quota.person"
	Rate  policy.Rate
	Left  int64
	Grows time.Time // when the next one comes back; zero: nothing is spent
}

// Quotas says how the quotas that bind somebody in a room stand.
func (s *Service) Quotas(ctx context.Context, r id.RoomID, actor id.UserID) ([]QuotaLine, error) {
	p, err := s.Policy(ctx, r, actor)
	if err != nil || p == nil {
		return nil, err
	}
	w, now, quota := &purse{}, s.Clock.Now(), p.Document.Quota
	if quota.Longest() == 0 {
		return nil, nil
	}
	if err := s.read(ctx, r, actor, quota, now, w); err != nil {
		return nil, err
	}
	var lines []QuotaLine
	for _, k := range []struct {
		field string
		rate  policy.Rate
		spent []time.Time
	}{{"quota.person", quota.Person, w.spent.Person}, {"quota.server", quota.Server, w.spent.Server}, {"quota.room", quota.Room, w.spent.Room}} {
		if k.rate.Count == 0 {
			continue
		}
		line := QuotaLine{Field: k.field, Rate: k.rate}
		left, grows, ok := k.rate.Take(k.spent, now)
		if ok {
			line.Left = left + 1
		}
		if line.Left < k.rate.Count {
			line.Grows = grows
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// ListLine is a policy list that a room watches.
type ListLine struct {
	Room  id.RoomID
	Rules int
	Err   error // it can't be read
}

// Lists says of the policy lists that a room watches what is in them, as far as the asker may know (ReadableList).
func (s *Service) Lists(ctx context.Context, p *policy.InForce, asker id.UserID) []ListLine {
	lines := make([]ListLine, len(p.Document.Whom.Lists))
	for i, r := range p.Document.Whom.Lists {
		lines[i].Room = r
		lines[i].Rules, lines[i].Err = s.ReadableList(ctx, r, asker)
	}
	return lines
}

// ReadableList counts the rules of a policy list that the bot can read, for somebody who could read it themselves. ErrNoView says
// that one of both can't, and not which.
func (s *Service) ReadableList(ctx context.Context, r id.RoomID, asker id.UserID) (rules int, err error) {
	may, err := s.mayRead(ctx, r, asker)
	if err != nil {
		return 0, err
	}
	if !may {
		return 0, ErrNoView
	}
	_, rules, err = s.lookUp(ctx, r, func(*policy.List) *policy.Hit { return nil })
	return rules, err
}

// Enter has the bot join a room.
func (s *Service) Enter(ctx context.Context, r id.RoomID, via []string) error {
	return s.Homeserver.Act(ctx, Effect{Action: room.Join, Room: r, Via: via, Performer: s.Self.Bot, Target: s.Self.Bot})
}
