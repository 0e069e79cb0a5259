package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const letterRoom = id.RoomID("!a")

func letter(n int) invites.Letter {
	return invites.Letter{
		Request: fmt.Sprint("$command", n), CommandRoom: "!c", Room: letterRoom, Maker: "@alice:example.org", Server: "example.org", Address: fmt.Sprintf("ann%d@example.org", n),
		Hash: fmt.Sprint("hash", n), Domain: "domain", Language: "de", CreatedAt: epoch,
	}
}

func queued(t *testing.T, s Store, n int) invites.Letter {
	t.Helper()
	return must(s.CreateLetter(t.Context(), letter(n), link(1, letterRoom)))(t)
}

// testLetters: the life of a letter up to the mail server.
func testLetters(t *testing.T, s Store) {
	ctx := t.Context()
	made := queued(t, s, 1)
	want := letter(1)
	want.ID, want.Link, want.State, want.QueuedAt, want.DueAt, want.ExpiresAt = made.ID, made.Link, invites.LetterQueued, epoch, epoch, epoch.Add(time.Hour)
	if made.ID == 0 || made.Link == 0 || !reflect.DeepEqual(made, want) {
		t.Errorf("got %+v, want %+v", made, want)
	}
	if again := queued(t, s, 1); again.ID != made.ID || again.Link != made.Link {
		t.Errorf("the same command makes another letter: %+v", again)
	}
	if list := must(s.LinksOf(ctx, invites.LinkQuery{Now: epoch, Limit: 9}))(t); len(list) != 0 {
		t.Errorf("a letter's link is listed: %v", list)
	}
	if due := must(s.DueLetters(ctx, epoch, 9))(t); len(due) != 1 || due[0].ID != made.ID {
		t.Fatalf("due: %+v", due)
	}
	lease := epoch.Add(time.Minute)
	check(t, s.ClaimLetter(ctx, made, secret(1), epoch, lease))
	if err := s.ClaimLetter(ctx, made, secret(2), epoch, lease); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("claimed twice: %v", err)
	}
	if _, err := s.LinkByPage(ctx, "page2"); !errors.Is(err, invites.ErrNotFound) {
		t.Error("a secret without a claim opens the link")
	}
	if due := must(s.DueLetters(ctx, epoch.Add(30*time.Second), 9))(t); len(due) != 0 {
		t.Errorf("due during a try: %+v", due)
	}
	due := must(s.DueLetters(ctx, lease, 9))(t) // the process was killed
	if len(due) != 1 || due[0].Attempt != 1 {
		t.Fatalf("due after a kill: %+v", due)
	}
	check(t, s.ClaimLetter(ctx, due[0], secret(3), lease, lease.Add(time.Minute)))
	if err := s.SettleLetter(ctx, invites.LetterResult{ID: made.ID, Attempt: 1, State: invites.LetterRefused, At: lease}); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("an earlier attempt settles: %v", err)
	}
	later := lease.Add(time.Hour / 2)
	check(t, s.SettleLetter(ctx, invites.LetterResult{ID: made.ID, Attempt: 2, State: invites.LetterQueued, Code: "letter.later", Detail: room.Say("letter.later", "words", "450"), DueAt: later, At: lease, Drop: "page3"}))
	if _, err := s.LinkByPage(ctx, "page3"); !errors.Is(err, invites.ErrNotFound) {
		t.Error("the secret of a failed try stays")
	}
	if l, err := s.LinkByPage(ctx, "page1"); err != nil || l.ID != made.Link {
		t.Errorf("the secret of a try without an outcome: %v, %v", l.ID, err)
	}
	got := must(s.LetterOf(ctx, letterRoom, "hash1", lease))(t)
	if got.State != invites.LetterQueued || got.Code != "letter.later" || got.Detail.Args["words"] != "450" || !got.DueAt.Equal(later) {
		t.Errorf("after a try: %+v", got)
	}
	check(t, s.ClaimLetter(ctx, got, secret(4), later, later.Add(time.Minute)))
	check(t, s.SettleLetter(ctx, invites.LetterResult{ID: made.ID, Attempt: 3, State: invites.LetterSent, At: later}))
	got = must(s.LetterOf(ctx, letterRoom, "hash1", later))(t)
	if got.State != invites.LetterSent || !got.SentAt.Equal(later) || got.Address == "" {
		t.Errorf("sent: %+v", got)
	}
	check(t, s.SendLetterAgain(ctx, got, later, later.Add(5*time.Hour)))
	if err := s.SendLetterAgain(ctx, got, later, later); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("a queued letter is queued: %v", err)
	}
	if got = must(s.Letter(ctx, made.ID, later))(t); got.State != invites.LetterQueued || !got.QueuedAt.Equal(later) || !got.ExpiresAt.Equal(later.Add(5*time.Hour)) {
		t.Errorf("again: %+v", got)
	}
	counted := must(s.CountLetters(ctx, invites.LetterCount{Maker: "@alice:example.org", Hash: "hash2", Domain: "domain", Since: epoch.Add(-1)}))(t)
	if counted != (invites.LetterCounts{All: 1, Maker: 1, Domain: 1}) {
		t.Errorf("counted %+v", counted)
	}
}

