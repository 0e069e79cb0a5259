package delivery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/commands"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/room"
)

// queued is a queue on the simulated clock: it delivers as jobs does, one row after the other.
type queued struct {
	*world
	waits  []invitestest.Wake
	tries  int
	passed map[string]int // by room and invitee
	last   time.Time      // when the last one passed
}

// newQueued has a homeserver with such an answer before it does what it is asked for.
func newQueued(t *testing.T, before func(*queued) func(invites.Effect) error) *queued {
	t.Helper()
	q := &queued{world: newWorld(t), passed: map[string]int{}}
	q.In.AtOnce, q.In.GiveUp = 5, 24*time.Hour
	q.Build()
	answer := before(q)
	q.HS.Before = func(e invites.Effect) error {
		if err := answer(e); err != nil {
			return err
		}
		q.passed[string(e.Room)+" "+string(e.Target)]++
		q.last = q.Clock.Now()
		return nil
	}
	return q
}

// run delivers what is due until nothing waits, or until the clock is at end.
func (q *queued) run(t *testing.T, end time.Time) {
	t.Helper()
	for {
		q.waits = append(q.waits, q.Queue.Take()...)
		slices.SortStableFunc(q.waits, func(a, b invitestest.Wake) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Row, b.Row)) })
		if len(q.waits) == 0 || q.waits[0].At.After(end) {
			q.Clock.Advance(max(0, end.Sub(q.Clock.Now())))
			return
		}
		next := q.waits[0]
		q.waits = q.waits[1:]
		q.Clock.Advance(max(0, next.At.Sub(q.Clock.Now())))
		q.Clock.Advance(20 * time.Millisecond) // that it takes
		outcome, err := invitestest.One(q.Delivery.Deliver(t.Context(), next.Row))
		q.tries++
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Status == invites.StatusOpen {
			at := outcome.At.Add(time.Second - 1).Truncate(time.Second)
			if soonest := q.Clock.Now().Add(time.Second); at.Before(soonest) {
				at = soonest.Truncate(time.Second).Add(time.Second)
			}
			q.waits = append(q.waits, invitestest.Wake{At: at, Row: next.Row})
		}
	}
}

// guests are n people to invite.
func guests(n int) (all []id.UserID) {
	for i := range n {
		all = append(all, id.UserID(fmt.Sprintf("@guest%d:here", i)))
	}
	return all
}

// askIn asks for invitations to a room of alice's, which is made where it isn't there.
func (q *queued) askIn(t *testing.T, r id.RoomID, by id.UserID, targets []id.UserID) []invites.Change {
	t.Helper()
	if _, err := q.HS.Snapshot(t.Context(), r, by, nil, true); errors.Is(err, invites.ErrNoView) {
		q.HS.Create(r, "11", by, bot)
	}
	req := q.Request(t, by, targets...)
	req.Room = r
	return q.MustAsk(t, req)
}

// invited checks that so many people were invited, each once, and that nothing waits any more.
func (q *queued) invited(t *testing.T, n int) {
	t.Helper()
	if len(q.passed) != n {
		t.Errorf("%d were invited, want %d", len(q.passed), n)
	}
	for who, times := range q.passed {
		if times != 1 {
			t.Errorf("%s: %d times", who, times)
		}
	}
	if rows, err := q.DB.Due(t.Context(), q.Clock.Now().Add(48*time.Hour), 0, 1000); err != nil || len(rows) > 0 {
		t.Errorf("still open: %v %v", rows, err)
	}
}

