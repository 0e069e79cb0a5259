package policy

import "time"

// MemberStep is one event in the history of a user's membership in a room.
type MemberStep struct {
	Before, After string    // membership
	Own           bool      // the user sent it
	SentAt        time.Time // by the clock of the sender's server
	SeenAt        time.Time // by our own clock, when it came in; zero where nobody knows
}

// Trail is the history of a user's membership as it is read, newest event first. A user's own server dates the user's
// events as it likes, so the date of such an event neither ends the search nor counts on its own: the event is no older than the last event
// before it with a date from another server, and is dated by our own clock where its arrival is known. The zero value is empty.
type Trail struct{ steps []MemberStep }

// Add takes in the next older event. It reports whether this event and all before it are certain to be older than a time.
func (t *Trail) Add(s MemberStep, oldest time.Time) (older bool) {
	t.steps = append(t.steps, s)
	at, trusted := s.date()
	return trusted && at.Before(oldest)
}

// date returns when an event was sent, and whether the user's server has no say in it.
func (s MemberStep) date() (at time.Time, trusted bool) {
	switch {
	case !s.Own:
		return s.SentAt, true
	case s.SeenAt.IsZero():
		return s.SentAt, false
	}
	return s.SeenAt, true
}

// Past returns when the user last left, declined and was kicked, as far as the trail goes.
func (t *Trail) Past(now time.Time) (past Past) {
	var latest time.Time // of the trusted dates so far
	for i := len(t.steps) - 1; i >= 0; i-- {
		s := t.steps[i]
		at, trusted := s.date()
		if trusted && at.After(latest) {
			latest = at
		}
		if !trusted && at.Before(latest) {
			at = latest
		}
		if at.After(now) {
			at = now
		}
		switch {
		case s.After == "leave" && s.Own && s.Before == "join":
			past.Left = at
		case s.After == "leave" && s.Own && s.Before == "invite":
			past.Declined = at
		case (s.After == "leave" || s.After == "ban") && !s.Own && s.Before == "join":
			past.Kicked = at
		}
	}
	return past
}