// testLetterEnds: a letter ends with its link, and its address is forgotten.
func testLetterEnds(t *testing.T, s Store) {
	ctx, now := t.Context(), epoch.Add(10*time.Minute)
	used, unused, ended, revoked, refused := queued(t, s, 1), queued(t, s, 2), queued(t, s, 3), queued(t, s, 4), queued(t, s, 5)
	_, _, err := s.TakeLink(ctx, invites.LinkUse{Link: used.Link, Target: "@x:y", Ticket: "t", At: now})
	check(t, err)
	check(t, s.EndLink(ctx, ended.Link, "@mod:example.org", now))
	check(t, s.RevokeLetter(ctx, revoked, "@mod:example.org", now))
	if err := s.RevokeLetter(ctx, revoked, "@mod:example.org", now); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if l := must(s.Link(ctx, revoked.Link))(t); l.EndedAt.IsZero() {
		t.Error("the link of a revoked letter goes on working")
	}
	check(t, s.ClaimLetter(ctx, refused, secret(5), now, now))
	check(t, s.SettleLetter(ctx, invites.LetterResult{ID: refused.ID, Attempt: 1, State: invites.LetterRefused, Code: "letter.server", At: now}))
	states := func(when string, at time.Time, want ...invites.LetterState) {
		t.Helper()
		for i, l := range []invites.Letter{used, unused, ended, revoked, refused} {
			got := must(s.Letter(ctx, l.ID, at))(t)
			if got.State != want[i] {
				t.Errorf("%s: letter %d is %s, want %s", when, i+1, got.State, want[i])
			}
			if open := got.State == invites.LetterQueued || got.State == invites.LetterSent; !open && got.Address != "" && !got.SettledAt.IsZero() && got.State != invites.LetterRefused {
				t.Errorf("%s: letter %d still has its address", when, i+1)
			}
		}
	}
	states("at once", now, invites.LetterRedeemed, invites.LetterQueued, invites.LetterRevoked, invites.LetterRevoked, invites.LetterRefused)
	check(t, s.EndLetters(ctx, now))
	if l := must(s.Letter(ctx, used.ID, now))(t); l.Address == "" {
		t.Error("a use that may be given back has ended the letter")
	}
	check(t, s.EndLetters(ctx, now.Add(time.Minute)))
	if l := must(s.Letter(ctx, used.ID, now))(t); l.Address != "" || l.State != invites.LetterRedeemed {
		t.Errorf("used: %+v", l)
	}
	check(t, s.EndLetters(ctx, epoch.Add(time.Hour)))
	states("in the end", epoch.Add(time.Hour), invites.LetterRedeemed, invites.LetterExpired, invites.LetterRevoked, invites.LetterRevoked, invites.LetterRefused)
	untold := must(s.UntoldLetters(ctx, now, 9))(t)
	if len(untold) != 1 || untold[0].ID != refused.ID || untold[0].Address == "" {
		t.Fatalf("to be told: %+v", untold)
	}
	check(t, s.LetterTold(ctx, refused.ID))
	if untold = must(s.UntoldLetters(ctx, now, 9))(t); len(untold) != 0 {
		t.Errorf("told, and to be told: %+v", untold)
	}
	if l := must(s.Letter(ctx, refused.ID, now))(t); l.Address != "" || l.Hash != "hash5" {
		t.Errorf("told: %+v", l)
	}
	open := must(s.LettersIn(ctx, letterRoom, "", now, now.Add(-time.Hour), 9))(t)
	if len(open) != 1 || open[0].ID != refused.ID || len(must(s.LettersIn(ctx, letterRoom, "@bob:x", now, now.Add(-time.Hour), 9))(t)) != 0 {
		t.Errorf("open: %+v", open)
	}
	check(t, s.CleanLetters(ctx, epoch.Add(2*time.Hour)))
	if _, err := s.Letter(ctx, used.ID, now); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
}

func testLetterBlocks(t *testing.T, s Store) {
	ctx := t.Context()
	for _, want := range []bool{false, true, true, false} {
		if got := must(s.LettersBlocked(ctx, "hash"))(t); got != want {
			t.Errorf("blocked: %v, want %v", got, want)
		}
		check(t, s.BlockLetters(ctx, "other", false, epoch))
		switch {
		case !want:
			check(t, s.BlockLetters(ctx, "hash", false, epoch))
		case must(s.LettersBlocked(ctx, "twice"))(t):
			check(t, s.BlockLetters(ctx, "hash", true, epoch))
		default:
			check(t, s.BlockLetters(ctx, "twice", false, epoch))
		}
	}
}

// testLettersSpend: an open letter counts against quotas until its link is used.
func testLettersSpend(t *testing.T, s Store) {
	ctx := t.Context()
	spent := func() (n [3]int) {
		for i, by := range []invites.SpentBy{{}, {Actor: "@alice:example.org"}, {Server: "elsewhere"}} {
			n[i] = len(must(s.Spent(ctx, letterRoom, by, epoch.Add(-time.Hour)))(t).List)
		}
		return n
	}
	used, revoked := queued(t, s, 1), queued(t, s, 2)
	if got := spent(); got != [3]int{2, 2, 0} {
		t.Errorf("two letters: %v", got)
	}
	_, _, err := s.TakeLink(ctx, invites.LinkUse{Link: used.Link, Target: "@x:y", Ticket: "t", At: epoch})
	check(t, err)
	check(t, s.RevokeLetter(ctx, revoked, "@x:y", epoch))
	if got := spent(); got != [3]int{} {
		t.Errorf("used and revoked: %v", got)
	}
}
