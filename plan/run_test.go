package plan_test

import (
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/plan"
	"usher/room"
)

// TestRun: a run invites, removes and gives power; the next comparison has nothing left, and the audit has each step.
func TestRun(t *testing.T) {
	w := newWorld(t)
	all := exclusive("@alice:here", "@bob:here 10", "@carol:here 50")
	all.Reason = "Welcome"
	run := w.begin("one", all)
	if got := w.finish(run); got != "invite @bob:here done, remove @rob:there done, power @bob:here 0→10 done, power @carol:here 0→50 done" {
		t.Error(got)
	}
	if w.Membership(t, bob) != "invite" || w.Membership(t, rob) != "leave" || w.power(carol) != "50" || w.power(bob) != "10" || w.writes() != 3 {
		t.Errorf("%s %s %s %s, %d writes", w.Membership(t, bob), w.Membership(t, rob), w.power(carol), w.power(bob), w.writes())
	}
	if act := w.HS.Acts()[0]; act.Reason == "" && w.HS.Acts()[1].Reason == "" {
		t.Errorf("%+v", act)
	}
	w.differs(all, "")
	audit, err := w.DB.Audit(t.Context(), invites.PlanRequest+"one "+string(lobby))
	powers := 0
	for _, a := range audit {
		if a.Code == "plan.power" {
			powers++
		}
	}
	if err != nil || powers != 2 {
		t.Errorf("%d power levels in the audit: %v", powers, err)
	}
}

// TestRunByAnotherProcess: a run whose process ended at any place is carried out by the next one, each step once.
func TestRunByAnotherProcess(t *testing.T) {
	killed := errors.New("killed")
	for _, at := range []string{"begun", "recorded", "invited", "joined", "removed", "written"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			run := w.begin("one", exclusive("@alice:here", "@bob:here", "@carol:here 50"))
			switch at {
			case "recorded":
				w.HS.Before = func(invites.Effect) error { return killed }
				_ = w.Runner.Advance(t.Context(), run)
			case "invited", "joined", "removed": // the act went through, and its answer was lost
				w.HS.Before = func(e invites.Effect) error {
					if (e.Action == room.Kick) != (at == "removed") {
						return nil
					}
					w.HS.Set(lobby, room.TypeMember, string(e.Target), bot, object{"membership": e.Action.Membership()})
					return killed
				}
				_ = w.Runner.Advance(t.Context(), run)
				if at == "joined" {
					w.HS.Member(lobby, bob, "join")
				}
			case "written": // the power levels were, and not recorded
				if err := w.Runner.Advance(t.Context(), run); err != nil {
					t.Fatal(err)
				}
				for i := range run.Steps {
					run.Steps[i].Done, run.Steps[i].Code = false, ""
				}
				if err := w.Runner.Begin(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
			w.HS.Before = nil
			w.Clock.Advance(time.Minute)
			w.restart()
			open, err := w.Runner.Open(t.Context())
			if err != nil || len(open) != 1 {
				t.Fatalf("%d open runs: %v", len(open), err)
			}
			if got := w.finish(open[0]); got != "invite @bob:here done, remove @rob:there done, power @carol:here 0→50 done" {
				t.Error(got)
			}
			if w.writes() != 3 {
				t.Errorf("%d power level events", w.writes())
			}
			if err := w.Runner.End(t.Context(), open[0]); err != nil {
				t.Fatal(err)
			}
			if open, err = w.Runner.Open(t.Context()); err != nil || len(open) != 0 {
				t.Errorf("%d runs are open after the end: %v", len(open), err)
			}
		})
	}
}

// TestPolicyChanged: each step asks again whether the room agrees.
func TestPolicyChanged(t *testing.T) {
	for _, tt := range []struct {
		change func(*world)
		want   string
	}{
		{func(w *world) { w.allow("other") }, "invite @bob:here policy.plan.allow, remove @rob:there policy.plan.allow, power @carol:here 0→50 policy.plan.allow"},
		{func(w *world) { w.levels(object{string(alice): 60, string(bot): 100}) }, "invite @bob:here done, remove @rob:there done, power @carol:here 0→50 policy.plan.author"},
		{func(w *world) { w.levels(object{string(alice): 100, string(bot): 60}) }, "invite @bob:here done, remove @rob:there done, power @carol:here 0→50 state.power"},
		{func(w *world) { w.HS.Drop(lobby) }, "invite @bob:here unknown.no_view, remove @rob:there unknown.no_view, power @carol:here 0→50 unknown.no_view"},
		{func(w *world) { w.HS.Member(lobby, rob, "leave") }, "invite @bob:here done, remove @rob:there done, power @carol:here 0→50 done"},
		{func(w *world) { w.HS.Member(lobby, carol, "leave") }, "invite @bob:here done, remove @rob:there done, power @carol:here 0→50 plan.absent"},
		{func(w *world) {
			w.HS.Set(lobby, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 100, string(bot): 100, string(rob): 100}})
		},
			"invite @bob:here done, remove @rob:there kick.outranked, power @carol:here 0→50 done"},
	} {
		w := newWorld(t)
		run := w.begin("one", exclusive("@alice:here", "@bob:here", "@carol:here 50"))
		w.HS.Before = func(invites.Effect) error { return errors.New("no answer") }
		_ = w.Runner.Advance(t.Context(), &plan.Run{Key: run.Key, Plan: run.Plan, Steps: run.Steps[:2]}) // the rows are recorded
		w.HS.Before = nil
		w.Clock.Advance(time.Minute)
		tt.change(w)
		if got := w.finish(run); got != tt.want {
			t.Errorf("%s, expected %s", got, tt.want)
		}
	}
}

