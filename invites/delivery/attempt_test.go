package delivery_test

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
	"usher/invites/requests"
	"usher/room"
)

func TestDeliverAfterACrashSendsNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.AtOnce = 0
	rows := w.MustAsk(t, w.Request(t, alice, bob))
	if claimed, err := w.DB.Claim(t.Context(), []int64{rows[0].ID}, w.Clock.Now(), time.Minute); err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	w.HS.Member(lobby, bob, "invite") // it went through, and then the power was cut
	w.Clock.Advance(2 * time.Minute)
	outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || outcome.Status != invites.StatusDone || len(w.HS.Acts()) != 0 {
		t.Errorf("got %v %v and %d sent, want done and nothing sent", outcome, err, len(w.HS.Acts()))
	}
}

func TestDeliverFailures(t *testing.T) {
	limited := &invites.ActError{Class: invites.ClassLater, Code: "M_LIMIT_EXCEEDED", Status: 429, RetryAfter: 7 * time.Minute}
	broken := &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("bad gateway")}
	dead := &invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 502, Server: "there"}
	stopped := &invites.ActError{Class: invites.ClassStopped, Code: "M_UNKNOWN_TOKEN", Status: 401}
	blocked := &invites.ActError{Class: invites.ClassRefused, Code: "M_INVITE_BLOCKED", Status: 403}
	forbidden := &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403}
	badState := &invites.ActError{Class: invites.ClassRefused, Code: "M_BAD_STATE", Status: 403}
	tests := []struct {
		name   string
		target id.UserID
		answer error
		change func(*world)
		kind   invites.Status
		code   string
		after  time.Duration
	}{
		{"rate limited", bob, limited, nil, invites.StatusOpen, "M_LIMIT_EXCEEDED", 7 * time.Minute},
		{"the target's server can't be reached", "@x:there", dead, nil, invites.StatusOpen, invites.CodeServer, time.Second},
		{"bad gateway", bob, broken, nil, invites.StatusOpen, "M_UNKNOWN", time.Second},
		{"token refused", bob, stopped, nil, invites.StatusOpen, invites.CodeStopped, time.Minute},
		{"blocked by the invitee", bob, blocked, nil, invites.StatusRefused, "M_INVITE_BLOCKED", 0},
		{"refused without a reason in the rules", bob, forbidden, nil, invites.StatusRefused, "M_FORBIDDEN", 0},
		{"the target's server may be down", "@x:there", forbidden, nil, invites.StatusOpen, "M_FORBIDDEN", time.Second},
		{"the world changed: banned", bob, forbidden, func(w *world) { w.HS.Member(lobby, bob, "ban") }, invites.StatusRefused, "invite.target_banned", 0},
		{"the world changed, as Synapse says it", bob, badState, func(w *world) { w.HS.Member(lobby, bob, "ban") }, invites.StatusRefused, "invite.target_banned", 0},
		{"the world changed: somebody invited them", bob, forbidden, func(w *world) { w.HS.Member(lobby, bob, "invite") }, invites.StatusDone, "done", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.AtOnce = 0
			rows := w.MustAsk(t, w.Request(t, alice, tt.target))
			w.HS.Before = func(invites.Effect) error {
				if tt.change != nil {
					tt.change(w)
				}
				return tt.answer
			}
			got, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID))
			if err != nil || got.Status != tt.kind || got.Code != tt.code {
				t.Fatalf("got %+v %v, want %v %s", got, err, tt.kind, tt.code)
			}
			if tt.after != 0 && !got.At.Equal(w.Clock.Now().Add(tt.after)) {
				t.Errorf("due %s, want in %s", got.At.Sub(w.Clock.Now()), tt.after)
			}
		})
	}
}

// TestNotInvitedAgain: an invitation that went out, though its answer was lost, is not sent again after the invitee has declined.
func TestNotInvitedAgain(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error {
		w.HS.Before = nil
		w.HS.Set(lobby, "m.room.member", bob.String(), alice, map[string]any{"membership": "invite"})
		return &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("lost")}
	}
	rows := w.MustAsk(t, w.Request(t, alice, bob))
	w.Observe(t, "$invited", bob, alice, "invite")
	w.HS.Member(lobby, bob, "leave")
	w.Observe(t, "$declined", bob, bob, "leave")
	w.Clock.Advance(time.Minute)
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || got.Code != "done" || w.Membership(t, bob) != "leave" {
		t.Errorf("got %+v %v, bob's membership is %s", got, err, w.Membership(t, bob))
	}
}

