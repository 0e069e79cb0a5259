package moves_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/judge"
	"usher/invites/requests"
	"usher/room"
)

// crowd makes people in the old room who joined one after the other, and of whom some spoke, also one after the other.
func (w *world) crowd(n int, spoke ...int) (users []id.UserID) {
	for i := range n {
		w.Clock.Advance(time.Second)
		users = append(users, id.UserID(fmt.Sprintf("@p%d:here", i)))
		w.HS.Member(old, users[i], "join")
	}
	for _, i := range spoke {
		w.Clock.Advance(time.Second)
		w.HS.Set(old, invitestest.Said, string(users[i]), users[i], object{})
	}
	return users
}

// propose keeps a move of alice's of some people.
func (w *world) propose(users []id.UserID, remind time.Duration) requests.Request {
	w.t.Helper()
	req := w.Request(w.t, alice, users...)
	req.Room, req.CommandRoom = next, next
	m := invites.Move{Command: req.Command, Old: old, New: next, Actor: alice, CommandRoom: next, Remind: remind}
	for range 2 {
		if err := errors.Join(w.Movers.Propose(w.t.Context(), m), w.Propose(w.t.Context(), req, w.Clock.Now().Add(time.Hour))); err != nil {
			w.t.Fatal(err)
		}
	}
	return req
}

