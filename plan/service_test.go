package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/plan"
)

// schedule has a wish synchronised every 15 minutes.
func (w *world) schedule(wish *plan.Wish) {
	w.Settings.Files, w.Settings.Interval = []string{"staff.yaml"}, 15*time.Minute
	w.files["staff.yaml"] = wish
}

// later takes some steps of the service after a while.
func (w *world) later(wait time.Duration) {
	w.Clock.Advance(wait)
	for range 3 {
		w.Step(w.t.Context())
		w.Clock.Advance(2 * time.Second)
	}
}

// send sends a request to the service, and returns the status of a job.
func (w *world) send(method, path string, body any) (int, plan.Status) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(string(raw))))
	var status plan.Status
	_ = json.Unmarshal(answer.Body.Bytes(), &status)
	return answer.Code, status
}

// apply has a wish applied, and returns its status after some steps.
func (w *world) apply(key string, confirm int, wish *plan.Wish) plan.Status {
	w.t.Helper()
	if code, _ := w.send(http.MethodPost, plan.Path, plan.Job{Key: key, Apply: true, Confirm: confirm, Wish: *wish}); code != http.StatusAccepted {
		w.t.Fatalf("answer %d", code)
	}
	w.later(0)
	_, status := w.send(http.MethodGet, plan.Path+"/"+key, nil)
	return status
}

// TestSync: the files are carried out at each interval, and changes reported once.
func TestSync(t *testing.T) {
	w := newWorld(t)
	w.schedule(wish("@bob:here"))
	w.later(0)
	if w.Membership(t, bob) != "invite" || w.heard() != "plan.report" {
		t.Errorf("%s %s", w.Membership(t, bob), w.heard())
	}
	w.files["staff.yaml"] = wish("@bob:here", "@dan:here")
	w.later(10 * time.Minute)
	if w.acts("@dan:here") != 0 {
		t.Error("before the interval is over")
	}
	w.later(5 * time.Minute)
	w.later(15 * time.Minute)
	if w.acts(bob) != 1 || w.acts("@dan:here") != 1 || w.heard() != "plan.report plan.report" {
		t.Errorf("%d %d %s", w.acts(bob), w.acts("@dan:here"), w.heard())
	}
	w.files["staff.yaml"] = wish("@bob:here", "@dan:here", "@eve:here")
	w.SyncNow()
	w.later(0)
	if w.acts("@eve:here") != 1 {
		t.Error("not at once")
	}
}

// TestSyncMeetsTrouble: a sync that met trouble is tried again a minute later, not an interval later.
func TestSyncMeetsTrouble(t *testing.T) {
	w := newWorld(t)
	w.schedule(wish("@bob:here"))
	w.Planner.Homeserver = away{w.HS}
	w.later(0)
	w.Planner.Homeserver = w.HS
	w.later(40 * time.Second)
	if w.acts(bob) != 0 {
		t.Error("at once")
	}
	w.later(20 * time.Second)
	if w.Membership(t, bob) != "invite" || w.heard() != "plan.report" {
		t.Errorf("%s %s", w.Membership(t, bob), w.heard())
	}
}

// TestHeld: a fault is told once, be there a restart, and again after it was mended meanwhile. It does not hold up another file.
func TestHeld(t *testing.T) {
	w := newWorld(t)
	w.schedule(nil)
	w.Settings.Files = append(w.Settings.Files, "other.yaml")
	w.files["other.yaml"] = wish("@bob:here")
	w.trouble = errors.New("no answer")
	w.later(0)
	w.trouble = nil
	w.later(time.Minute)
	w.later(15 * time.Minute)
	w.restart()
	w.later(0)
	if w.heard() != "plan.report.held plan.report" && w.heard() != "plan.report plan.report.held" || w.acts(bob) != 1 {
		t.Errorf("%s, %d acts", w.heard(), w.acts(bob))
	}
	w.files["staff.yaml"] = wish("@carol:here")
	delete(w.files, "other.yaml")
	w.told = nil
	w.later(15 * time.Minute)
	delete(w.files, "staff.yaml")
	w.later(15 * time.Minute)
	if w.heard() != "plan.report.held plan.report.held" {
		t.Errorf("%s, expected other.yaml, and staff.yaml anew", w.heard())
	}
}

