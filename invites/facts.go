package invites

import (
	"context"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/policy"
	"usher/room"
)

// maxSteps is how many member events of one person are followed back.
const maxSteps = 100

// purse is what one request found to be spent in a room and goes on to spend, and as whom it reads.
type purse struct {
	viewer  id.UserID // read as them where the bot can't; empty: the actor
	read    bool
	version int64
	spent   policy.Spent
}

// asks tells that somebody only wants to know: nothing is going to be sent for them.
func (w *purse) asks() bool { return w != nil && w.viewer != "" }

// reader is as whom is read where the bot can't.
func (w *purse) reader(q policy.Question) id.UserID {
	if w == nil || w.viewer == "" {
		return q.Actor
	}
	return w.viewer
}

// facts finds out what a policy asks for. What can't be found out is left unknown; an error says that the homeserver or the
// store does not answer.
func (s *Service) facts(ctx context.Context, r id.RoomID, q policy.Question, p *policy.InForce, snap *room.Snapshot, f policy.Facts, w *purse) (policy.Facts, error) {
	doc, viewer := &p.Document, w.reader(q)
	need := p.Requires(q.Action) &^ f.Have
	gather := []struct {
		fact policy.Fact
		find func() (bool, error)
	}{
		{policy.FactJoined, func() (ok bool, err error) {
			f.Joined, ok, err = s.joinedSince(ctx, r, viewer, q.Actor, memberEvent(snap, q.Actor), f.Now.Add(-doc.Ask.JoinedFor))
			return ok, err
		}},
		{policy.FactPast, func() (ok bool, err error) {
			f.Past, ok, err = s.past(ctx, r, viewer, q.Target, memberEvent(snap, q.Target), f.Now, doc.Whom.Cooldown.Longest())
			return ok, err
		}},
		{policy.FactMembers, func() (ok bool, err error) {
			f.Members, err = s.Homeserver.MemberCount(ctx, r, viewer, doc.Whom.MaxMembers)
			return true, err
		}},
		{policy.FactLists, func() (ok bool, err error) {
			f.Hit, err = s.listed(ctx, doc.Whom.Lists, viewer, func(l *policy.List) *policy.Hit { return l.Match(q.Target) })
			if err == nil {
				f.RoomHit, err = s.listed(ctx, doc.Whom.Lists, viewer, func(l *policy.List) *policy.Hit { return l.MatchRoom(r) })
			}
			return true, err
		}},
		{policy.FactSpent, func() (ok bool, err error) {
			if f.Paid {
				return false, nil
			}
			err = s.read(ctx, r, q.Actor, doc.Quota, f.Now, w)
			f.Spent = w.spent
			return true, err
		}},
	}
	for _, g := range gather {
		if need&g.fact == 0 {
			continue
		}
		ok, err := g.find()
		if err != nil && !Unseen(err) {
			return f, err
		}
		if ok && err == nil {
			f.Have |= g.fact
		}
	}
	return f, nil
}

// memberEvent is the event of a user's membership; empty where there is none.
func memberEvent(snap *room.Snapshot, user id.UserID) id.EventID {
	if event, _ := snap.Event(room.MemberKey(user)); event != nil {
		return event.ID
	}
	return ""
}