// confirm has alice confirm a move, and the invitations sent.
func (w *world) confirm(req requests.Request) {
	w.t.Helper()
	todo, err := w.DB.CardsTodo(w.t.Context(), invites.CardTodo{Command: req.Command, Limit: 10})
	if err != nil || len(todo) != 1 {
		w.t.Fatalf("%d cards %v", len(todo), err)
	}
	vote := invites.Vote{Voter: alice, Choice: invites.Accept, Room: next, Event: "$vote" + req.Command, At: w.Clock.Now()}
	ballot, err := w.Cards.Vote(w.t.Context(), todo[0], vote)
	if err == nil {
		_, err = w.Cards.CarryOut(w.t.Context(), ballot.Card)
	}
	if err == nil {
		err = w.DB.ToldCard(w.t.Context(), ballot.Card.ID)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// deliver sends what waits.
func (w *world) deliver() {
	w.t.Helper()
	for _, woken := range w.Queue.Take() {
		if _, err := w.Delivery.Deliver(w.t.Context(), woken.Row); err != nil {
			w.t.Fatal(err)
		}
	}
	for i, e := range w.HS.Acts() {
		w.see(e.Target, e.Performer, "invite", fmt.Sprint("$invite", i))
	}
}

// see has the ledger see a membership in the new room.
func (w *world) see(user, by id.UserID, membership, event string) {
	w.t.Helper()
	now := w.Clock.Now()
	_, err := w.DB.Receive(w.t.Context(), nil, invites.MemberEvent{Event: id.EventID(event), Room: next, Target: user, Sender: by, Membership: membership, SentAt: now, SeenAt: now})
	if err != nil {
		w.t.Fatal(err)
	}
}

// due returns the reminders that are due.
func (w *world) due() []invites.MoveReminder {
	w.t.Helper()
	due, err := w.Movers.Due(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return due
}

// stands words how the moves into the new room stand for a user.
func (w *world) stands(user id.UserID) string {
	w.t.Helper()
	list, err := w.Movers.Into(w.t.Context(), next, user)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, m := range list {
		all = append(all, fmt.Sprintf("all %d came %d here %d open %d declined %d gone %d waiting %d stopped %d refused %d", m.All, m.Came, m.Here, m.Open, m.Declined, m.Gone, m.Waiting, m.Stopped, m.Refused))
	}
	return strings.Join(all, "; ")
}

func TestOrder(t *testing.T) {
	w := newWorld(t)
	users := w.crowd(6, 4, 1, 2)
	shuffled := []id.UserID{users[5], users[0], users[1], users[3], users[2], users[4]}
	spoke, err := w.Movers.Order(t.Context(), old, alice, shuffled)
	if got, want := fmt.Sprint(shuffled), "[@p2:here @p1:here @p4:here @p5:here @p3:here @p0:here]"; err != nil || spoke != 3 || got != want {
		t.Errorf("%d %v: got %s, want %s", spoke, err, got, want)
	}
}

// TestMoveIsCountedAndReminded: the people of a move are counted as they come, and those who have not come are named once, after the time that was asked
// for, also over restarts.
func TestMoveIsCountedAndReminded(t *testing.T) {
	w := newWorld(t)
	users := w.crowd(8)
	w.HS.Member(next, users[0], "join")
	w.HS.Member(next, users[1], "ban")
	req := w.propose(users, time.Hour)
	w.Clock.Advance(2 * time.Hour)
	if got := w.stands(alice); got != "" || len(w.due()) != 0 {
		t.Errorf("before the confirmation: %s", got)
	}
	w.Clock.Advance(-2 * time.Hour)
	w.confirm(req)
	w.Build() // as after a restart
	if got, want := w.stands(alice), "all 8 came 0 here 1 open 0 declined 0 gone 0 waiting 6 stopped 0 refused 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.Clock.Advance(2 * time.Hour)
	if due := w.due(); len(due) != 0 {
		t.Errorf("reminded while invitations wait: %+v", due)
	}
	w.deliver()
	w.see(users[2], users[2], "join", "$join")
	w.see(users[3], users[3], "leave", "$decline")
	w.see(users[4], alice, "leave", "$withdraw")
	if got, want := w.stands(alice), "all 8 came 1 here 1 open 3 declined 1 gone 1 waiting 0 stopped 0 refused 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.Clock.Advance(59 * time.Minute)
	if due := w.due(); len(due) != 0 {
		t.Errorf("reminded too early: %+v", due)
	}
	w.HS.Member(old, users[5], "leave")
	w.Clock.Advance(2 * time.Minute)
	due := w.due()
	if len(due) != 1 || fmt.Sprint(due[0].Users) != "[@p6:here @p7:here]" || due[0].Mute {
		t.Fatalf("%+v", due)
	}
	w.Build() // killed before it was noted
	if again := w.due(); len(again) != 0 {
		t.Error("a reminder that is being sent is made again at once")
	}
	w.Clock.Advance(2 * time.Minute)
	if again := w.due(); len(again) != 1 {
		t.Fatal("a reminder is lost")
	}
	if err := w.Movers.Reminded(t.Context(), due[0].Move, true); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(24 * time.Hour)
	if again := w.due(); len(again) != 0 {
		t.Errorf("reminded twice: %+v", again)
	}
	if err := w.DB.CleanMoves(t.Context(), w.Clock.Now()); err != nil || w.stands(alice) != "" {
		t.Errorf("still there: %v", err)
	}
}

// TestWhoSeesMoves: the asker, and people with the power to kick in the new room.
func TestWhoSeesMoves(t *testing.T) {
	w := newWorld(t)
	w.confirm(w.propose(w.crowd(2), 0))
	w.HS.Member(next, carol, "join")
	for user, want := range map[id.UserID]string{
		alice: "all 2 came 0 here 0 open 0 declined 0 gone 0 waiting 2 stopped 0 refused 0", bob: judge.ErrNotJoined.Error(), carol: judge.ErrKickPower.Error(),
	} {
		if got := w.stands(user); got != want {
			t.Errorf("%s: got %s, want %s", user, got, want)
		}
	}
	if _, err := w.Movers.Stop(t.Context(), next, carol); !errors.Is(err, judge.ErrKickPower) {
		t.Errorf("anybody stops it: %v", err)
	}
}

// TestNoReminder: nobody is reminded in vain, against the asker's wish, or in a room where the asker or the bot may not speak.
func TestNoReminder(t *testing.T) {
	levels := object{"events_default": 50, "users": object{string(alice): 100}}
	for name, tt := range map[string]struct {
		remind time.Duration
		change func(*world, []id.UserID)
		want   string
	}{
		"as usual": {time.Hour, func(*world, []id.UserID) {}, "[@p0:here @p1:here] false"},
		"never":    {0, func(*world, []id.UserID) {}, ""},
		"all came": {time.Hour, func(w *world, users []id.UserID) {
			for _, user := range users {
				w.see(user, user, "join", "$join"+string(user))
			}
		}, ""},
		"stopped": {time.Hour, func(w *world, _ []id.UserID) {
			if n, err := w.Movers.Stop(w.t.Context(), next, alice); n != 1 || err != nil {
				w.t.Errorf("%d stopped %v", n, err)
			}
			if n, err := w.Movers.Stop(w.t.Context(), next, alice); n != 0 || err != nil {
				w.t.Errorf("%d stopped again %v", n, err)
			}
		}, ""},
		"the asker left the new room": {time.Hour, func(w *world, _ []id.UserID) { w.HS.Member(next, alice, "leave") }, ""},
		"the asker left the old room": {time.Hour, func(w *world, _ []id.UserID) { w.HS.Member(old, alice, "leave") }, "[@p0:here @p1:here] true"},
		"the bot is muted there":      {time.Hour, func(w *world, _ []id.UserID) { w.HS.Set(old, room.TypePowerLevels, "", alice, levels) }, "[@p0:here @p1:here] true"},
		"the bot left the old room":   {time.Hour, func(w *world, _ []id.UserID) { w.HS.Drop(old) }, "[@p0:here @p1:here] true"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			users := w.crowd(2)
			w.confirm(w.propose(users, tt.remind))
			w.deliver()
			tt.change(w, users)
			got := ""
			for range 30 {
				w.Clock.Advance(10 * time.Minute)
				for _, r := range w.due() {
					got += fmt.Sprint(r.Users, r.Mute)
					if err := w.Movers.Reminded(t.Context(), r.Move, !r.Mute); err != nil {
						t.Fatal(err)
					}
				}
			}
			if want := strings.ReplaceAll(tt.want, "] ", "]"); strings.ReplaceAll(got, "] ", "]") != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestStopEndsTheRest: what is not sent yet is not sent, and a move that nobody confirmed is forgotten.
func TestStopEndsTheRest(t *testing.T) {
	w := newWorld(t)
	w.propose(w.crowd(1), time.Hour)
	w.confirm(w.propose(w.crowd(3), time.Hour))
	if n, err := w.Movers.Stop(t.Context(), next, alice); n != 1 || err != nil {
		t.Errorf("%d stopped %v", n, err)
	}
	w.deliver()
	if got, want := w.stands(alice), "all 3 came 0 here 0 open 0 declined 0 gone 0 waiting 0 stopped 3 refused 0"; got != want || len(w.HS.Acts()) != 0 {
		t.Errorf("got  %s, %d acts\nwant %s", got, len(w.HS.Acts()), want)
	}
	w.Clock.Advance(25 * time.Hour)
	w.due()
	if left, err := w.DB.MovesInto(t.Context(), next, 9); err != nil || len(left) != 1 {
		t.Errorf("%+v %v", left, err)
	}
}
