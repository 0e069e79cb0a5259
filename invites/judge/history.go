package judge

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/policy"
	"usher/room"
)

// maxSteps is how many member events of one user are followed back.
const maxSteps = 100

// History reads state events of the past. Events change by redactions only, so each is read once.
type History struct {
	homeserver Homeserver
	store      Store
	self       invites.Identity
	events     cache[eventKey, invites.StateEvent]
}

// seen returns when a user's own event came, where it is known that this was later than its date; else the zero time.
func (s *History) seen(ctx context.Context, e *invites.StateEvent) (time.Time, error) {
	if string(e.Sender) != e.Key.StateKey || e.Sender.Homeserver() == s.self.Domain {
		return time.Time{}, nil
	}
	return s.store.LateSince(ctx, e.ID)
}

// Event reads a state event.
func (s *History) Event(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (invites.StateEvent, error) {
	return s.read(ctx, eventKey{room: r, event: event}, viewer)
}

// Redacted reads a state event that has been redacted, by another key of the cache: it may have been read before.
func (s *History) Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (invites.StateEvent, error) {
	return s.read(ctx, eventKey{room: r, event: event, size: 1}, viewer)
}

func (s *History) read(ctx context.Context, key eventKey, viewer id.UserID) (invites.StateEvent, error) {
	return s.events.get(key, func() (e invites.StateEvent, size int, err error) {
		e, err = s.homeserver.StateEvent(ctx, key.room, viewer, key.event)
		return e, len(e.Content) + len(e.Before), err
	})
}

// memberNow reads a user's current member event, as far as the room's history can be seen.
func (s *History) memberNow(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID) (invites.StateEvent, error) {
	e, err := s.Event(ctx, r, viewer, event)
	if err != nil && invites.Unseen(err) {
		return s.homeserver.CurrentEvent(ctx, r, viewer, room.MemberKey(user))
	}
	return e, err
}

// memberThen reads an earlier member event.
func (s *History) memberThen(ctx context.Context, r id.RoomID, viewer, _ id.UserID, event id.EventID) (invites.StateEvent, error) {
	return s.Event(ctx, r, viewer, event)
}

// Before returns the membership before an event: "leave" without one, empty where it can't be seen.
func (s *History) Before(ctx context.Context, r id.RoomID, viewer id.UserID, e invites.StateEvent) (string, error) {
	switch {
	case e.Hidden:
		return "", nil
	case e.Before != nil:
		return exactjson.Text(e.Before, "membership"), nil
	case e.Replaces == "":
		return "leave", nil
	}
	earlier, err := s.Event(ctx, r, viewer, e.Replaces)
	if err != nil && invites.Unseen(err) {
		return "", nil
	}
	return exactjson.Text(earlier.Content, "membership"), err
}

// joinedSince follows a member event back to the join, since a new display name is a new event. It stops at a time long enough
// ago, and where the history can't be seen. A user's own server dates the user's events, so the join is no older than the event of somebody else
// before it, and than its arrival where that is known.
func (s *History) joinedSince(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID, enough time.Time, w *Reader) (since time.Time, known bool, err error) {
	read := s.memberNow
	for range maxSteps {
		if event == "" || !w.mayStep() {
			return since, false, nil
		}
		e, err := read(ctx, r, viewer, user, event)
		if err != nil {
			return since, false, err
		}
		seen, err := s.seen(ctx, &e)
		if err != nil {
			return since, false, err
		}
		since = later(e.SentAt, seen)
		if user.Homeserver() == s.self.Domain && !since.After(enough) {
			return since, true, nil
		}
		before, err := s.Before(ctx, r, viewer, e)
		if err != nil {
			return since, false, err
		}
		if before != "join" {
			since, err = s.notBefore(ctx, r, viewer, &e, since)
			return since, err == nil, err
		}
		if !since.After(enough) {
			return since, true, nil
		}
		event, read = e.Replaces, s.memberThen
	}
	return since, false, nil
}

// notBefore returns a date of a user's own event, or the later one of the event of somebody else that it replaces, such as the invitation.
func (s *History) notBefore(ctx context.Context, r id.RoomID, viewer id.UserID, e *invites.StateEvent, at time.Time) (time.Time, error) {
	if e.Replaces == "" || e.Sender.Homeserver() == s.self.Domain {
		return at, nil
	}
	earlier, err := s.Event(ctx, r, viewer, e.Replaces)
	if err == nil && string(earlier.Sender) != earlier.Key.StateKey {
		at = later(at, earlier.SentAt)
	}
	return at, invites.UnlessUnseen(err)
}

// later returns the later time.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// past follows a member event back to when the user last left, declined and was kicked, for as far back as matters. A user's own server
// dates the user's events, so such a date ends the search only where the history before it can't be seen.
func (s *History) past(ctx context.Context, r id.RoomID, viewer, user id.UserID, event id.EventID, now time.Time, matters time.Duration, w *Reader) (past policy.Past, known bool, err error) {
	read, oldest := s.memberNow, now.Add(-matters)
	var trail policy.Trail
	last := now // date of the last event read
	for range maxSteps {
		if event == "" {
			return trail.Past(now), true, nil
		}
		if !w.mayStep() {
			return trail.Past(now), false, nil
		}
		e, err := read(ctx, r, viewer, user, event)
		if err != nil {
			return trail.Past(now), invites.Unseen(err) && last.Before(oldest), invites.UnlessUnseen(err)
		}
		last = e.SentAt
		own := string(e.Sender) == e.StateKey
		seen, err := s.seen(ctx, &e)
		if err != nil {
			return trail.Past(now), false, err
		}
		if !own && e.SentAt.Before(oldest) {
			return trail.Past(now), true, nil
		}
		before, err := s.Before(ctx, r, viewer, e)
		if err != nil || before == "" {
			return trail.Past(now), err == nil && last.Before(oldest), err
		}
		if trail.Add(policy.MemberStep{Before: before, After: exactjson.Text(e.Content, "membership"), Own: own, SentAt: e.SentAt, SeenAt: seen}, oldest) {
			return trail.Past(now), true, nil
		}
		event, read = e.Replaces, s.memberThen
	}
	return trail.Past(now), false, nil
}
