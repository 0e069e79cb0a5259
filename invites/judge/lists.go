package judge

import (
	"context"
	"slices"
	"sync"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
)

// Lists looks users up in policy lists: rooms with rules in their state which ban users.
type Lists struct {
	homeserver Homeserver
	self       invites.Identity
	reach      *Reach
	upgrades   upgrades

	mu   sync.Mutex
	kept map[id.RoomID]*list // as many as policies name
}

// list is a policy list as the bot last read it.
type list struct {
	mu    sync.Mutex
	have  bool // rules were read before
	rules policy.List
}

// of returns the list of a room.
func (s *Lists) of(r id.RoomID) *list {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[id.RoomID]*list{}
	}
	if s.kept[r] == nil {
		s.kept[r] = &list{}
	}
	return s.kept[r]
}

// Known reports whether a room was read as a policy list.
func (s *Lists) Known(r id.RoomID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[r] != nil
}

// find returns the first rule of the lists found by match, or nil. The text of the rule is for users who may read the list.
func (s *Lists) find(ctx context.Context, lists []id.RoomID, asker id.UserID, match func(*policy.List) *policy.Hit) (*policy.Hit, error) {
	current, err := s.current(ctx, lists)
	if err != nil {
		return nil, err
	}
	for _, r := range current {
		hit, _, err := s.lookUp(ctx, r, match)
		if err != nil {
			return nil, err
		}
		if hit == nil {
			continue
		}
		may, err := s.reach.mayRead(ctx, r, asker)
		if !may {
			hit.Entity, hit.Reason = "", ""
		}
		return hit, err
	}
	return nil, nil
}

// current lists the rooms of some lists, with their replacements: both count.
func (s *Lists) current(ctx context.Context, lists []id.RoomID) (all []id.RoomID, err error) {
	for _, r := range lists {
		next, err := s.upgrades.successors(ctx, r, policy.ListTypes()[0])
		if err != nil {
			return nil, err
		}
		for _, one := range append([]id.RoomID{r}, next...) {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// lookUp brings a list up to date and looks a rule up in it. It returns the number of its rules, too.
func (s *Lists) lookUp(ctx context.Context, r id.RoomID, match func(*policy.List) *policy.Hit) (*policy.Hit, int, error) {
	if _, err := s.homeserver.Snapshot(ctx, r, "", nil, false); err != nil {
		return nil, 0, err // policies name any room: only readable rooms are remembered
	}
	w := s.of(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, whole, err := s.homeserver.Collect(ctx, r, policy.ListTypes(), w.have)
	if err != nil {
		return nil, 0, err
	}
	if w.have = true; whole {
		w.rules = policy.List{}
	}
	for _, change := range changes {
		if change.Event == nil {
			w.rules.Set(change.Key, nil)
			continue
		}
		w.rules.Set(change.Key, change.Event.Content)
	}
	hit := match(&w.rules)
	if hit != nil {
		hit.List = r
	}
	return hit, w.rules.Len(), nil
}

// Bans returns a rule of policy lists against a user, their server or a room, or nil.
func (s *Lists) Bans(ctx context.Context, lists []id.RoomID, user id.UserID, r id.RoomID) (*policy.Hit, error) {
	if len(lists) == 0 {
		return nil, nil
	}
	return s.find(ctx, lists, s.self.Bot, func(l *policy.List) *policy.Hit {
		if hit := l.Match(user); hit != nil {
			return hit
		}
		return l.MatchRoom(r)
	})
}

// Unreadable returns the first of some lists that the bot can't read, empty if it can read all.
func (s *Lists) Unreadable(ctx context.Context, lists []id.RoomID) (id.RoomID, error) {
	for _, r := range lists {
		if _, _, err := s.lookUp(ctx, r, func(*policy.List) *policy.Hit { return nil }); err != nil {
			if invites.Unseen(err) {
				return r, nil
			}
			return "", err
		}
	}
	return "", nil
}

// Listed reports whether the policy lists of a room ban a user whom the policy does not exempt.
func (s *Judge) Listed(ctx context.Context, p *policy.InForce, user id.UserID) (bool, error) {
	if p.Exempts(user) {
		return false, nil
	}
	hit, err := s.Lists.find(ctx, p.Document.Whom.Lists, s.self.Bot, func(l *policy.List) *policy.Hit { return l.Match(user) })
	return hit != nil, err
}

// ListLine is a policy list watched by a room.
type ListLine struct {
	Room     id.RoomID
	Rules    int
	Err      error     // the list can't be read
	Replaced id.RoomID // the room in its tombstone; empty: none
	Followed bool      // the bot reads the room Replaced, too
}

// Of describes the policy lists watched by a policy, as far as the asker may know (Readable).
func (s *Lists) Of(ctx context.Context, p *policy.InForce, asker id.UserID) []ListLine {
	lines := make([]ListLine, len(p.Document.Whom.Lists))
	for i, r := range p.Document.Whom.Lists {
		lines[i].Room = r
		lines[i].Rules, lines[i].Err = s.Readable(ctx, r, asker)
		if lines[i].Err != nil {
			continue
		}
		var next []id.RoomID
		if lines[i].Replaced, lines[i].Err = s.reach.ReplacedBy(ctx, r, s.self.Bot); lines[i].Err == nil && lines[i].Replaced != "" {
			next, lines[i].Err = s.upgrades.successors(ctx, r, policy.ListTypes()[0])
		}
		lines[i].Followed = len(next) > 0
	}
	return lines
}

// Readable counts the rules of a policy list readable for the bot and for a user. ErrNoView means: one of both
// can't, and not which.
func (s *Lists) Readable(ctx context.Context, r id.RoomID, asker id.UserID) (rules int, err error) {
	may, err := s.reach.mayRead(ctx, r, asker)
	if err != nil {
		return 0, err
	}
	if !may {
		return 0, invites.ErrNoView
	}
	_, rules, err = s.lookUp(ctx, r, func(*policy.List) *policy.Hit { return nil })
	return rules, err
}
