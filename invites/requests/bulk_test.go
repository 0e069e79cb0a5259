package requests_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/delivery"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

// crowd makes people.
func crowd(n int) (users []id.UserID) {
	for i := range n {
		users = append(users, id.UserID(fmt.Sprintf("@p%d:here", i)))
	}
	return users
}

// many are the use cases for many people.
func many(w *world) requests.Bulk { return requests.Bulk{Requests: w.Requests} }

// confirm proposes a request and has its actor confirm it, up to where the rows are recorded.
func confirm(t *testing.T, w *world, req requests.Request) invites.Card {
	t.Helper()
	if err := w.Propose(t.Context(), req, w.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	todo, err := w.DB.CardsTodo(t.Context(), invites.CardTodo{Command: req.Command, Limit: 10})
	if err != nil || len(todo) != 1 {
		t.Fatalf("%d cards %v", len(todo), err)
	}
	if len(todo[0].Targets) != 0 {
		t.Error("a list of cards has the people of a confirmation")
	}
	ballot, err := w.Cards.Vote(t.Context(), todo[0], invites.Vote{Voter: req.Actor, Choice: invites.Accept, Room: lobby, Event: "$vote", At: w.Clock.Now()})
	if err != nil || ballot.Card.State != invites.CardAccepted {
		t.Fatalf("%+v %v", ballot, err)
	}
	return ballot.Card
}

// deliver makes attempts at all queued rows.
func deliver(t *testing.T, w *world) {
	t.Helper()
	for _, woken := range w.Queue.Take() {
		if _, err := w.Delivery.Deliver(t.Context(), woken.Row); err != nil {
			t.Fatal(err)
		}
	}
}

// counts words the rows of a request.
func counts(t *testing.T, w *world, command id.EventID) string {
	t.Helper()
	st, err := many(w).Standing(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	s := ""
	for _, c := range st.Counts {
		s += fmt.Sprintf("%d %s %s; ", c.N, c.Status, c.Code)
	}
	return s
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	w.In.Most = requests.Most{Person: 300}
	w.Build()
	people := crowd(450)
	w.HS.Member(lobby, people[1], "ban")
	w.HS.Member(lobby, people[2], "ban")
	w.HS.Member(lobby, people[3], "join")
	w.HS.Member(lobby, people[4], "invite")
	p, err := many(w).Preview(t.Context(), w.Request(t, alice, people...))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, g := range p.Groups {
		got += fmt.Sprintf("%d %s %s; ", g.N, g.First.Decision.Code, g.First.Question.Target)
	}
	if want := "300 invite @p0:here; 2 invite.target_banned @p1:here; 1 invite.target_joined @p3:here; 1 invite.already @p4:here; 146 limit.person @p304:here; "; got != want || p.Sends != 300 || p.ByBot {
		t.Errorf("got %s%+v", got, p)
	}
	if len(w.HS.Acts()) != 0 {
		t.Error("a preview acts")
	}
	if rows := w.MustAsk(t, w.Request(t, alice, people[5])); rows[0].Status != invites.StatusDone {
		t.Errorf("a preview spends: %+v", rows)
	}
}

// TestPeopleOfPreviewsCount: previews count against the people whom a user may name.
func TestPeopleOfPreviewsCount(t *testing.T) {
	w := newWorld(t)
	w.In.Most = requests.Most{People: 60}
	w.Build()
	if _, err := many(w).Preview(t.Context(), w.Request(t, alice, crowd(40)...)); err != nil {
		t.Fatal(err)
	}
	var over *requests.LimitError
	if _, err := many(w).Preview(t.Context(), w.Request(t, alice, crowd(40)...)); !errors.As(err, &over) {
		t.Errorf("got %v", err)
	}
}

// TestBulkIsRecordedInBatches: a request for many people goes on after an interruption, and each person is invited once.
func TestBulkIsRecordedInBatches(t *testing.T) {
	w := newWorld(t)
	people := crowd(220)
	w.HS.Member(lobby, people[7], "ban")
	req := w.Request(t, alice, people...)
	card := confirm(t, w, req)
	ctx, cancel := context.WithCancel(t.Context())
	w.HS.Before = func(invites.Effect) error { return nil }
	cancel()
	if _, err := w.Cards.CarryOut(ctx, card); err == nil {
		t.Fatal("it went on after the end of its context")
	}
	for range 2 {
		if _, err := w.Cards.CarryOut(t.Context(), card); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := counts(t, w, req.Command), "219 open invite; 1 refused invite.target_banned; "; got != want {
		t.Errorf("recorded %s", got)
	}
	deliver(t, w)
	if got, want := counts(t, w, req.Command), "219 done done; 1 refused invite.target_banned; "; got != want || len(w.HS.Acts()) != 219 {
		t.Errorf("delivered %s%d acts", got, len(w.HS.Acts()))
	}
	n := 0
	if err := many(w).EachOutcome(t.Context(), req.Command, func(row invites.Change) {
		if row.Target != people[n] {
			t.Errorf("row %d is %s", n, row.Target)
		}
		n++
	}); err != nil || n != len(people) {
		t.Errorf("%d outcomes %v", n, err)
	}
}

// TestSteer: the actor of a bulk request, and users with the power to kick, pause, resume and stop it; nobody else does.
func TestSteer(t *testing.T) {
	w := newWorld(t)
	w.Give(object{string(alice): 100, string(carol): 50})
	req := w.Request(t, alice, crowd(30)...)
	if _, err := w.Cards.CarryOut(t.Context(), confirm(t, w, req)); err != nil {
		t.Fatal(err)
	}
	steer := func(user id.UserID, wish invites.Choice, may bool, want string) {
		t.Helper()
		if done, err := many(w).Steer(t.Context(), user, req.Command, wish); err != nil || done != may {
			t.Fatalf("%s by %s: %v %v", wish, user, done, err)
		}
		if got := counts(t, w, req.Command); got != want {
			t.Errorf("after %s by %s: %s", wish, user, got)
		}
	}
	steer(remote, invites.Pause, false, "30 open invite; ")
	first := w.Queue.Take()
	w.HS.Before = func(invites.Effect) error { // under an attempt, which fails
		steer(alice, invites.Pause, true, "1 open bulk.paused; 29 waiting bulk.paused; ")
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: time.Minute, Err: errors.New("limited")}
	}
	if _, err := w.Delivery.Deliver(t.Context(), first[0].Row); err != nil {
		t.Fatal(err)
	}
	w.HS.Before = nil
	if got := counts(t, w, req.Command); got != "30 waiting bulk.paused; " {
		t.Errorf("paused: %s", got)
	}
	for _, woken := range first {
		if _, err := w.Delivery.Deliver(t.Context(), woken.Row); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.HS.Acts()); n > 1 {
		t.Errorf("%d acts while paused", n)
	}
	steer(carol, invites.Resume, true, "30 open ; ")
	w.Clock.Advance(2 * time.Minute)
	woken := w.Queue.Take()
	for _, one := range woken[:10] {
		if _, err := w.Delivery.Deliver(t.Context(), one.Row); err != nil {
			t.Fatal(err)
		}
	}
	steer(alice, invites.Pause, true, "10 done done; 20 waiting bulk.paused; ")
	steer(carol, invites.Decline, true, "10 done done; 20 cancelled bulk.stopped; ")
	if sent := len(w.HS.Acts()); sent < 10 || sent > 11 {
		t.Errorf("%d acts", sent)
	}
}

// settling does something before an attempt settles.
type settling struct {
	delivery.Store
	before func()
}

func (s settling) Settle(ctx context.Context, all ...invites.Settlement) error {
	s.before()
	return s.Store.Settle(ctx, all...)
}

// TestResumedAtTheEnd: a row whose paused attempt ends while its request is resumed goes on.
func TestResumedAtTheEnd(t *testing.T) {
	w := newWorld(t)
	req := w.Request(t, alice, crowd(3)...)
	if _, err := w.Cards.CarryOut(t.Context(), confirm(t, w, req)); err != nil {
		t.Fatal(err)
	}
	steer := func(wish invites.Choice) {
		if _, err := many(w).Steer(t.Context(), alice, req.Command, wish); err != nil {
			t.Error(err)
		}
	}
	w.HS.Before = func(invites.Effect) error {
		steer(invites.Pause)
		return &invites.ActError{Class: invites.ClassLater, Status: 429, RetryAfter: time.Minute, Err: errors.New("limited")}
	}
	plain := w.Delivery.Store
	w.Delivery.Store = settling{plain, func() { steer(invites.Resume) }}
	if _, err := w.Delivery.Deliver(t.Context(), w.Queue.Take()[0].Row); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, w, req.Command); got != "3 open ; " {
		t.Errorf("resumed: %s", got)
	}
}

// TestPausedAndKilled: a row that was attempted when its request was paused and its process killed waits with the others.
func TestPausedAndKilled(t *testing.T) {
	w := newWorld(t)
	req := w.Request(t, alice, crowd(3)...)
	if _, err := w.Cards.CarryOut(t.Context(), confirm(t, w, req)); err != nil {
		t.Fatal(err)
	}
	row := w.Queue.Take()[0].Row
	if rows, err := w.DB.Claim(t.Context(), []int64{row}, w.Clock.Now(), time.Minute); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if _, err := many(w).Steer(t.Context(), alice, req.Command, invites.Pause); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DB.Release(t.Context(), w.Clock.Now()); err != nil { // as the next process does
		t.Fatal(err)
	}
	if _, err := w.Delivery.Deliver(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, w, req.Command); got != "3 waiting bulk.paused; " || len(w.HS.Acts()) != 0 {
		t.Errorf("%s%d acts", got, len(w.HS.Acts()))
	}
}

// TestPausedWhileRecorded: people who are recorded after a pause, or after the end, are not invited.
func TestPausedWhileRecorded(t *testing.T) {
	for wish, want := range map[invites.Choice]string{invites.Pause: "120 waiting bulk.paused; ", invites.Decline: "120 cancelled bulk.stopped; "} {
		w := newWorld(t)
		part := w.Request(t, alice, crowd(60)...)
		if _, err := w.Cards.CarryOut(t.Context(), confirm(t, w, part)); err != nil { // as far as a killed process came
			t.Fatal(err)
		}
		if _, err := many(w).Steer(t.Context(), alice, part.Command, wish); err != nil {
			t.Fatal(err)
		}
		whole := invites.Card{
			Kind: invites.CardConfirm, Command: part.Command, Home: lobby, Room: lobby, Actor: alice, Action: room.Invite, Performer: alice, Targets: crowd(120)}
		if _, err := w.Confirmed(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		if got := counts(t, w, part.Command); got != want {
			t.Errorf("after %s: %s", wish, got)
		}
	}
}

// TestApprovalsOfBulk: a request for many people asks for as many approvals as any other.
func TestApprovalsOfBulk(t *testing.T) {
	w := newWorld(t)
	w.Govern(object{"approval": object{"required": true}})
	req := w.Request(t, alice, crowd(450)...)
	if _, err := w.Cards.CarryOut(t.Context(), confirm(t, w, req)); err != nil {
		t.Fatal(err)
	}
	st, err := many(w).Standing(t.Context(), req.Command)
	if err != nil || len(st.Counts) != 2 || st.Counts[0].N != 20 || st.Counts[0].Code != string(policy.CodeApproval) || st.Counts[1].N != 430 {
		t.Errorf("%+v %v", st.Counts, err)
	}
}

// TestMembersOf: the people of a room are told to its members only, and a crowd is refused.
func TestMembersOf(t *testing.T) {
	const other = id.RoomID("!other:here")
	w := newWorld(t)
	w.HS.Create(other, "11", alice, bot, carol)
	w.HS.Member(other, bob, "ban")
	if _, err := many(w).MembersOf(t.Context(), other, remote, 10); err == nil {
		t.Error("a stranger is told")
	}
	if users, err := many(w).MembersOf(t.Context(), other, carol, 10); err != nil || fmt.Sprint(users) != "[@alice:here @carol:here]" {
		t.Errorf("%v %v", users, err)
	}
	if _, err := many(w).MembersOf(t.Context(), other, carol, 1); !errors.Is(err, requests.ErrCrowd) {
		t.Errorf("got %v", err)
	}
}
