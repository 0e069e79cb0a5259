package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// testWelcomes: accepted invitations that came through Usher are noted with their end, once.
func testWelcomes(t *testing.T, s Store) {
	ctx := t.Context()
	const space = id.RoomID("!space:example.org")
	for n, performer := range []string{string(usherBot), string(asker)} {
		row := invitation(1)
		row.Request, row.Performer, row.CreatedAt = fmt.Sprintf("$c%d", n), usherBot, epoch
		if n == 1 {
			row.Performer = asker
		}
		claim(t, s, epoch, must(s.Record(ctx, []invites.Change{row}, nil))(t)[0])
		came := member(3*n+2, "join", target)
		observe(t, s, member(3*n+1, "invite", row.Performer), came)
		observe(t, s, came)
		observe(t, s, member(3*n+3, "leave", target))
		if got := must(s.ToGreet(ctx, lobby, 9))(t); len(got) != n+1 || got[n].Target != target || got[n].Inviter != row.Actor || got[n].Request != row.Request || got[n].Batch != 0 {
			t.Fatalf("by %s: %+v", performer, got)
		}
	}
	observe(t, s, member(11, "invite", "@mod:example.org"), member(12, "join", target)) // past the bot
	rooms, list := must(s.RoomsToGreet(ctx, 9))(t), must(s.ToGreet(ctx, lobby, 9))(t)
	if len(rooms) != 1 || rooms[0] != lobby || len(list) != 2 {
		t.Fatalf("%v, %+v", rooms, list)
	}
	check(t, s.BeginWelcome(ctx, list[1].ID, "", epoch, list[1].ID))
	got := must(s.ToGreet(ctx, lobby, 9))(t)
	if len(got) != 2 || got[0].ID != list[1].ID || got[0].Batch != list[1].ID || !got[0].BegunAt.Equal(epoch) {
		t.Errorf("a message that was begun comes first: %+v", got)
	}
	check(t, s.BeginWelcome(ctx, 7, space, epoch, list[0].ID, list[1].ID))
	for _, tt := range []struct {
		giver id.RoomID
		user  id.UserID
		want  bool
	}{{space, target, true}, {lobby, target, false}, {"", target, false}, {space, asker, false}} {
		if got := must(s.GivenWelcome(ctx, tt.user, tt.giver))(t); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
	if had := must(s.Welcomed(ctx, lobby, epoch))(t); had.Messages != 0 || !had.Last.IsZero() {
		t.Errorf("had %+v", had)
	}
	check(t, s.EndWelcome(ctx, epoch.Add(time.Minute), list[0].ID, list[1].ID))
	if had := must(s.Welcomed(ctx, lobby, epoch))(t); had.Messages != 1 || !had.Last.Equal(epoch.Add(time.Minute)) {
		t.Errorf("had %+v", had)
	}
	if had := must(s.Welcomed(ctx, lobby, epoch.Add(time.Hour)))(t); had.Messages != 0 {
		t.Errorf("had %+v", had)
	}
	if got := must(s.ToGreet(ctx, lobby, 9))(t); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	row := invitation(1)
	row.Request, row.Performer, row.Action = "$last", usherBot, room.Invite
	claim(t, s, epoch, must(s.Record(ctx, []invites.Change{row}, nil))(t)[0])
	observe(t, s, member(13, "invite", usherBot), member(14, "join", target))
	left := must(s.ToGreet(ctx, lobby, 9))(t)
	check(t, s.CleanWelcomes(ctx, left[0].JoinedAt))
	if got := must(s.ToGreet(ctx, lobby, 9))(t); !slices.Equal(got, left) {
		t.Errorf("cleaned too early: %+v", got)
	}
	check(t, s.DropWelcomes(ctx, left[0].ID))
	check(t, s.CleanWelcomes(ctx, epoch.Add(time.Hour)))
	if had := must(s.Welcomed(ctx, lobby, time.Time{}))(t); len(must(s.RoomsToGreet(ctx, 9))(t)) != 0 || had.Messages != 0 {
		t.Errorf("not cleaned: %+v", had)
	}
}
