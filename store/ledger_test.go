package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// member returns the nth member event of @user1: seen n minutes after epoch, sent a second before.
func member(n int, membership string, sender id.UserID) invites.MemberEvent {
	at := epoch.Add(time.Duration(n) * time.Minute)
	return invites.MemberEvent{Event: id.EventID(fmt.Sprintf("$m%d", n)), Room: "!room:example.org", Target: "@user1:example.org", Sender: sender,
		Membership: membership, SentAt: at.Add(-time.Second), SeenAt: at}
}

const (
	lobby    = id.RoomID("!room:example.org")
	asker    = id.UserID("@alice:example.org")
	usherBot = id.UserID("@usher:example.org")
	target   = id.UserID("@user1:example.org")
)

func observe(t *testing.T, s Store, members ...invites.MemberEvent) {
	t.Helper()
	must(s.Receive(t.Context(), nil, members...))(t)
}

func testLedger(t *testing.T, s Store) {
	for _, tt := range []struct {
		name string
		end  invites.MemberEvent
		fate invites.Fate
		by   id.UserID
	}{
		{"accepted", member(2, "join", target), invites.FateAccepted, target},
		{"declined", member(4, "leave", target), invites.FateDeclined, target},
		{"withdrawn", member(6, "leave", "@mod:example.org"), invites.FateWithdrawn, "@mod:example.org"},
		{"banned", member(8, "ban", "@mod:example.org"), invites.FateBanned, "@mod:example.org"},
		{"renewed", member(10, "invite", "@mod:example.org"), invites.FateRenewed, "@mod:example.org"},
	} {
		var n int
		_, err := fmt.Sscanf(string(tt.end.Event), "$m%d", &n)
		check(t, err)
		start := member(n-1, "invite", asker)
		observe(t, s, start)
		want := invites.Invitation{Event: start.Event, Room: lobby, Target: target, Sender: asker, Inviter: asker, Way: invites.WayHand,
			At: start.SentAt, Fate: invites.FatePending}
		got := must(s.PendingOf(t.Context(), lobby, target))(t)
		if want.ID = got.ID; got != want {
			t.Errorf("%s: got  %+v\nwant %+v", tt.name, got, want)
		}
		observe(t, s, tt.end)
		list := must(s.EntriesOf(t.Context(), lobby, target, 2))(t)
		got = list[slices.IndexFunc(list, func(e invites.Invitation) bool { return e.ID == want.ID })]
		want.Fate, want.EndedBy, want.Ending, want.EndedAt = tt.fate, tt.by, tt.end.Event, got.EndedAt
		if got != want || got.EndedAt.Before(tt.end.SentAt) || got.EndedAt.After(tt.end.SeenAt) {
			t.Errorf("%s: got  %+v\nwant %+v", tt.name, got, want)
		}
	}
	// A join without an invitation leaves no trace, and a server's clock can't date an entry into the future.
	observe(t, s, invites.MemberEvent{Event: "$x", Room: lobby, Target: "@other:example.org", Sender: asker, Membership: "join", SeenAt: epoch})
	if got := must(s.EntriesOf(t.Context(), lobby, "@other:example.org", 5))(t); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	ahead := member(12, "invite", asker)
	ahead.SentAt = ahead.SeenAt.Add(time.Hour)
	observe(t, s, ahead)
	if got := must(s.PendingOf(t.Context(), lobby, target))(t); got.At != ahead.SeenAt {
		t.Errorf("dated %s, seen %s", got.At, ahead.SeenAt)
	}
}