// TestTwoFiles: the room of one file is not another's.
func TestTwoFiles(t *testing.T) {
	w := newWorld(t)
	w.schedule(wish("@bob:here"))
	w.Settings.Files = append(w.Settings.Files, "other.yaml")
	w.files["other.yaml"] = wish("@dan:here")
	w.files["other.yaml"].Rooms[0].Room = "#lobby:here"
	w.later(0)
	if w.acts(bob) != 1 || w.acts("@dan:here") != 0 {
		t.Errorf("%d %d", w.acts(bob), w.acts("@dan:here"))
	}
}

// TestGrace: somebody whom no source names is removed after the grace period; it ends where a source names them, also while a brake holds the file.
func TestGrace(t *testing.T) {
	w := newWorld(t)
	for i := range 8 {
		w.HS.Member(lobby, id.UserID(fmt.Sprintf("@m%d:here", i)), "join")
	}
	graced := func(people ...string) *plan.Wish {
		g := exclusive(append(people, "@alice:here")...)
		g.Grace, g.Rooms[0].Keep = 48*time.Hour, []string{"@m*"}
		return g
	}
	w.schedule(graced("@carol:here"))
	w.later(0)
	if w.differs(graced("@carol:here"), "wait @rob:there"); w.acts(rob) != 0 {
		t.Error("removed at once")
	}
	w.later(24 * time.Hour)
	w.files["staff.yaml"] = graced("@carol:here", "@rob:there")
	w.later(12 * time.Hour)
	w.files["staff.yaml"] = graced("@carol:here")
	w.later(36 * time.Hour)
	if w.acts(rob) != 0 {
		t.Error("the grace period did not begin anew")
	}
	w.later(48 * time.Hour)
	if w.acts(rob) != 1 || w.Membership(t, rob) != "leave" {
		t.Error("the grace period does not end")
	}
	w.files["staff.yaml"] = graced()
	w.later(24 * time.Hour)
	braked := graced("@carol:here")
	braked.Grace, braked.Rooms[0].Keep = 0, nil // removes eight
	braked.Rooms[0].People = append(braked.Rooms[0].People, plan.Person{User: rob})
	w.files["staff.yaml"] = braked
	w.later(15 * time.Minute)
	w.files["staff.yaml"] = graced()
	w.later(24 * time.Hour)
	if w.acts(carol) != 0 {
		t.Error("a brake kept the grace period from its end")
	}
}

// TestBrakeOfApply: many people are removed only by their exact number, and nothing else is done without it.
func TestBrakeOfApply(t *testing.T) {
	w := newWorld(t)
	some := exclusive("@alice:here", "@bob:here")
	for confirm, code := range map[int]string{0: "plan.brake", 1: "plan.confirm", 3: "plan.confirm"} {
		if s := w.apply(fmt.Sprint("job", confirm), confirm, some); s.State != plan.Faulty || s.Code != code || len(w.HS.Acts()) != 0 {
			t.Errorf("%d confirmed: %s %s, %d acts", confirm, s.State, s.Code, len(w.HS.Acts()))
		}
	}
	if s := w.apply("job2", 2, some); s.State != plan.Ended || short(s.Run.Steps) != "invite @bob:here done, remove @carol:here done, remove @rob:there done" {
		t.Errorf("confirmed: %+v", s)
	}
	_, all := w.send(http.MethodGet, plan.Path+"/job2", nil)
	if _, s := w.send(http.MethodGet, plan.Path+"/job2?"+plan.Known, nil); all.Difference == nil || s.Difference != nil || s.State != plan.Ended {
		t.Errorf("without the difference: %+v", s)
	}
	if s := w.apply("job2", 2, some); s.State != plan.Ended || len(w.HS.Acts()) != 3 {
		t.Errorf("the same job again: %+v, %d acts", s, len(w.HS.Acts()))
	}
	w.restart()
	if s := w.apply("job2", 2, some); s.State != plan.Ended || len(w.HS.Acts()) != 3 {
		t.Errorf("the same job after a restart: %+v, %d acts", s, len(w.HS.Acts()))
	}
}