// TestGone: somebody who left before the first attempt at a removal is not removed.
func TestGone(t *testing.T) {
	w := newWorld(t)
	run := w.begin("one", exclusive("@alice:here", "@carol:here"))
	w.HS.Member(lobby, rob, "leave")
	if got := w.finish(run); got != "remove @rob:there api.kick_absent" || w.acts(rob) != 0 {
		t.Errorf("%s, %d acts", got, w.acts(rob))
	}
}

// TestManagerLosesPower: a run in a manager's name stops with the manager's power, although the bot has it still.
func TestManagerLosesPower(t *testing.T) {
	w := newWorld(t)
	w.allow(string(rob))
	w.levels(object{string(alice): 100, string(bot): 100, string(rob): 90})
	managed := exclusive("@alice:here", "@bob:here", "@rob:there", "@carol:here 50")
	managed.Manager = rob
	run := w.begin("one", managed)
	w.levels(object{string(alice): 100, string(bot): 100, string(rob): 49})
	if got := w.finish(run); got != "invite @bob:here invite.power, power @carol:here 0→50 state.power" {
		t.Error(got)
	}
	if w.power(carol) != "" {
		t.Error("the bot lent its power")
	}
}

// TestSomebodyElsesLevels: power levels that somebody else sets right before the plan's are not undone, be they beyond the manager's power.
func TestSomebodyElsesLevels(t *testing.T) {
	for _, manager := range []id.UserID{"", rob} {
		w := newWorld(t)
		w.allow("staff", string(rob))
		w.levels(object{string(alice): 100, string(bot): 100, string(rob): 80})
		some := wish("@carol:here 50")
		some.Manager = manager
		run := w.begin("one", some)
		w.HS.BeforeState = func() error {
			w.HS.BeforeState = nil
			w.levels(object{string(alice): 100, string(bot): 100, string(rob): 80, "@dan:here": 90})
			return nil
		}
		if got := w.finish(run); got != "power @carol:here 0→50 done" {
			t.Errorf("manager %q: %s", manager, got)
		}
		if w.power(carol) != "50" || w.power("@dan:here") != "90" || w.power(alice) != "100" {
			t.Errorf("manager %q: carol has %s, dan %s, alice %s", manager, w.power(carol), w.power("@dan:here"), w.power(alice))
		}
	}
}

// TestSomebodyElseAlways: where somebody else is faster each time, the step stays open.
func TestSomebodyElseAlways(t *testing.T) {
	w := newWorld(t)
	run := w.begin("one", wish("@carol:here 50"))
	n := 0
	w.HS.BeforeState = func() error {
		n++
		w.levels(object{string(alice): 100, string(bot): 100, "@dan:here": n})
		return nil
	}
	if err := w.Runner.Advance(t.Context(), run); err == nil || run.Steps[0].Done || n > 5 {
		t.Errorf("%v %s, %d writes", err, short(run.Steps), n)
	}
	w.HS.BeforeState = nil
	if got := w.finish(run); got != "power @carol:here 0→50 done" {
		t.Error(got)
	}
}

// TestTroubleWithLevels: trouble with the power levels of one room leaves the step open, and does not hold up another room.
func TestTroubleWithLevels(t *testing.T) {
	w := newWorld(t)
	const other = id.RoomID("!other:here")
	w.HS.Create(other, "11", alice, bot, carol)
	w.HS.Set(other, room.TypePowerLevels, "", alice, object{"users": object{string(alice): 100, string(bot): 100}})
	w.Govern(object{"plan": object{"allow": []string{"staff"}}}, other)
	some := wish("@carol:here 50")
	some.Rooms = append(some.Rooms, plan.Room{Room: string(other), People: some.Rooms[0].People})
	run := w.begin("one", some)
	down := true
	w.HS.BeforeState = func() error {
		if down {
			down = false
			return &invites.ActError{Class: invites.ClassFailed, Status: 502}
		}
		return nil
	}
	if err := w.Runner.Advance(t.Context(), run); err == nil || run.Steps[0].Done || !run.Steps[1].Done {
		t.Errorf("%v %s", err, short(run.Steps))
	}
	if got := w.finish(run); got != "power @carol:here 0→50 done, power @carol:here 0→50 done" {
		t.Error(got)
	}
}

// TestUnknownMembership: a membership that has not been read is neither absence nor consent; the step is tried again.
func TestUnknownMembership(t *testing.T) {
	w := newWorld(t)
	run := w.begin("one", exclusive("@alice:here", "@carol:here 50"))
	w.Runner.Homeserver = blind{w.HS, []id.UserID{rob, carol}}
	rows := func() []invites.Change {
		rows, err := w.DB.ChangesOf(t.Context(), invites.PlanRequest+"one "+string(lobby))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if err := w.Runner.Advance(t.Context(), run); err == nil || run.Steps[1].Done || rows()[0].Status != invites.StatusOpen {
		t.Errorf("%v %s %+v", err, short(run.Steps), rows())
	}
	w.Runner.Homeserver = w.HS
	w.Clock.Advance(time.Minute)
	if got := w.finish(run); got != "remove @rob:there done, power @carol:here 0→50 done" {
		t.Error(got)
	}
}
