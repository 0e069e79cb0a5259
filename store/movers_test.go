package store_test

import (
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// testMovers: a move is kept once for its command, until it is dropped or cleaned, and its people are counted by what became of their invitations.
func testMovers(t *testing.T, s Store) {
	ctx := t.Context()
	m := invites.Move{Command: "$move", Old: "!old", New: lobby, Actor: asker, CommandRoom: lobby, Remind: 72 * time.Hour, CreatedAt: epoch, DueAt: epoch.Add(time.Hour)}
	check(t, s.AddMove(ctx, m))
	check(t, s.AddMove(ctx, invites.Move{Command: "$move", Old: "!x"}))
	list := must(s.MovesInto(ctx, lobby, 9))(t)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	if m.ID = list[0].ID; !reflect.DeepEqual(list[0], m) {
		t.Errorf("got %+v, want %+v", list[0], m)
	}
	early, due := must(s.MovesDue(ctx, epoch, 9))(t), must(s.MovesDue(ctx, epoch.Add(time.Hour), 9))(t)
	if len(early) != 0 || !reflect.DeepEqual(due, list) {
		t.Errorf("%+v %+v", early, due)
	}
	var rows []invites.Change
	for _, user := range []id.UserID{"@a:x", "@b:x", "@c:x"} {
		rows = append(rows, invites.Change{
			Origin: invites.OriginBulk, Request: "$move", Command: "$move", CommandRoom: lobby, Action: room.Invite, Room: lobby, Target: user, Actor: asker, Performer: asker,
			Status: invites.StatusDone, Code: "done", CreatedAt: epoch, SettledAt: epoch.Add(time.Minute), Attempt: 1,
		})
	}
	rows[2].Status, rows[2].Code = invites.StatusRefused, "policy.whom.user_denied"
	must(s.Record(ctx, rows, nil))(t)
	see := func(event id.EventID, user, by id.UserID, membership string) {
		must(s.Receive(ctx, nil, invites.MemberEvent{Event: event, Room: lobby, Target: user, Sender: by, Membership: membership, SentAt: epoch, SeenAt: epoch}))(t)
	}
	see("$1", "@a:x", asker, "invite")
	see("$2", "@b:x", asker, "invite")
	see("$3", "@b:x", "@b:x", "join")
	at := epoch.Add(time.Minute)
	want := []invites.MoveCount{
		{Status: invites.StatusDone, Code: "done", Fate: invites.FatePending, N: 1, Last: at}, {Status: invites.StatusDone, Code: "done", Fate: invites.FateAccepted, N: 1, Last: at},
		{Status: invites.StatusRefused, Code: "policy.whom.user_denied", N: 1, Last: at},
	}
	if got := must(s.CountMoved(ctx, "$move"))(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if left := must(s.NotCome(ctx, "$move"))(t); !reflect.DeepEqual(left, []id.UserID{"@a:x"}) {
		t.Errorf("left: %v", left)
	}
	check(t, s.CleanMoves(ctx, epoch.Add(time.Hour)))
	m.DueAt, m.RemindedAt = time.Time{}, at
	check(t, s.SaveMove(ctx, m))
	if got := must(s.MovesInto(ctx, lobby, 9))(t); len(got) != 1 || !reflect.DeepEqual(got[0], m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
	check(t, s.CleanMoves(ctx, epoch.Add(time.Hour)))
	check(t, s.AddMove(ctx, invites.Move{Command: "$other", Old: "!old", New: lobby, CreatedAt: epoch}))
	for _, left := range must(s.MovesInto(ctx, lobby, 9))(t) {
		if left.Command != "$other" {
			t.Errorf("not cleaned: %+v", left)
		}
		check(t, s.DropMove(ctx, left.ID))
	}
	if left := must(s.MovesInto(ctx, lobby, 9))(t); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}
