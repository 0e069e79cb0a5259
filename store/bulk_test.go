package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"usher/invites"
	"usher/room"
)

// testBulk: the rows of one request are counted, paged, paused and resumed, those of other requests and those under an attempt are not touched.
func testBulk(t *testing.T, s Store) {
	ctx := t.Context()
	const request = "$command"
	rows := must(s.Record(ctx, invitations(0, 6), nil))(t)
	join := invitation(0)
	join.Action, join.Origin = room.Join, invites.OriginAutoJoin
	other := invitation(1)
	other.Request, other.Command = "$other", "$other"
	must(s.Record(ctx, []invites.Change{join, other}, nil))(t)
	counts := func() (text string) {
		for _, c := range must(s.CountRows(ctx, request, room.Invite))(t) {
			text += fmt.Sprintf("%d %s %s of %s; ", c.N, c.Status, c.Code, c.First.Target.Localpart())
		}
		return text
	}
	want := func(when, want string) {
		t.Helper()
		if got := counts(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	want("recorded", "6 open  of user0; ")

	done := claim(t, s, epoch, rows[0])[0]
	check(t, s.Settle(ctx, invites.Settlement{ID: done.ID, Attempt: done.Attempt, Status: invites.StatusDone, Code: "done", At: epoch}))
	leased := claim(t, s, epoch, rows[3])[0]
	check(t, s.PauseRows(ctx, request, epoch))
	want("paused", "1 done done of user0; 4 waiting bulk.paused of user1; 1 open bulk.paused of user3; ")
	if due := must(s.Due(ctx, epoch.Add(time.Hour), 0, 10))(t); slices.Contains(due, rows[1].ID) {
		t.Errorf("due while paused: %v", due)
	}
	check(t, s.PauseRows(ctx, request, leased.LeasedUntil))
	want("paused after the lease", "1 done done of user0; 5 waiting bulk.paused of user1; ")

	due := epoch.Add(time.Minute)
	resumed := must(s.ResumeRows(ctx, request, due))(t)
	slices.Sort(resumed)
	if !slices.Equal(resumed, ids(rows[1:])) {
		t.Errorf("resumed %v, want %v", resumed, ids(rows[1:]))
	}
	want("resumed", "1 done done of user0; 5 open  of user1; ")
	if c := must(s.CountRows(ctx, request, room.Invite))(t)[1]; !c.Due.Equal(due) {
		t.Errorf("due at %s, want %s", c.Due, due)
	}
	if again := must(s.ResumeRows(ctx, request, due))(t); len(again) > 0 {
		t.Errorf("resumed again: %v", again)
	}
	if row := must(s.ChangeOf(ctx, request, room.Join, join.Room, join.Target))(t); row.Status != invites.StatusOpen {
		t.Errorf("the automatic join is %s", row.Status)
	}
	if status := must(s.ChangesOf(ctx, "$other"))(t)[0].Status; status != invites.StatusOpen {
		t.Errorf("another request is %s", status)
	}

	if page := must(s.ChangesAfter(ctx, request, rows[1].ID, 2))(t); !slices.Equal(ids(page), ids(rows[2:4])) {
		t.Errorf("a page is %v, want %v", ids(page), ids(rows[2:4]))
	}
	if targets := must(s.TargetsOf(ctx, request, room.Join))(t); len(targets) != 1 || targets[0] != join.Target {
		t.Errorf("joins of %v", targets)
	}
	if targets := must(s.TargetsOf(ctx, request, room.Invite))(t); len(targets) != len(rows) {
		t.Errorf("invitations of %v", targets)
	}
	if row, err := s.ChangeOf(ctx, request, room.Invite, rows[2].Room, rows[2].Target); err != nil || row.ID != rows[2].ID {
		t.Errorf("got row %d %v", row.ID, err)
	}
	if _, err := s.ChangeOf(ctx, request, room.Kick, rows[2].Room, rows[2].Target); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