// TestManagerOfOperator: a plan acts in nobody's name without the operator's word.
func TestManagerOfOperator(t *testing.T) {
	w := newWorld(t)
	w.allow(string(alice), "@eve:here")
	managed := wish("@bob:here")
	managed.Manager = "@eve:here"
	if s := w.apply("eve", 0, managed); s.Code != "plan.manager" {
		t.Errorf("%+v", s)
	}
	managed.Manager = alice
	if s := w.apply("alice", 0, managed); s.State != plan.Ended || w.HS.Acts()[0].Performer != alice {
		t.Errorf("%+v", s)
	}
}

// TestRunUnderWay: a sync leaves alone the steps that an earlier run still has to do.
func TestRunUnderWay(t *testing.T) {
	w := newWorld(t)
	some := exclusive("@alice:here", "@bob:here 50", "@carol:here")
	for i := range 8 {
		w.HS.Member(lobby, id.UserID(fmt.Sprintf("@m%d:here", i)), "join")
	}
	some.Rooms[0].Keep = []string{"@m*"}
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: 6 * time.Hour}
	}
	w.schedule(some)
	for range 5 {
		w.later(15 * time.Minute)
	}
	open, err := w.DB.OpenPlanRuns(t.Context())
	if err != nil || len(open) != 1 || len(w.told) != 0 {
		t.Errorf("%d open runs, told %s: %v", len(open), w.heard(), err)
	}
}

// TestReportIsTriedAgain: the report of a long run is tried again for an hour after its end.
func TestReportIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: 2 * time.Hour}
	}
	w.schedule(wish("@bob:here"))
	w.later(0)
	w.HS.Before = nil
	w.Clock.Advance(3 * time.Hour)
	open, err := w.DB.OpenPlanRuns(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%d open runs: %v", len(open), err)
	}
	w.deliver(&plan.Run{Key: open[0].Key})
	w.trouble = errors.New("no answer")
	w.later(0)
	w.trouble = nil
	w.later(30 * time.Minute)
	if w.heard() != "plan.report" || w.told[0].Args["n"] != "1" {
		t.Errorf("%+v", w.told)
	}
	if open, err = w.DB.OpenPlanRuns(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d open runs: %v", len(open), err)
	}
}

// TestRequests: what the listener refuses.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path string
		body         any
		code         int
	}{
		{http.MethodPost, plan.Path, object{"key": "a", "wish": object{}, "newer": 1}, 400},
		{http.MethodPost, plan.Path, object{"wish": object{}}, 400},
		{http.MethodPost, plan.Path, object{"key": "a b", "wish": object{}}, 400},
		{http.MethodPost, plan.Path, object{"key": strings.Repeat("a", 65), "wish": object{}}, 400},
		{http.MethodGet, plan.Path + "/a", nil, 404},
		{http.MethodGet, plan.Path, nil, 404},
		{http.MethodPost, plan.SyncPath, nil, 202},
	} {
		if code, _ := w.send(tt.method, tt.path, tt.body); code != tt.code {
			t.Errorf("%s %s %v: %d", tt.method, tt.path, tt.body, code)
		}
	}
	for i := range 17 {
		code, _ := w.send(http.MethodPost, plan.Path, plan.Job{Key: fmt.Sprint(i), Wish: *wish("@bob:here")})
		if want := map[bool]int{true: 202, false: 503}[i < 16]; code != want {
			t.Errorf("job %d: %d", i, code)
		}
	}
	w.later(0)
	if _, s := w.send(http.MethodGet, plan.Path+"/0", nil); s.State != plan.Planned || short(s.Difference.Steps()) != "invite @bob:here" || w.acts(bob) != 0 {
		t.Errorf("%+v", s)
	}
}
