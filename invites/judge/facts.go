package judge

import (
	"context"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// facts finds out the facts for a policy. A fact stays unknown if it can't be found out; an error means: the homeserver or
// the store does not answer.
func (s *Judge) facts(ctx context.Context, r id.RoomID, q policy.Question, p *policy.InForce, snap *room.Snapshot, f policy.Facts, w *Reader) (policy.Facts, error) {
	doc, viewer := &p.Document, w.viewer(q)
	need := p.Requires(q.Action) &^ f.Have
	gather := []struct {
		fact policy.Fact
		find func() (bool, error)
	}{
		{policy.FactJoined, func() (ok bool, err error) {
			f.Joined, ok, err = s.History.joinedSince(ctx, r, viewer, q.Actor, invites.MemberEventID(snap, q.Actor), f.Now.Add(-doc.Ask.JoinedFor), w)
			return ok, err
		}},
		{policy.FactPast, func() (ok bool, err error) {
			f.Past, ok, err = s.History.past(ctx, r, viewer, q.Target, invites.MemberEventID(snap, q.Target), f.Now, doc.Whom.Cooldown.Longest(), w)
			return ok, err
		}},
		{policy.FactMembers, func() (ok bool, err error) {
			f.Members, err = s.homeserver.MemberCount(ctx, r, viewer, p.MaxMembers(q.Action))
			return true, err
		}},
		{policy.FactLists, func() (ok bool, err error) {
			f.Hit, err = s.Lists.find(ctx, doc.Whom.Lists, viewer, func(l *policy.List) *policy.Hit { return l.Match(q.Target) })
			if err != nil {
				return false, err
			}
			f.RoomHit, ok, err = s.roomHit(ctx, r, viewer, doc.Whom.Lists)
			return ok, err
		}},
		{policy.FactSpent, func() (ok bool, err error) {
			if f.Paid {
				return false, nil
			}
			err = s.readSpent(ctx, r, q.Actor, doc.Quota, f.Now, w)
			f.Spent = w.spent
			return true, err
		}},
	}
	for _, g := range gather {
		if need&g.fact == 0 {
			continue
		}
		ok, err := g.find()
		if err != nil && !invites.Unseen(err) {
			return f, err
		}
		if ok && err == nil {
			f.Have |= g.fact
		}
	}
	return f, nil
}

// roomHit finds a rule of the lists against a room, by its id or one of the aliases that the room publishes. It is unknown where these are.
func (s *Judge) roomHit(ctx context.Context, r id.RoomID, viewer id.UserID, lists []id.RoomID) (hit *policy.Hit, known bool, err error) {
	alias := room.Key{Type: room.TypeCanonicalAlias}
	snap, err := s.homeserver.Snapshot(ctx, r, viewer, []room.Key{alias}, false)
	if err != nil {
		return nil, false, err
	}
	event, known := snap.Event(alias)
	if !known {
		return nil, false, nil
	}
	var aliases []string
	if event != nil {
		aliases, _ = exactjson.Get(event.Content, "alt_aliases").Texts()
		if main := exactjson.Text(event.Content, "alias"); main != "" {
			aliases = append(aliases, main)
		}
	}
	hit, err = s.Lists.find(ctx, lists, viewer, func(l *policy.List) *policy.Hit { return l.MatchRoom(r, aliases...) })
	return hit, true, err
}