func TestDeliverGivesUp(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error { return &invites.ActError{Class: invites.ClassFailed, Status: 500} }
	rows := w.MustAsk(t, w.Request(t, alice, bob))
	w.Clock.Advance(2 * time.Hour)
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || got.Code != invites.CodeGaveUp {
		t.Errorf("got %+v %v, want %s", got, err, invites.CodeGaveUp)
	}
}

func TestRedactedCommandIsCancelled(t *testing.T) {
	t.Run("by its sender, known from the stream", func(t *testing.T) {
		w := newWorld(t)
		w.AtOnce = 0
		req := w.Request(t, alice, bob)
		rows := w.MustAsk(t, req)
		if ok, err := w.DB.Redact(t.Context(), req.Command, alice); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.Clock.Advance(time.Second)
		cancelled(t, w, rows[0].ID)
	})
	t.Run("by a moderator, asked of the homeserver before a later attempt", func(t *testing.T) {
		w := newWorld(t)
		w.HS.Before = func(invites.Effect) error { return &invites.ActError{Class: invites.ClassFailed, Status: 500} }
		req := w.Request(t, alice, bob)
		rows := w.MustAsk(t, req)
		w.HS.Redact(req.Command)
		w.HS.Before = nil
		w.Clock.Advance(time.Minute)
		cancelled(t, w, rows[0].ID)
	})
}

func cancelled(t *testing.T, w *world, row int64) {
	t.Helper()
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), row))
	if err != nil || got.Code != invites.CodeRedacted {
		t.Errorf("got %+v %v, want %s", got, err, invites.CodeRedacted)
	}
	if snap, _ := w.HS.Snapshot(t.Context(), lobby, alice, nil, true); snap != nil {
		if membership, _ := snap.Membership(bob); membership != "leave" {
			t.Errorf("bob's membership is %s", membership)
		}
	}
}

func TestShadowBannedActorIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.HS.Mute = true
	row := w.MustAsk(t, w.Request(t, alice, bob))[0]
	if row.Status != invites.StatusOpen || row.Code != invites.CodeNoEffect {
		t.Errorf("got %s %s, want a second look", row.Status, row.Code)
	}
	w.Clock.Advance(2 * time.Second)
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), row.ID))
	if err != nil || got.Status != invites.StatusRefused || got.Code != invites.CodeNoEffect || len(w.HS.Acts()) != 1 {
		t.Errorf("got %+v %v after %d acts, want refused %s after one", got, err, len(w.HS.Acts()), invites.CodeNoEffect)
	}
}

// TestLateEffect looks again at a change that the room shows only after the homeserver's answer.
func TestLateEffect(t *testing.T) {
	w := newWorld(t)
	w.HS.Mute = true
	row := w.MustAsk(t, w.Request(t, alice, bob))[0]
	w.HS.Member(lobby, bob, "invite")
	w.Clock.Advance(2 * time.Second)
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), row.ID))
	if err != nil || got.Status != invites.StatusDone || len(w.HS.Acts()) != 1 {
		t.Errorf("got %+v %v after %d acts, want done after one", got, err, len(w.HS.Acts()))
	}
}

// TestUnreachableServerIsNamed gives up an invitation to a server that never answers, and says so.
func TestUnreachableServerIsNamed(t *testing.T) {
	w := newWorld(t)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassFailed, Code: "M_UNKNOWN", Status: 502, Server: "there"}
	}
	row := w.MustAsk(t, w.Request(t, alice, "@x:there"))[0]
	if row.Status != invites.StatusOpen || row.Code != invites.CodeServer {
		t.Errorf("got %s %s, want open %s", row.Status, row.Code, invites.CodeServer)
	}
	w.Clock.Advance(2 * time.Hour)
	got, err := invitestest.One(w.Delivery.Deliver(t.Context(), row.ID))
	if err != nil || got.Status != invites.StatusRefused || got.Code != invites.CodeServer {
		t.Errorf("got %+v %v, want refused %s", got, err, invites.CodeServer)
	}
}

