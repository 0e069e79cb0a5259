package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func link(uses int64, rooms ...id.RoomID) invites.Link {
	return invites.Link{
		Maker: "@alice:example.org", Rooms: rooms, MaxUses: uses, Approve: true, Shows: []string{"name"}, Welcome: "hello\x00", Note: "for the fair",
		CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour),
	}
}

func secret(n int) invites.LinkSecret {
	return invites.LinkSecret{Page: fmt.Sprint("page", n), Code: fmt.Sprint("code", n), Knock: fmt.Sprint("knock", n)}
}

func use(l invites.Link, user string, at time.Time) invites.LinkUse {
	return invites.LinkUse{Link: l.ID, Target: id.UserID(user), Ticket: "ticket of " + user, At: at}
}

func testLinks(t *testing.T, s Store) {
	ctx := t.Context()
	made := must(s.CreateLink(ctx, link(2, "!a", "!b"), secret(1)))(t)
	other := must(s.CreateLink(ctx, link(0, "!b"), secret(2)))(t)
	if got := must(s.Link(ctx, made.ID))(t); !reflect.DeepEqual(got, made) {
		t.Errorf("got %+v, want %+v", got, made)
	}
	list := func(q invites.LinkQuery) (found []int64) {
		q.Limit = 10
		for _, l := range must(s.LinksOf(ctx, q))(t) {
			found = append(found, l.ID)
		}
		return found
	}
	for _, tt := range []struct {
		q    invites.LinkQuery
		want []int64
	}{
		{invites.LinkQuery{Now: epoch}, []int64{other.ID, made.ID}}, {invites.LinkQuery{Room: "!a", Now: epoch}, []int64{made.ID}},
		{invites.LinkQuery{Maker: "@bob:example.org"}, nil}, {invites.LinkQuery{Now: epoch.Add(time.Hour)}, nil},
	} {
		if got := list(tt.q); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.q, got, tt.want)
		}
	}
	first, fresh, err := s.TakeLink(ctx, use(made, "@x:example.org", epoch))
	if err != nil || !fresh || first.Number != 1 || first.Target != "@x:example.org" {
		t.Fatalf("%+v, %v, %v", first, fresh, err)
	}
	again, fresh, err := s.TakeLink(ctx, use(made, "@x:example.org", epoch))
	if err != nil || fresh || again != first {
		t.Errorf("the same user again: %+v, %v, %v", again, fresh, err)
	}
	if got := must(s.Link(ctx, made.ID))(t); got.Used != 1 {
		t.Errorf("used %d times", got.Used)
	}
	check(t, s.GiveLinkBack(ctx, first))
	check(t, s.GiveLinkBack(ctx, first)) // counts once
	if got := must(s.Link(ctx, made.ID))(t); got.Used != 0 {
		t.Errorf("used %d times after giving back", got.Used)
	}
	if _, _, err := s.TakeLink(ctx, use(made, "@x:example.org", epoch.Add(time.Hour))); !errors.Is(err, invites.ErrUsedUp) {
		t.Errorf("expired: %v", err)
	}
	second, _, err := s.TakeLink(ctx, use(made, "@y:example.org", epoch))
	check(t, err)
	if got := must(s.LinkUseOf(ctx, made.ID, second.Ticket))(t); got != second {
		t.Errorf("%+v, want %+v", got, second)
	}
	if _, err := s.LinkUseOf(ctx, other.ID, second.Ticket); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("the ticket of another link: %v", err)
	}
	check(t, s.DropLinkRoom(ctx, made.ID, "!b", "@mod:example.org", epoch))
	if got := must(s.Link(ctx, made.ID))(t); !reflect.DeepEqual(got.Rooms, []id.RoomID{"!a"}) || !got.EndedAt.IsZero() {
		t.Errorf("after the loss of a room: %+v", got)
	}
	check(t, s.DropLinkRoom(ctx, made.ID, "!a", "@mod:example.org", epoch))
	if got := must(s.Link(ctx, made.ID))(t); got.EndedBy != "@mod:example.org" || !got.EndedAt.Equal(epoch) {
		t.Errorf("after the loss of all rooms: %+v", got)
	}
	check(t, s.EndLink(ctx, other.ID, "@alice:example.org", epoch))
	if _, _, err := s.TakeLink(ctx, use(other, "@x:example.org", epoch)); !errors.Is(err, invites.ErrUsedUp) {
		t.Errorf("revoked: %v", err)
	}
	check(t, s.CleanLinks(ctx, epoch.Add(time.Minute)))
	if _, err := s.Link(ctx, other.ID); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("after cleaning: %v", err)
	}
}

func testLinkSecrets(t *testing.T, s Store) {
	ctx := t.Context()
	made := must(s.CreateLink(ctx, link(1, "!a"), secret(1)))(t)
	check(t, s.AddLinkSecret(ctx, made.ID, secret(2)))
	for n := 1; n <= 2; n++ {
		if got := must(s.LinkByPage(ctx, secret(n).Page))(t); got.ID != made.ID {
			t.Errorf("page %d: %+v", n, got)
		}
		if got := must(s.LinkByCode(ctx, secret(n).Code))(t); got.ID != made.ID {
			t.Errorf("code %d: %+v", n, got)
		}
	}
	if _, err := s.LinkByPage(ctx, secret(1).Code); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("a code is no secret of a page: %v", err)
	}
	if keys := must(s.KnockKeys(ctx, made.ID))(t); len(keys) != 2 || must(s.LinkSecrets(ctx, made.ID))(t) != 2 {
		t.Errorf("keys: %v", keys)
	}
}

// testLastUse has many users at the same time use a link with one use left.
func testLastUse(t *testing.T, s Store) {
	ctx := t.Context()
	made := must(s.CreateLink(ctx, link(3, "!a"), secret(1)))(t)
	for _, user := range []string{"@first:x", "@second:x"} {
		if _, _, err := s.TakeLink(ctx, use(made, user, epoch)); err != nil {
			t.Fatal(err)
		}
	}
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			switch _, fresh, err := s.TakeLink(ctx, use(made, fmt.Sprintf("@user%d:x", n/2), epoch)); {
			case errors.Is(err, invites.ErrUsedUp):
				lost.Add(1)
			case err != nil:
				t.Error(err)
			case fresh:
				won.Add(1)
			}
		})
	}
	all.Wait()
	if got := must(s.Link(ctx, made.ID))(t); won.Load() != 1 || lost.Load() < 18 || got.Used != 3 {
		t.Errorf("%d won, %d lost, used %d times", won.Load(), lost.Load(), got.Used)
	}
	if uses := must(s.LinkUses(ctx, made.ID, 10))(t); len(uses) != 3 || uses[0].Number != 3 {
		t.Errorf("uses: %+v", uses)
	}
}
