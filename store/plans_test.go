package store_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"usher/invites"
)

// testPlans: a run is kept as it was saved last, with its audit; a note is unique by the user, the room and its kind.
func testPlans(t *testing.T, s Store) {
	at := time.UnixMilli(1_700_000_000_000)
	run := invites.PlanRun{Key: "one", Plan: "staff", Content: `{"a":1}`, CreatedAt: at}
	later := invites.PlanRun{Key: "two", Plan: "staff", Content: "{}", CreatedAt: at.Add(time.Second)}
	for _, r := range []invites.PlanRun{later, run, run} {
		if err := s.SavePlanRun(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	open, err := s.OpenPlanRuns(t.Context())
	if err != nil || len(open) != 2 || open[0].Key != "one" || open[0].Content != run.Content || !open[0].CreatedAt.Equal(at) {
		t.Errorf("open: %+v %v", open, err)
	}
	run.Content, run.EndedAt = "{}", at.Add(time.Hour)
	if err := s.SavePlanRun(t.Context(), run, invites.Audit{At: at, Kind: invites.AuditEffect, Verdict: "done", Code: "plan.power", Request: "plan:one !r"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.PlanRun(t.Context(), "one"); err != nil || got.Content != "{}" || !got.EndedAt.Equal(run.EndedAt) {
		t.Errorf("ended: %+v %v", got, err)
	}
	if audit, err := s.Audit(t.Context(), "plan:one !r"); err != nil || len(audit) != 1 || audit[0].Code != "plan.power" {
		t.Errorf("audit: %+v %v", audit, err)
	}
	if name, err := s.PlanOf(t.Context(), "two"); name != "staff" || err != nil {
		t.Errorf("plan of two: %s %v", name, err)
	}
	if err := s.CleanPlans(t.Context(), at.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PlanRun(t.Context(), "one"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("a run that ended long ago: %v", err)
	}
	if open, err = s.OpenPlanRuns(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("a run under way is cleaned away: %+v %v", open, err)
	}

	note := invites.PlanNote{Plan: "staff", Kind: invites.PlanMissing, Room: "!r", User: "@u:x", At: at}
	refused := note
	refused.Kind, refused.Code = invites.PlanRefused, "kick.power"
	newer := refused
	newer.Code, newer.At = "M_FORBIDDEN", at.Add(time.Minute)
	for _, add := range [][]invites.PlanNote{{note, refused}, {newer}, nil} {
		if err := s.NotePlan(t.Context(), add, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.NotePlan(t.Context(), nil, []invites.PlanNote{note}); err != nil {
		t.Fatal(err)
	}
	notes, err := s.PlanNotes(t.Context(), "staff")
	for i := range notes {
		notes[i].At = notes[i].At.UTC()
	}
	newer.At = newer.At.UTC()
	if err != nil || !reflect.DeepEqual(notes, []invites.PlanNote{newer}) {
		t.Errorf("notes: %+v %v", notes, err)
	}
	if notes, err = s.PlanNotes(t.Context(), "other"); err != nil || len(notes) != 0 {
		t.Errorf("notes of another plan: %+v %v", notes, err)
	}
}
