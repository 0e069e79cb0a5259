package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/guard"
	"usher/policy"
	"usher/room"
)

// watch is a world with a guard in the lobby, where alice and the bot have all power and carol has some.
type watch struct {
	*world
	guard *guard.Guard
	told  []string
	crash func(guard.Report) error // what telling answers; nil: it works
}

const door = `{"version":1,"guard":{"mode":"enforce","join_rule":"invite","intruders":"kick","by_hand":"withdraw"},"whom":{"deny_users":["@rob:*"]}}`

func newWatch(t *testing.T, document string) *watch {
	t.Helper()
	w := &watch{world: newWorld(t)}
	w.HS.Clock = w.Clock
	w.Give(map[string]any{alice.String(): 100, bot.String(): 100, carol.String(): 50})
	w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(document))
	w.restart(t)
	if err := w.guard.Refresh(t.Context(), lobby); err != nil {
		t.Fatal(err)
	}
	return w
}

// restart makes a guard that knows no more than the store.
func (w *watch) restart(t *testing.T) {
	t.Helper()
	w.Build()
	w.guard = w.Guard
	w.guard.Tell = func(_ context.Context, _ id.RoomID, r guard.Report) error {
		if w.crash != nil {
			if err := w.crash(r); err != nil {
				return err
			}
		}
		told := fmt.Sprintf("%s %s %s %s%s acts:%t calls:%d", r.Kind, r.Part, r.Who, r.Target, r.Code, r.Acts, len(r.Call))
		if r.Late {
			told += " late"
		}
		w.told = append(w.told, told)
		return nil
	}
	if err := w.guard.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// see hands a state event to the guard.
func (w *watch) see(t *testing.T, kind, key string) error {
	t.Helper()
	return w.guard.Handle(t.Context(), w.event(t, kind, key))
}

// event receives a state event.
func (w *watch) event(t *testing.T, kind, key string) invites.Received {
	t.Helper()
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	event, _ := snap.Event(room.Key{Type: kind, StateKey: key})
	raw, err := json.Marshal(map[string]any{"content": event.Content})
	if err != nil {
		t.Fatal(err)
	}
	ev := invites.Received{Event: event.ID, Room: lobby, Sender: event.Sender, Type: kind, StateKey: &key, Raw: raw, SentAt: w.Clock.Now(), ReceivedAt: w.Clock.Now()}
	var members []invites.MemberEvent
	if kind == "m.room.member" && strings.Contains(string(event.Content), `"invite"`) {
		members = append(members, invites.MemberEvent{Event: event.ID, Room: lobby, Target: id.UserID(key), Sender: event.Sender,
			Membership: "invite", SentAt: ev.SentAt, SeenAt: ev.SentAt})
	}
	if _, err := w.DB.Receive(t.Context(), []invites.Received{ev}, members...); err != nil {
		t.Fatal(err)
	}
	return ev
}

func (w *watch) set(t *testing.T, by id.UserID, rule string) error {
	t.Helper()
	w.HS.Set(lobby, "m.room.join_rules", "", by, map[string]any{"join_rule": rule})
	return w.see(t, "m.room.join_rules", "")
}

func (w *watch) rule(t *testing.T) string {
	t.Helper()
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	rule, _ := snap.JoinRule()
	return rule
}

// expect compares what was told since the last time.
func (w *watch) expect(t *testing.T, want ...string) {
	t.Helper()
	if strings.Join(w.told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(w.told, "\n"), strings.Join(want, "\n"))
	}
	w.told = nil
}

const setBack = "drift enforce @carol:here  acts:true calls:0"

func TestGuardFight(t *testing.T) {
	w := newWatch(t, door)
	for range 3 {
		w.expect(t)
		if err := w.set(t, carol, "public"); err != nil || w.rule(t) != "invite" {
			t.Fatal(err, w.rule(t))
		}
		w.expect(t, setBack)
		w.restart(t) // rounds survive it
		if !w.guard.Watches(lobby) {
			t.Fatal("the room is forgotten")
		}
	}
	for _, want := range [][]string{{"drift stops @carol:here guard.stopped acts:false calls:2"}, nil} {
		// The same event again calls nobody again.
		if err := w.set(t, carol, "public"); err != nil || w.rule(t) != "public" {
			t.Fatal(err, w.rule(t))
		}
		w.expect(t, want...)
		if err := w.see(t, "m.room.join_rules", ""); err != nil {
			t.Fatal(err)
		}
		w.expect(t)
	}
	w.Clock.Advance(25 * time.Hour)
	if err := w.set(t, carol, "knock"); err != nil || w.rule(t) != "knock" {
		t.Fatal("time alone does not start the fight again", err)
	}
	w.expect(t, "drift stopped @carol:here guard.stopped acts:false calls:0")
	w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(door))
	if err := w.guard.Refresh(t.Context(), lobby); err != nil || w.rule(t) != "invite" {
		t.Fatal(err, w.rule(t))
	}
	w.expect(t, setBack)
}

// TestGuardCallsCoCreators: in a room of version 12, the additional creators have power without being in the power levels.
func TestGuardCallsCoCreators(t *testing.T) {
	w := newWatch(t, door)
	w.HS.Set(lobby, "m.room.create", "", alice, map[string]any{"room_version": "12", "additional_creators": []id.UserID{"@dan:here"}})
	w.Give(map[string]any{bot.String(): 100, carol.String(): 50})
	for range 3 {
		if err := w.set(t, carol, "public"); err != nil {
			t.Fatal(err)
		}
	}
	w.told = nil
	if err := w.set(t, carol, "public"); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "drift stops @carol:here guard.stopped acts:false calls:3")
}