// TestPolicyChangesBeforeDelivery: the policy at the time of the act counts.
func TestPolicyChangesBeforeDelivery(t *testing.T) {
	w := newWorld(t)
	w.Power(0)
	w.Govern(object{"delegate": true, "quota": object{"person": object{"count": 5, "per": "1h"}}})
	w.AtOnce = 0
	rows := w.MustAsk(t, w.Request(t, carol, bob))
	w.Govern(object{"delegate": false, "quota": object{"person": object{"count": 5, "per": "1h"}}})
	if _, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil {
		t.Fatal(err)
	}
	if got := invitestest.Outcomes(w.MustAsk(t, requests.Request{Command: rows[0].Command, Action: room.Invite, Room: lobby, Actor: carol, Targets: []id.UserID{bob}})); got != "refused invite.power" {
		t.Errorf("got %s", got)
	}
	if lines, err := w.Judge.Quotas(t.Context(), lobby, carol); err != nil || lines[0].Left != 5 {
		t.Errorf("not given back: %+v %v", lines, err)
	}
}

// unwanted is a delivery.Check.
type unwanted string

func (u unwanted) Wanted(context.Context, invites.Change) (string, room.Phrase, error) {
	return string(u), room.Say("detail.over"), nil
}

// TestPlanRows: a row of a plan is carried out while the plan wants it, and judged by the ask rules where a person is the actor. Nobody asks where the
// bot is.
func TestPlanRows(t *testing.T) {
	for _, tt := range []struct {
		name  string
		actor id.UserID
		check unwanted
		want  string
	}{
		{"the bot's", bot, "", "done done"},
		{"a person's, who may not ask", carol, "", "refused policy.ask.level"},
		{"not wanted any more", bot, "plan.over", "refused plan.over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Power(50)
			w.Delivery.Checks[invites.OriginPlan] = tt.check
			w.Govern(object{"ask": object{"level": 60}})
			now := w.Clock.Now()
			rows, err := w.DB.Record(t.Context(), []invites.Change{{Origin: invites.OriginPlan, Request: "plan", Action: room.Invite, Room: lobby, Target: bob,
				Actor: tt.actor, Performer: bot, Status: invites.StatusOpen, CreatedAt: now, DueAt: now}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			end, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID))
			if got := string(end.Status) + " " + end.Code; err != nil || got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// heard is a delivery.Beside that hands outcomes on.
type heard chan []invites.Outcome

func (h heard) Do(job func(context.Context)) { go job(context.Background()) }

func (h heard) Delivered(_ context.Context, outcomes []invites.Outcome) { h <- outcomes }

// TestSlowFirstAttempt: a command waits three seconds for a server that does not answer, and names it. The attempt goes on with its lease,
// beside which nothing else invites the target, and its end is told.
func TestSlowFirstAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer, late := make(chan struct{}), make(heard, 1)
	w.Delivery.Beside = late
	w.HS.Before = func(invites.Effect) error {
		<-answer
		return nil
	}
	req, start := w.Request(t, alice, "@x:silent.example"), time.Now()
	row := w.MustAsk(t, req)[0]
	if took := time.Since(start); took > 13*time.Second { // it would wait for ever
		t.Errorf("the command waited %s", took)
	}
	if row.Status != invites.StatusOpen || row.Code != invites.CodeServer || !strings.Contains(fmt.Sprint(row.Detail), "silent.example") {
		t.Errorf("got %+v, want an open row that names the server", row)
	}
	if outcomes, err := w.Delivery.Deliver(t.Context(), row.ID); err != nil || outcomes[0].Status != "" {
		t.Errorf("%+v %v: a second attempt beside the first one", outcomes, err)
	}
	if again := w.MustAsk(t, req)[0]; again.Status != invites.StatusOpen || again.Attempt != 1 {
		t.Errorf("asked again: %+v, want the row of the first attempt", again)
	}
	close(answer)
	select {
	case outcomes := <-late:
		if len(outcomes) != 1 || outcomes[0].Status != invites.StatusDone || outcomes[0].Command != req.Command {
			t.Errorf("told of %+v", outcomes)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody hears of the end of the attempt")
	}
	if acts := w.HS.Acts(); len(acts) != 1 {
		t.Errorf("%d acts, want one", len(acts))
	}
}
