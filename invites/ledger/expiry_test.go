package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

// seen puts an open invitation into the room and the ledger.
func (w *world) seen(t *testing.T, target id.UserID) {
	t.Helper()
	w.HS.Member(lobby, target, "invite")
	snap, err := w.HS.Snapshot(t.Context(), lobby, alice, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	event, _ := snap.Event(room.MemberKey(target))
	w.Observe(t, event.ID, target, alice, "invite")
}

// pendingPolicy sets a policy that lets invitations expire.
func (w *world) pendingPolicy(after, remind string) {
	w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{
		"version": 1, "pending": map[string]any{"expire_after": after, "remind_before": remind}})
}

// expire looks what has expired and delivers it, and returns how often it acted and of how many it reminds.
func (w *world) expire(t *testing.T) (acts, reminders int) {
	t.Helper()
	before := len(w.HS.Acts())
	due, remind, err := w.Ledger.Expiries.Expire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range due {
		if _, err := invitestest.One(w.Delivery.Deliver(t.Context(), row)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range remind {
		if err := w.DB.Reminded(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	return len(w.HS.Acts()) - before, len(remind)
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
	w.pendingPolicy("7d", "1d")
	w.seen(t, bob)
	w.Clock.Advance(day)
	w.seen(t, "@dora:here")
	for _, step := range []struct {
		after           time.Duration
		acts, reminders int
	}{
		{4 * day, 0, 0}, {day, 0, 1}, {time.Hour, 0, 0}, {day, 1, 1}, {time.Hour, 0, 0},
	} {
		w.Clock.Advance(step.after)
		if acts, reminders := w.expire(t); acts != step.acts || reminders != step.reminders {
			t.Errorf("on %s: %d acts and %d reminders, want %d and %d", w.Clock.Now(), acts, reminders, step.acts, step.reminders)
		}
	}
	if got := w.Membership(t, bob) + " " + w.Membership(t, "@dora:here"); got != "leave invite" {
		t.Errorf("bob and dora: %s", got)
	}
	act := w.HS.Acts()[0]
	if act.Action != room.Kick || act.Performer != bot || act.Target != bob || act.Because.Key != "because.expired" {
		t.Errorf("sent %+v", act)
	}
	w.Observe(t, "$gone", bob, bot, "leave")
	history, err := w.DB.EntriesOf(t.Context(), lobby, bob, 1)
	if err != nil || history[0].Fate != invites.FateExpired {
		t.Errorf("got %+v %v", history, err)
	}
}

// TestExpiryIsCheckedAgain changes the world between the sweep and the delivery.
func TestExpiryIsCheckedAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *world)
		code   string
		after  string // bob's membership
	}{
		{"nothing changed", func(*testing.T, *world) {}, "done", "leave"},
		{"joined, and the ledger knows", func(t *testing.T, w *world) {
			w.HS.Member(lobby, bob, "join")
			w.Observe(t, "$join", bob, bob, "join")
		}, "withdraw.stands", "join"},
		{"joined this moment", func(t *testing.T, w *world) { w.HS.Member(lobby, bob, "join") }, "withdraw.not_invited", "join"},
		{"invited anew", func(t *testing.T, w *world) { w.seen(t, bob) }, "withdraw.stands", "invite"},
		{"invited anew this moment", func(t *testing.T, w *world) { w.HS.Member(lobby, bob, "invite") }, "withdraw.stands", "invite"},
		{"more time", func(_ *testing.T, w *world) { w.pendingPolicy("30d", "0") }, "withdraw.stands", "invite"},
		{"no such rule any more", func(_ *testing.T, w *world) { w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{}) }, "withdraw.stands", "invite"},
		{"no power any more", func(_ *testing.T, w *world) { w.Give(map[string]any{alice.String(): 100}) }, "kick.power", "invite"},
		{"the author has no power any more", func(_ *testing.T, w *world) { w.Give(map[string]any{bot.String(): 50}) }, "withdraw.stands", "invite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
			w.pendingPolicy("7d", "0")
			w.seen(t, bob)
			w.Clock.Advance(8 * day)
			due, _, err := w.Ledger.Expiries.Expire(t.Context())
			if err != nil || len(due) != 1 {
				t.Fatal(due, err)
			}
			tt.change(t, w)
			outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), due[0]))
			if err != nil || outcome.Code != tt.code || w.Membership(t, bob) != tt.after {
				t.Errorf("got %+v %v, bob's membership is %s", outcome, err, w.Membership(t, bob))
			}
		})
	}
}