// testLedgerWays finds the command through which an invitation came and went.
func testLedgerWays(t *testing.T, s Store) {
	ctx := t.Context()
	asked := func(n int, action room.ActionType, performer id.UserID) {
		row := invitation(1)
		row.Request, row.Action, row.Performer = fmt.Sprintf("$c%d", n), action, performer
		row.CreatedAt = epoch.Add(time.Duration(n) * time.Minute)
		claim(t, s, row.CreatedAt, must(s.Record(ctx, []invites.Change{row}, nil))(t)[0])
	}
	third := member(9, "invite", "@mod:example.org")
	third.ThirdParty = true
	for _, step := range []struct {
		before func()
		event  invites.MemberEvent
		way    invites.Way
		by     id.UserID // inviter, or who ended it
		fate   invites.Fate
	}{
		{func() { asked(0, room.Invite, usherBot) }, member(1, "invite", usherBot), invites.WayBot, asker, invites.FatePending},
		{func() { asked(2, "withdraw", usherBot) }, member(3, "leave", usherBot), invites.WayBot, asker, invites.FateWithdrawn},
		{func() { asked(4, room.Invite, asker) }, member(5, "invite", asker), invites.WayActor, asker, invites.FatePending},
		{func() { asked(6, "expire", usherBot) }, member(7, "leave", usherBot), invites.WayActor, asker, invites.FateExpired},
		{func() {}, member(8, "invite", asker), invites.WayHand, asker, invites.FatePending}, // its command is used up
		{func() {}, third, invites.WayThirdParty, "@mod:example.org", invites.FatePending},
		{func() {}, member(10, "leave", usherBot), invites.WayThirdParty, usherBot, invites.FateWithdrawn},
	} {
		step.before()
		observe(t, s, step.event)
		got := must(s.EntriesOf(ctx, lobby, target, 1))(t)[0]
		by := got.Inviter
		if step.fate != invites.FatePending {
			by = got.EndedBy
		}
		if got.Way != step.way || by != step.by || got.Fate != step.fate {
			t.Errorf("after %s by %s: got %+v, want %s %s by %s", step.event.Membership, step.event.Sender, got, step.way, step.fate, step.by)
		}
	}
}

// testLedgerAgain sends the same events twice, as homeservers do.
// testLedgerBehind: invitations seen late, and all at once, are matched with their commands. A command for an invited user sent
// nothing.
func testLedgerBehind(t *testing.T, s Store) {
	ctx := t.Context()
	for n, code := range map[int]string{1: "done", 3: "done", 4: "invite.already", 5: "done"} {
		row, at := invitation(1), epoch.Add(time.Duration(n)*time.Minute)
		row.Request, row.Actor, row.CreatedAt = fmt.Sprintf("$c%d", n), id.UserID(fmt.Sprintf("@asker%d:example.org", n)), at.Add(-2*time.Second)
		got := claim(t, s, row.CreatedAt, must(s.Record(ctx, []invites.Change{row}, nil))(t)[0])[0]
		check(t, s.Settle(ctx, invites.Settlement{ID: got.ID, Attempt: got.Attempt, Status: invites.StatusDone, Code: code, At: at}))
	}
	observe(t, s, member(1, "invite", usherBot), member(2, "leave", target), member(3, "invite", usherBot), member(4, "leave", target), member(5, "invite", usherBot))
	for i, e := range must(s.EntriesOf(ctx, lobby, target, 9))(t) {
		if want := fmt.Sprintf("@asker%d:example.org", 5-2*i); string(e.Inviter) != want || e.Way != invites.WayBot {
			t.Errorf("%s is by %s (%s), want %s", e.Event, e.Inviter, e.Way, want)
		}
	}
}

func testLedgerAgain(t *testing.T, s Store) {
	first, left, second := member(1, "invite", asker), member(2, "leave", target), member(3, "invite", asker)
	observe(t, s, first, left)
	observe(t, s, first, left, second)
	observe(t, s, first, left)
	list := must(s.EntriesOf(t.Context(), lobby, target, 9))(t)
	if len(list) != 2 || list[0].Event != second.Event || list[0].Fate != invites.FatePending || list[1].Fate != invites.FateDeclined {
		t.Errorf("got %+v", list)
	}
	if fresh := must(s.Receive(t.Context(), events(0, 1), first))(t); len(fresh) != 1 {
		t.Errorf("%d fresh beside what came again", len(fresh))
	}
}