// TestPacing: a hundred people are invited against Synapse's limits, with about one request for each, as fast as the limits let.
func TestPacing(t *testing.T) {
	tests := []struct {
		name     string
		ask      func(t *testing.T, q *queued)
		wants    int           // invitations
		most     float64       // requests for each
		soonest  time.Duration // that the limits allow
		overhead float64
	}{
		{"one room", func(t *testing.T, q *queued) { q.askIn(t, lobby, alice, guests(100)) }, 100, 1.1, 300 * time.Second, 1.05},
		{"one room, people of another server", func(t *testing.T, q *queued) {
			var far []id.UserID
			for i := range 100 {
				far = append(far, id.UserID(fmt.Sprintf("@guest%d:far.example", i)))
			}
			q.askIn(t, lobby, alice, far)
		}, 100, 1.1, 300 * time.Second, 1.05},
		{"one room, every second of another server", func(t *testing.T, q *queued) {
			mixed := guests(100)
			for i := 0; i < len(mixed); i += 2 {
				mixed[i] = id.UserID(fmt.Sprintf("@guest%d:far.example", i))
			}
			q.askIn(t, lobby, alice, mixed)
		}, 100, 1.2, 300 * time.Second, 1.05},
		{"two rooms of one sender", func(t *testing.T, q *queued) {
			q.askIn(t, lobby, alice, guests(50))
			q.askIn(t, "!second:here", alice, guests(50))
		}, 100, 1.2, 300 * time.Second, 1.1},
		{"twenty people into ten rooms", func(t *testing.T, q *queued) {
			for i := range 10 {
				q.askIn(t, id.RoomID(fmt.Sprintf("!room%d:here", i)), id.UserID(fmt.Sprintf("@owner%d:here", i)), guests(20))
			}
		}, 200, 1.4, 5 * 333 * time.Second, 1.2},
		{"a restart midway", func(t *testing.T, q *queued) {
			q.askIn(t, lobby, alice, guests(100))
			q.run(t, q.Clock.Now().Add(2*time.Minute))
			q.Build()
		}, 100, 1.2, 300 * time.Second, 1.05},
		{"a restart, and more of them", func(t *testing.T, q *queued) {
			q.askIn(t, lobby, alice, guests(50))
			q.run(t, q.Clock.Now().Add(time.Minute))
			q.Build()
			q.askIn(t, lobby, alice, guests(100)[50:])
		}, 100, 1.2, 300 * time.Second, 1.1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueued(t, func(q *queued) func(invites.Effect) error { return invitestest.SynapseLimits(q.Clock).Before })
			start := q.Clock.Now()
			tt.ask(t, q)
			q.run(t, start.Add(20*time.Hour))
			q.invited(t, tt.wants)
			requests, took := len(q.HS.Acts()), q.last.Sub(start)
			t.Logf("%d invitations: %d requests, %d tries, %s", tt.wants, requests, q.tries, took)
			if each := float64(requests) / float64(tt.wants); each > tt.most {
				t.Errorf("%.2f requests for each invitation, want at most %.2f", each, tt.most)
			}
			if took > time.Duration(float64(tt.soonest)*tt.overhead) {
				t.Errorf("it took %s, where the limits allow it in %s", took, tt.soonest)
			}
		})
	}
}

// TestTurnIsForetold: soon after they were asked for, a hundred invitations are due when they will be made, about, so that the
// user is told how long it takes.
func TestTurnIsForetold(t *testing.T) {
	q := newQueued(t, func(q *queued) func(invites.Effect) error { return invitestest.SynapseLimits(q.Clock).Before })
	start := q.Clock.Now()
	asked := q.askIn(t, lobby, alice, guests(100))
	q.run(t, start.Add(5*time.Second))
	rows, err := q.Progress(t.Context(), asked[0].Command)
	if err != nil {
		t.Fatal(err)
	}
	last := slices.MaxFunc(rows, func(a, b invites.Change) int { return a.DueAt.Compare(b.DueAt) })
	if said := last.DueAt.Sub(start); said < 4*time.Minute || said > 6*time.Minute {
		t.Errorf("the last is due in %s, want about 5 minutes", said)
	}
	reply := commands.Outcome(rows, q.Clock.Now())
	if text := reply.Text.String(); !strings.Contains(text, "may invite in this room; I go on by myself, for about 5 minutes") {
		t.Errorf("the user is told: %s", text)
	}
}