// TestExpirySurvives: what was recorded is delivered by the sweep of the next start, once.
func TestExpirySurvives(t *testing.T) {
	w := newWorld(t)
	w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
	w.pendingPolicy("7d", "0")
	w.seen(t, bob)
	w.Clock.Advance(8 * day)
	if due, _, err := w.Ledger.Expiries.Expire(t.Context()); err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	if again, _, err := w.Ledger.Expiries.Expire(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("recorded twice: %v %v", again, err)
	}
	due, err := w.DB.Due(t.Context(), w.Clock.Now(), 0, 10)
	if err != nil || len(due) != 1 {
		t.Errorf("the sweep finds %v %v", due, err)
	}
}

// TestExpiryWithoutPower: nothing is tried where the bot may not kick, until it may.
func TestExpiryWithoutPower(t *testing.T) {
	w := newWorld(t)
	w.pendingPolicy("7d", "1d")
	w.seen(t, bob)
	w.Clock.Advance(8 * day)
	if acts, reminders := w.expire(t); acts+reminders != 0 {
		t.Errorf("%d acts, %d reminders", acts, reminders)
	}
	w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
	if err := w.DB.ForgetExpiries(t.Context()); err != nil { // as when the power levels change
		t.Fatal(err)
	}
	if acts, _ := w.expire(t); acts != 1 {
		t.Errorf("%d acts", acts)
	}
}

// TestExpiryLendsNoPower: who may write the policy but not kick can't have the bot withdraw what others sent.
func TestExpiryLendsNoPower(t *testing.T) {
	for name, tt := range map[string]struct {
		author id.UserID
		levels map[string]any
		acts   int
	}{
		"an admin":                       {alice, map[string]any{}, 1},
		"a writer who can't kick":        {carol, map[string]any{"kick": 75}, 0},
		"an admin, where writers can't":  {alice, map[string]any{"kick": 75}, 1},
		"a writer where all writers can": {carol, map[string]any{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			levels := map[string]any{"users": map[string]any{string(alice): 100, string(bot): 100, string(carol): 50}}
			for name, level := range tt.levels {
				levels[name] = level
			}
			w.HS.Set(lobby, "m.room.power_levels", "", alice, levels)
			w.HS.Member(lobby, carol, "join")
			w.HS.Set(lobby, policy.EventType, "", tt.author, map[string]any{"version": 1, "pending": map[string]any{"expire_after": "24h"}})
			w.seen(t, bob)
			w.Clock.Advance(2 * day)
			due, _, err := w.Ledger.Expiries.Expire(t.Context())
			if err != nil || len(due) != tt.acts {
				t.Errorf("%d recorded, want %d: %v", len(due), tt.acts, err)
			}
			for _, row := range due {
				if outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), row)); err != nil || outcome.Code != "done" {
					t.Errorf("%+v %v", outcome, err)
				}
			}
			rule, err := w.Ledger.Expiries.Rule(t.Context(), lobby)
			if err != nil || rule.After != day || rule.Lends != (tt.acts == 0) {
				t.Errorf("%+v %v", rule, err)
			}
		})
	}
}

// troubled is a homeserver that can't show some rooms.
type troubled struct {
	*invitestest.Homeserver
	asked int
}

func (h *troubled) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if strings.HasPrefix(string(r), "!trouble") {
		h.asked++
		return nil, &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("trouble")}
	}
	return h.Homeserver.Snapshot(ctx, r, viewer, needs, fresh)
}

// TestExpiryAmidTrouble: more rooms than one look reads can't be read. Invitations of others expire all the same, and those rooms are asked
// about again after some minutes only.
func TestExpiryAmidTrouble(t *testing.T) {
	w := newWorld(t)
	hs := &troubled{Homeserver: w.HS}
	w.In.Homeserver = hs
	w.Build()
	w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
	w.pendingPolicy("7d", "1d")
	const rooms = 30
	for i := range rooms {
		r := id.RoomID(fmt.Sprint("!trouble", i))
		member := invites.MemberEvent{Event: id.EventID(fmt.Sprint("$in", i)), Room: r, Target: bob, Sender: alice, Membership: "invite", SentAt: w.Clock.Now(), SeenAt: w.Clock.Now()}
		if _, err := w.DB.Receive(t.Context(), nil, member); err != nil {
			t.Fatal(err)
		}
	}
	w.seen(t, bob)
	w.Clock.Advance(8 * day)
	found := 0
	for range 5 {
		due, _, _ := w.Ledger.Expiries.Expire(t.Context())
		found += len(due)
	}
	if found != 1 || hs.asked != rooms {
		t.Errorf("%d invitations expired, want 1; rooms in trouble were asked about %d times, want %d", found, hs.asked, rooms)
	}
	w.Clock.Advance(6 * time.Minute)
	if _, _, err := w.Ledger.Expiries.Expire(t.Context()); err == nil || hs.asked <= rooms {
		t.Errorf("asked %d times, %v", hs.asked, err)
	}
}