func testLedgerComplete(t *testing.T, s Store) {
	ctx := t.Context()
	other := member(2, "invite", asker)
	other.Target = "@user2:example.org"
	observe(t, s, member(1, "invite", asker), other)
	late := member(5, "invite", asker)
	late.Target = "@user3:example.org"
	observe(t, s, late) // after the homeserver was asked
	missed := member(3, "invite", asker)
	missed.Target = "@user4:example.org"
	check(t, s.Complete(ctx, lobby, []invites.MemberEvent{other, missed}, epoch.Add(4*time.Minute)))
	var keys []id.UserID
	check(t, s.EachPending(ctx, func(r id.RoomID, user id.UserID) { keys = append(keys, user) }))
	slices.Sort(keys)
	if want := []id.UserID{"@user2:example.org", "@user3:example.org", "@user4:example.org"}; !slices.Equal(keys, want) {
		t.Errorf("open for %v, want %v", keys, want)
	}
	if got := must(s.EntriesOf(ctx, lobby, target, 1))(t)[0]; got.Fate != invites.FateUnseen {
		t.Errorf("got %+v", got)
	}
	observe(t, s, member(90, "leave", target)) // of a member meanwhile: how they became one was not seen
	if got := must(s.EntriesOf(ctx, lobby, target, 1))(t)[0]; got.Fate != invites.FateUnseen {
		t.Errorf("got %+v", got)
	}
	observe(t, s, member(3, "join", target), member(91, "leave", target)) // the stream is behind the state
	if got := must(s.EntriesOf(ctx, lobby, target, 1))(t)[0]; got.Fate != invites.FateAccepted || got.Ending != member(3, "join", target).Event {
		t.Errorf("got %+v", got)
	}
	check(t, s.Complete(ctx, lobby, nil, epoch.Add(time.Hour)))
	check(t, s.Complete(ctx, lobby, []invites.MemberEvent{other}, epoch.Add(2*time.Hour))) // back, and it still stands
	if got := must(s.PendingOf(ctx, lobby, other.Target))(t); got.Event != other.Event || !got.EndedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func testLedgerPending(t *testing.T, s Store) {
	ctx := t.Context()
	var list []invites.MemberEvent
	for n := range 20 {
		m := member(n, "invite", asker)
		m.Target, m.SentAt = id.UserID(fmt.Sprintf("@user%d:example.org", n)), epoch.Add(-time.Duration(n)*time.Hour)
		list = append(list, m)
	}
	observe(t, s, list...)
	got, total, err := s.Pending(ctx, lobby, 3)
	check(t, err)
	var who []id.UserID
	for _, e := range got {
		who = append(who, e.Target)
	}
	if want := []id.UserID{"@user19:example.org", "@user18:example.org", "@user17:example.org"}; total != 20 || !reflect.DeepEqual(who, want) {
		t.Errorf("got %v of %d, want %v of 20", who, total, want)
	}
	if got, total, err := s.Pending(ctx, "!other:example.org", 3); err != nil || total != 0 || len(got) != 0 {
		t.Errorf("got %v of %d, %v", got, total, err)
	}
	if _, err := s.PendingOf(ctx, lobby, "@nobody:example.org"); !errors.Is(err, invites.ErrNotFound) {
		t.Error(err)
	}
}

func testExpiries(t *testing.T, s Store) {
	ctx := t.Context()
	other := member(2, "invite", asker)
	other.Room = "!other:example.org"
	observe(t, s, member(1, "invite", asker), other)
	now := epoch.Add(10 * time.Hour)
	if got := must(s.Unchecked(ctx, now, 10))(t); len(got) != 2 {
		t.Errorf("unchecked %v", got)
	}
	check(t, s.SetExpiry(ctx, lobby, &invites.ExpiryRule{After: 5 * time.Hour, Remind: time.Hour}, now))
	check(t, s.SetExpiry(ctx, other.Room, &invites.ExpiryRule{}, now))
	if got := must(s.Unchecked(ctx, now, 10))(t); len(got) != 0 {
		t.Errorf("unchecked %v", got)
	}
	count := func(at time.Duration, overdue, remind int) {
		t.Helper()
		got := must(s.Overdue(ctx, epoch.Add(at), epoch.Add(at-24*time.Hour), 10))(t)
		reminders := must(s.ToRemind(ctx, epoch.Add(at), 10))(t)
		if len(got) != overdue || len(reminders) != remind {
			t.Errorf("after %s: %d overdue, %d to remind of; want %d, %d", at, len(got), len(reminders), overdue, remind)
		}
	}
	count(4*time.Hour, 0, 0)
	count(4*time.Hour+time.Minute, 0, 1)
	count(5*time.Hour+time.Minute, 1, 1)
	entry := must(s.PendingOf(ctx, lobby, target))(t)
	check(t, s.Reminded(ctx, entry.ID))
	check(t, s.Tried(ctx, now, entry.ID))
	count(11*time.Hour, 0, 0)
	count(40*time.Hour, 1, 0)
	observe(t, s, member(9, "join", target))
	count(40*time.Hour, 0, 0)
	check(t, s.ForgetExpiries(ctx))
	if got := must(s.Unchecked(ctx, now, 10))(t); !slices.Equal(got, []id.RoomID{other.Room}) {
		t.Errorf("unchecked %v, want the room with an open invitation", got)
	}
}