// TestPacingLeavesOthersAlone: while a hundred invitations wait, a single one elsewhere does not, nor one of somebody whom the limit
// is none of.
func TestPacingLeavesOthersAlone(t *testing.T) {
	tests := []struct {
		name   string
		by     id.UserID
		in     id.RoomID
		within time.Duration
	}{
		{"another's, in another room", bob, "!elsewhere:here", 0},
		{"the same sender's, in another room", alice, "!elsewhere:here", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueued(t, func(q *queued) func(invites.Effect) error { return invitestest.SynapseLimits(q.Clock).Before })
			q.askIn(t, lobby, alice, guests(100))
			q.run(t, q.Clock.Now().Add(time.Minute))
			q.askIn(t, tt.in, tt.by, []id.UserID{"@single:here"})
			q.run(t, q.Clock.Now().Add(tt.within))
			if q.passed[string(tt.in)+" @single:here"] != 1 {
				t.Errorf("not invited within %s", tt.within)
			}
			q.run(t, q.Clock.Now().Add(time.Hour))
			q.invited(t, 101)
		})
	}
}

// TestOnesOwnLimit: somebody whose own limit is met holds up nobody else, and is invited when it is over.
func TestOnesOwnLimit(t *testing.T) {
	q := newQueued(t, func(q *queued) func(invites.Effect) error {
		limits := invitestest.Limits{Invitee: invitestest.Limit{PerSecond: 0.003, Burst: 1}, Clock: q.Clock}
		if err := limits.Before(invites.Effect{Target: "@guest3:here"}); err != nil {
			t.Fatal(err)
		}
		return limits.Before
	})
	start := q.Clock.Now()
	q.askIn(t, lobby, alice, guests(20))
	q.run(t, start.Add(5*time.Second))
	if len(q.passed) != 19 {
		t.Errorf("%d invited at once, want all but one", len(q.passed))
	}
	q.run(t, start.Add(time.Hour))
	q.invited(t, 20)
	if n := len(q.HS.Acts()); n != 21 {
		t.Errorf("%d requests, want 21", n)
	}
}

// TestOtherServersLimit: a server that answers "later" to each invitation of its people holds up those alone: not the others in the room, nor the sender's
// invitations elsewhere.
func TestOtherServersLimit(t *testing.T) {
	q := newQueued(t, func(q *queued) func(invites.Effect) error {
		limits := invitestest.Limits{Room: invitestest.Limit{PerSecond: 0.05, Burst: 1}, Clock: q.Clock}
		return func(e invites.Effect) error {
			if e.Target.Homeserver() != "slow.example" {
				return nil
			}
			return limits.Before(invites.Effect{Room: "!of the server", Target: e.Target})
		}
	})
	start := q.Clock.Now()
	var slow, some []id.UserID
	for i := range 10 {
		slow, some = append(slow, id.UserID(fmt.Sprintf("@slow%d:slow.example", i))), append(some, id.UserID(fmt.Sprintf("@some%d:quick.example", i)))
	}
	q.askIn(t, lobby, alice, slow)
	q.askIn(t, "!second:here", alice, []id.UserID{"@slow10:slow.example", "@slow11:slow.example"})
	q.run(t, start.Add(3*time.Second))
	asked := append(append(guests(10), some...), "@slow12:slow.example")
	q.askIn(t, lobby, alice, asked)
	q.askIn(t, "!second:here", alice, asked)
	q.run(t, start.Add(10*time.Second))
	if n := len(q.passed); n < 40 {
		t.Errorf("%d invited at once, want all but those of the slow server", n)
	}
	q.run(t, start.Add(time.Hour))
	q.invited(t, 54)
	if n := len(q.HS.Acts()); n > 54*3/2 {
		t.Errorf("%d requests for 54 invitations", n)
	}
}

