package judge

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
)

// Reader reads for one request: with it, the decisions of the request see the same spent quotas. The zero value is ready.
type Reader struct {
	Viewer  id.UserID       // read as this user where the bot can't; empty: as the actor. Set where somebody only asks
	Bounded bool            // read at most maxAsked events of the past: somebody only asks
	Version int64           // names the quotas read, for a Charge
	Native  bool            // the actor's own client makes the change, so the bot need not be able to act as the actor, and lends no power
	Link    *policy.LinkUse // the targets come by a link; nil: not
	Unasked bool            // the bot asks for a plan to which the policy agrees

	read  bool
	spent policy.Spent
	steps int // of histories read by somebody who only asks
}

// maxAsked bounds the events of the past that are read for somebody who only asks, about all people of the question.
const maxAsked = 300

// mayStep counts one event of the past, and reports whether the request may read it.
func (w *Reader) mayStep() bool {
	if w == nil || !w.Bounded {
		return true
	}
	w.steps++
	return w.steps <= maxAsked
}

// asks reports whether a user only wants to know: nothing is going to be sent.
func (w *Reader) asks() bool { return w != nil && w.Viewer != "" }

// link returns the link by which the targets come; nil: none.
func (w *Reader) link() *policy.LinkUse {
	if w == nil {
		return nil
	}
	return w.Link
}

// unasked reports whether the bot asks for a plan.
func (w *Reader) unasked() bool { return w != nil && w.Unasked }

// native reports whether the actor's own client makes the change.
func (w *Reader) native() bool { return w != nil && w.Native }

// viewer returns the user to read as where the bot can't.
func (w *Reader) viewer(q policy.Question) id.UserID {
	if w == nil || w.Viewer == "" {
		return q.Actor
	}
	return w.Viewer
}

// readSpent reads the spent quotas, once for a request.
func (s *Judge) readSpent(ctx context.Context, r id.RoomID, actor id.UserID, quota policy.Quota, now time.Time, w *Reader) error {
	if w.read {
		return nil
	}
	server := policy.ServerName(actor)
	by := invites.SpentBy{}
	switch {
	case quota.Room.Count > 0:
	case quota.Server.Count > 0:
		by.Server = server
	default:
		by.Actor = actor
	}
	spent, err := s.store.Spent(ctx, r, by, now.Add(-quota.Longest()))
	if err != nil {
		return err
	}
	w.read, w.Version = true, spent.Version
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

// QuotaLine is the state of one quota.
type QuotaLine struct {
	Field string // "quota.person"
	Rate  policy.Rate
	Left  int64
	Grows time.Time // when the next invitation comes back; zero: nothing is spent
}

// Quotas returns the quotas binding a user in a room.
func (s *Judge) Quotas(ctx context.Context, r id.RoomID, actor id.UserID) ([]QuotaLine, error) {
	p, err := s.Policies.Of(ctx, r, actor)
	if err != nil || p == nil {
		return nil, err
	}
	w, now, quota := &Reader{}, s.clock.Now(), p.Document.Quota
	if quota.Longest() == 0 {
		return nil, nil
	}
	if err := s.readSpent(ctx, r, actor, quota, now, w); err != nil {
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