// TestGuardManyAtOnce: what a new policy finds is set back one by one, however much it is.
func TestGuardManyAtOnce(t *testing.T) {
	w := newWatch(t, `{}`)
	users := map[string]any{alice.String(): 100, bot.String(): 100}
	levels := map[string]any{"users": users}
	for _, name := range []string{"invite", "kick", "ban", "redact", "events_default"} {
		levels[name] = 1
		w.HS.Set(lobby, "m.room.power_levels", "", alice, levels)
	}
	w.HS.Set(lobby, policy.EventType, "", alice, json.RawMessage(
		`{"version":1,"guard":{"mode":"enforce","levels":{"invite":50,"kick":50,"ban":50,"redact":50,"events_default":0}}}`))
	if err := w.guard.Refresh(t.Context(), lobby); err != nil {
		t.Fatal(err)
	}
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"invite", "kick", "ban", "redact"} {
		if level, _ := snap.NamedLevel(name); level != 50 {
			t.Errorf("%s is %d", name, level)
		}
	}
}

// TestGuardWindow: what happens now and then is no fight.
func TestGuardWindow(t *testing.T) {
	w := newWatch(t, door)
	for range 8 {
		if err := w.set(t, carol, "public"); err != nil || w.rule(t) != "invite" {
			t.Fatal(err, w.rule(t))
		}
		w.expect(t, setBack)
		w.Clock.Advance(25 * time.Minute)
	}
}

// TestGuardCrash: wherever it is cut off, the same event handled again ends with the door shut, one round counted, and the
// report told.
func TestGuardCrash(t *testing.T) {
	down := errors.New("down")
	t.Run("before it is told", func(t *testing.T) {
		w := newWatch(t, door)
		w.crash = func(guard.Report) error { return down }
		if err := w.set(t, carol, "public"); !errors.Is(err, down) || w.rule(t) != "public" {
			t.Fatal(err, w.rule(t))
		}
		w.crash = nil
		w.again(t)
		w.expect(t, setBack)
	})
	t.Run("before it is set back", func(t *testing.T) {
		w := newWatch(t, door)
		w.HS.BeforeState = func() error { return &invites.ActError{Class: invites.ClassFailed, Err: down} }
		if err := w.set(t, carol, "public"); err == nil {
			t.Fatal("the homeserver's failure is lost")
		}
		w.HS.BeforeState = nil
		w.again(t)
		w.expect(t, setBack, setBack) // the same notice: it has the same transaction id
	})
	t.Run("after it is set back", func(t *testing.T) {
		w := newWatch(t, door)
		if err := w.set(t, carol, "public"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, setBack)
		w.again(t)
		w.expect(t)
	})
	t.Run("refused", func(t *testing.T) {
		w := newWatch(t, door)
		w.HS.BeforeState = func() error { return &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Err: down} }
		if err := w.set(t, carol, "public"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, setBack, "drift refused @carol:here M_FORBIDDEN acts:false calls:0")
	})
}

// again starts anew and handles carol's event once more.
func (w *watch) again(t *testing.T) {
	t.Helper()
	w.restart(t)
	if err := w.see(t, "m.room.join_rules", ""); err != nil {
		t.Fatal(err)
	}
	remembered, err := w.DB.Watch(t.Context(), lobby)
	if err != nil || len(remembered.Rounds) != 1 || w.rule(t) != "invite" {
		t.Errorf("%+v %v, join rule %s", remembered, err, w.rule(t))
	}
}

func TestGuardLeavesAlone(t *testing.T) {
	w := newWatch(t, door)
	w.Give(map[string]any{alice.String(): 100, bot.String(): 50, carol.String(): 50})
	if err := w.set(t, alice, "public"); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "drift guard.above @alice:here guard.above acts:false calls:0")
	// Whoever changes something else meanwhile is not taken for the one who opened the door.
	w.HS.Set(lobby, "m.room.join_rules", "", carol, map[string]any{"join_rule": "public", "org.example": 1})
	if err := w.see(t, "m.room.join_rules", ""); err != nil || w.rule(t) != "public" {
		t.Fatal(err, w.rule(t))
	}
	w.expect(t)
	w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "guard": map[string]any{"mode": "watch", "join_rule": "invite"}})
	if err := errors.Join(w.guard.Refresh(t.Context(), lobby), w.set(t, carol, "knock")); err != nil || w.rule(t) != "knock" {
		t.Fatal(err, w.rule(t))
	}
	w.expect(t, "drift watch @alice:here  acts:false calls:0", "drift watch @carol:here  acts:false calls:0")
	w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{})
	if err := w.guard.Refresh(t.Context(), lobby); err != nil || w.guard.Watches(lobby) {
		t.Error("guarded without a guard", err)
	}
}

func TestGuardLevels(t *testing.T) {
	w := newWatch(t, `{"version":1,"guard":{"mode":"enforce","levels":{"invite":50,"kick":50}}}`)
	set := func(by id.UserID, invite, kick int) {
		t.Helper()
		users := map[string]any{alice.String(): 100, bot.String(): 90, carol.String(): 90}
		w.HS.Set(lobby, "m.room.power_levels", "", by, map[string]any{"users": users, "invite": invite, "kick": kick})
		if err := w.see(t, "m.room.power_levels", ""); err != nil {
			t.Fatal(err)
		}
	}
	set(alice, 0, 50) // above the bot
	set(carol, 0, 10) // not above it
	w.expect(t, "drift guard.above @alice:here guard.above acts:false calls:0", setBack)
	snap, err := w.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	invite, _ := snap.NamedLevel("invite")
	kick, _ := snap.NamedLevel("kick")
	if invite != 0 || kick != 50 {
		t.Errorf("invite %d, kick %d: only what carol did is set back", invite, kick)
	}
}