// TestBotIsNotQueuedBehindOthersLimit: the invitee's own limit was met by a user's invitation. The bot, which the homeserver exempts, asks at
// once.
func TestBotIsNotQueuedBehindOthersLimit(t *testing.T) {
	w := newWorld(t)
	w.Power(0)
	w.HS.Before = func(e invites.Effect) error {
		if e.Performer == bot {
			return nil
		}
		return &invites.ActError{Class: invites.ClassLater, Code: "M_LIMIT_EXCEEDED", Status: 429, RetryAfter: 5 * time.Minute}
	}
	if row := w.MustAsk(t, w.Request(t, alice, bob))[0]; row.Code != invites.CodeLimited {
		t.Fatalf("got %s %s, want a limit", row.Status, row.Code)
	}
	req := w.Request(t, alice, bob)
	req.AsBot = true
	w.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"users": map[string]any{string(alice): 100, string(bot): 50}})
	if row := w.MustAsk(t, req)[0]; row.Status != invites.StatusDone {
		t.Errorf("got %s %s, want the bot's invitation", row.Status, row.Code)
	}
}

// outage is a homeserver that is gone until a time.
type outage struct {
	*invitestest.Homeserver
	clock    invites.Clock
	until    time.Time
	requests int // while it was gone
}

func (o *outage) gone() error {
	if !o.clock.Now().Before(o.until) {
		return nil
	}
	o.requests++
	return &invites.ActError{Class: invites.ClassFailed, Err: errors.New("connection refused")}
}

func (o *outage) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if err := o.gone(); err != nil {
		return nil, err
	}
	return o.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
}

func (o *outage) Act(ctx context.Context, e invites.Effect) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.Homeserver.Act(ctx, e)
}

func (o *outage) Redacted(ctx context.Context, r id.RoomID, viewer id.UserID, event id.EventID) (bool, error) {
	if err := o.gone(); err != nil {
		return false, err
	}
	return o.Homeserver.Redacted(ctx, r, viewer, event)
}

// sweep delivers what the sweep finds, every five seconds, as after a queue that has lost all wake-ups.
func (q *queued) sweep(t *testing.T, end time.Time) {
	t.Helper()
	for ; q.Clock.Now().Before(end); q.Clock.Advance(5 * time.Second) {
		rows, err := q.DB.Due(t.Context(), q.Clock.Now(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if _, err := q.Delivery.Deliver(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHourOfOutage: the homeserver is gone for an hour while forty invitations wait. It is asked about once in five minutes for
// each; when it is back all are made within that time, none twice, and the user knows all along.
func TestHourOfOutage(t *testing.T) {
	for name, restart := range map[string]bool{"by wake-ups": false, "by the sweep, after a restart": true} {
		t.Run(name, func(t *testing.T) {
			q := newQueued(t, func(*queued) func(invites.Effect) error { return func(invites.Effect) error { return nil } })
			start := q.Clock.Now()
			gone := &outage{Homeserver: q.HS, clock: q.Clock}
			q.In.Homeserver, q.In.AtOnce = gone, 0
			q.Build()
			asked := q.askIn(t, lobby, alice, guests(40))
			gone.until = start.Add(time.Hour)
			q.run(t, start.Add(30*time.Minute))
			rows, err := q.Progress(t.Context(), asked[0].Command)
			if err != nil {
				t.Fatal(err)
			}
			reply := commands.Outcome(rows, q.Clock.Now())
			if text := reply.Text.String(); !strings.Contains(text, "0 of 40 done; the homeserver has trouble; I try again in about ") {
				t.Errorf("the user is told: %s", text)
			}
			end := gone.until.Add(5*time.Minute + 10*time.Second)
			if restart {
				q.Build()
				q.waits = nil
				q.sweep(t, end)
			} else {
				q.run(t, end)
			}
			q.invited(t, 40)
			if each := gone.requests / 40; each > 25 {
				t.Errorf("%d requests for each while it was gone", each)
			}
			t.Logf("%d requests while it was gone; the last was invited %s after", gone.requests, q.last.Sub(gone.until))
			if rows, err = q.Progress(t.Context(), asked[0].Command); err != nil || commands.Outcome(rows, q.Clock.Now()).React != "✅" {
				t.Errorf("not answered by a reaction: %v", err)
			}
		})
	}
}
