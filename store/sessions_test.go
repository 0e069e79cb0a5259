package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

func session(kind invites.SessionKind, user id.UserID, n int) invites.Session {
	at := epoch.Add(time.Duration(n) * time.Second)
	return invites.Session{Hash: fmt.Sprint(kind, user, n), Kind: kind, User: user, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
}

func testSessions(t *testing.T, s Store) {
	ctx := t.Context()
	const alice, bob = id.UserID("@alice:example.org"), id.UserID("@bob:example.org")
	for n := range 4 {
		if err := s.AddSession(ctx, session(invites.SessionLogin, alice, n), 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddSession(ctx, session(invites.SessionLogin, bob, 1), 2); err != nil {
		t.Fatal(err)
	}
	there := func(want invites.Session, now time.Time) bool {
		got, err := s.SessionOf(ctx, want.Kind, want.Hash, now)
		if err != nil && !errors.Is(err, invites.ErrNotFound) {
			t.Fatal(err)
		}
		if err == nil && (got.User != want.User || !got.ExpiresAt.Equal(want.ExpiresAt)) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		return err == nil
	}
	for n, want := range []bool{false, false, true, true} { // the oldest ones end
		if got := there(session(invites.SessionLogin, alice, n), epoch.Add(time.Minute)); got != want {
			t.Errorf("login %d is there: %v", n, got)
		}
	}
	last := session(invites.SessionLogin, alice, 3)
	if there(last, last.ExpiresAt) {
		t.Error("a login does not end")
	}
	if _, err := s.SessionOf(ctx, invites.SessionBrowser, last.Hash, epoch); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("a login serves as a session: %v", err)
	}
	var entered atomic.Int64
	var entering sync.WaitGroup
	for n := range 8 {
		entering.Go(func() {
			made := session(invites.SessionBrowser, "", n)
			switch got, err := s.Enter(ctx, last.Hash, made, 5); {
			case err == nil && got.User == alice:
				entered.Add(1)
			case !errors.Is(err, invites.ErrNotFound):
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if entering.Wait(); entered.Load() != 1 {
		t.Errorf("a login worked %d times", entered.Load())
	}
	late := session(invites.SessionBrowser, "", 9999)
	if _, err := s.Enter(ctx, session(invites.SessionLogin, bob, 1).Hash, late, 5); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("a login works after its end: %v", err)
	}
	if n, err := s.EndSessions(ctx, alice); n != 2 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if !there(session(invites.SessionLogin, bob, 1), epoch) {
		t.Error("the login of somebody else has ended")
	}
	if err := s.CleanSessions(ctx, epoch.Add(2*time.Hour)); err != nil || there(session(invites.SessionLogin, bob, 1), epoch) {
		t.Errorf("not deleted: %v", err)
	}
}

// testEntries pages through a ledger, by all there is to choose.
func testEntries(t *testing.T, s Store) {
	const n, page = 30, 4
	var members []invites.MemberEvent
	for i := range n {
		at := epoch.Add(time.Duration(i/2) * time.Minute) // two at a time
		inviter := id.UserID(fmt.Sprintf("@inviter%d:example.org", i%3))
		target := id.UserID(fmt.Sprintf("@Person_%d:example.org", i))
		members = append(members, invites.MemberEvent{Event: id.EventID(fmt.Sprint("$e", i)), Room: "!a", Target: target, Sender: inviter, Membership: "invite", SentAt: at, SeenAt: at})
		if i%5 == 0 {
			members = append(members, invites.MemberEvent{Event: id.EventID(fmt.Sprint("$j", i)), Room: "!a", Target: target, Sender: target, Membership: "join", SentAt: at, SeenAt: at})
		}
	}
	if err := s.Complete(t.Context(), "!a", members, epoch.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		q    invites.LedgerQuery
		want func(i int) bool
	}{
		"all":            {invites.LedgerQuery{}, func(int) bool { return true }},
		"another room":   {invites.LedgerQuery{Room: "!b"}, func(int) bool { return false }},
		"a name":         {invites.LedgerQuery{Text: "PERSON_1"}, func(i int) bool { return i == 1 || i >= 10 && i < 20 }},
		"no pattern":     {invites.LedgerQuery{Text: "person%1"}, func(int) bool { return false }},
		"an inviter":     {invites.LedgerQuery{Text: "inviter2:"}, func(i int) bool { return i%3 == 2 }},
		"one inviter":    {invites.LedgerQuery{Inviter: "@inviter2:example.org"}, func(i int) bool { return i%3 == 2 }},
		"a fate":         {invites.LedgerQuery{Fate: invites.FateAccepted}, func(i int) bool { return i%5 == 0 }},
		"a time":         {invites.LedgerQuery{Since: epoch.Add(2 * time.Minute), Until: epoch.Add(4 * time.Minute)}, func(i int) bool { return i >= 4 && i < 8 }},
		"a fate of one":  {invites.LedgerQuery{Fate: invites.FateAccepted, Inviter: "@inviter0:example.org"}, func(i int) bool { return i%15 == 0 }},
		"a fate, named":  {invites.LedgerQuery{Text: "person_2", Fate: invites.FateAccepted}, func(i int) bool { return i == 20 || i == 25 }},
		"several things": {invites.LedgerQuery{Text: "person_2", Fate: invites.FatePending, Inviter: "@inviter1:example.org"}, func(i int) bool { return i == 22 || i == 28 }},
	} {
		if tt.q.Room == "" {
			tt.q.Room = "!a"
		}
		var got, want []id.EventID
		for i := n - 1; i >= 0; i-- {
			if tt.want(i) {
				want = append(want, id.EventID(fmt.Sprint("$e", i)))
			}
		}
		for range n {
			list, next, err := s.Entries(t.Context(), tt.q, page)
			if err != nil || len(list) > page {
				t.Fatal(name, len(list), err)
			}
			for _, e := range list {
				got = append(got, e.Event)
			}
			if tt.q.After = next; next.At.IsZero() {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