// stateEvent reads an event, which never changes.
func (s *Service) stateEvent(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (StateEvent, error) {
	return remember(&s.memory, &s.memory.events, eventKey{room: r, event: event}, func() (StateEvent, error) {
		return s.Homeserver.StateEvent(ctx, r, viewer, event)
	})
}

// memberNow reads a user's current member event, as far as the room's history can be seen.
func (s *Service) memberNow(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID) (StateEvent, error) {
	e, err := s.stateEvent(ctx, r, viewer, event)
	if err != nil && Unseen(err) {
		return s.Homeserver.CurrentEvent(ctx, r, viewer, room.MemberKey(user))
	}
	return e, err
}

// memberThen reads an earlier one.
func (s *Service) memberThen(ctx context.Context, r id.RoomID, viewer, _ id.UserID, event id.EventID) (StateEvent, error) {
	return s.stateEvent(ctx, r, viewer, event)
}

// before is the membership before an event: "leave" where there was none, empty where it can't be seen.
func (s *Service) before(ctx context.Context, r id.RoomID, viewer id.UserID, e StateEvent) (string, error) {
	switch {
	case e.Hidden:
		return "", nil
	case e.Before != nil:
		return exactjson.Text(e.Before, "membership"), nil
	case e.Replaces == "":
		return "leave", nil
	}
	earlier, err := s.stateEvent(ctx, r, viewer, e.Replaces)
	if err != nil && Unseen(err) {
		return "", nil
	}
	return exactjson.Text(earlier.Content, "membership"), err
}

// joinedSince follows a member event back to the join: a new display name is a new event. It goes no further than to a time
// that is long enough ago, nor where the history can't be seen. Times are those that the members' own servers gave.
func (s *Service) joinedSince(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID, enough time.Time) (since time.Time, known bool, err error) {
	read := s.memberNow
	for range maxSteps {
		if event == "" {
			return since, false, nil
		}
		e, err := read(ctx, r, viewer, user, event)
		if err != nil {
			return since, false, err
		}
		if since = e.SentAt; !since.After(enough) {
			return since, true, nil
		}
		before, err := s.before(ctx, r, viewer, e)
		if err != nil || before != "join" {
			return since, err == nil, err
		}
		event, read = e.Replaces, s.memberThen
	}
	return since, false, nil
}

// past follows a member event back to when the person last left, declined and was kicked, for as far back as matters. The member's own
// server dates what they send, so such a date ends the search only where the history before it can't be seen.
func (s *Service) past(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID, now time.Time, matters time.Duration) (past policy.Past, known bool, err error) {
	read, oldest := s.memberNow, now.Add(-matters)
	var trail policy.Trail
	last := now // date of the last event that was read
	for range maxSteps {
		if event == "" {
			return trail.Past(now), true, nil
		}
		e, err := read(ctx, r, viewer, user, event)
		if err != nil {
			return trail.Past(now), Unseen(err) && last.Before(oldest), UnlessUnseen(err)
		}
		last = e.SentAt
		own := string(e.Sender) == e.StateKey
		if !own && e.SentAt.Before(oldest) {
			return trail.Past(now), true, nil
		}
		before, err := s.before(ctx, r, viewer, e)
		if err != nil || before == "" {
			return trail.Past(now), err == nil && last.Before(oldest), err
		}
		if trail.Add(policy.MemberStep{Before: before, After: exactjson.Text(e.Content, "membership"), Own: own, SentAt: e.SentAt}, oldest) {
			return trail.Past(now), true, nil
		}
		event, read = e.Replaces, s.memberThen
	}
	return trail.Past(now), false, nil
}

// read reads what was spent, once for a request.
func (s *Service) read(ctx context.Context, r id.RoomID, actor id.UserID, quota policy.Quota, now time.Time, w *purse) error {
	if w.read {
		return nil
	}
	server := policy.ServerName(actor)
	by := SpentBy{}
	switch {
	case quota.Room.Count > 0:
	case quota.Server.Count > 0:
		by.Server = server
	default:
		by.Actor = actor
	}
	spent, err := s.Store.Spent(ctx, r, by, now.Add(-quota.Longest()))
	if err != nil {
		return err
	}
	w.read, w.version = true, spent.Version
	for _, one := range spent.List {
		w.spent.Room = append(w.spent.Room, one.At)
		if one.Server == server {
			w.spent.Server = append(w.spent.Server, one.At)
		}
		if one.Actor == actor {
			w.spent.Person = append(w.spent.Person, one.At)
		}
	}
	return nil
}

// watched is a policy list that the bot reads.
type watched struct {
	mu   sync.Mutex
	have bool // list was brought up to date before
	list policy.List
}

func (m *memory) watched(r id.RoomID) *watched {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lists == nil {
		m.lists = map[id.RoomID]*watched{}
	}
	if m.lists[r] == nil {
		m.lists[r] = &watched{}
	}
	return m.lists[r]
}

// listed returns the first rule of the lists that find finds, or nil. The content of the rule is shown only to users who may read the list.
func (s *Service) listed(ctx context.Context, lists []id.RoomID, asker id.UserID, find func(*policy.List) *policy.Hit) (*policy.Hit, error) {
	for _, r := range lists {
		hit, _, err := s.lookUp(ctx, r, find)
		if err != nil {
			return nil, err
		}
		if hit == nil {
			continue
		}
		may, err := s.mayRead(ctx, r, asker)
		if !may {
			hit.Entity, hit.Reason = "", ""
		}
		return hit, err
	}
	return nil, nil
}

// lookUp brings a list up to date and looks a rule up in it. It returns the number of its rules, too.
func (s *Service) lookUp(ctx context.Context, r id.RoomID, find func(*policy.List) *policy.Hit) (*policy.Hit, int, error) {
	if _, err := s.Homeserver.Snapshot(ctx, r, "", nil, false); err != nil {
		return nil, 0, err // policies name what they like: only what can be read is remembered
	}
	w := s.memory.watched(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, whole, err := s.Homeserver.Collect(ctx, r, policy.ListTypes(), w.have)
	if err != nil {
		return nil, 0, err
	}
	if w.have = true; whole {
		w.list = policy.List{}
	}
	for _, change := range changes {
		if change.Event == nil {
			w.list.Set(change.Key, nil)
			continue
		}
		w.list.Set(change.Key, change.Event.Content)
	}
	hit := find(&w.list)
	if hit != nil {
		hit.List = r
	}
	return hit, w.list.Len(), nil
}
