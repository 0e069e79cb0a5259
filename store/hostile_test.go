package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func testHostileText(t *testing.T, s Store) {
	ctx := t.Context()
	texts := []string{"", "a\x00b", "\x00", "a\x00c", "\xff\xfe", "\xed\xa0\x80", "\uFFFD", "\uFFFDx:", "\uFFFDx:zz", "\u202Eevil\u2066", "'; DROP TABLE inbox; --",
		"$1 ?1 %s \\", "\U0001F6AA", strings.Repeat("x", 64<<10), strings.Repeat("\x00", 64<<10)}
	for n, text := range texts {
		e := event(n)
		e.Event, e.Room, e.Sender, e.Type, e.StateKey = id.EventID(fmt.Sprintf("$%d%s", n, head(text))), id.RoomID(head(text)), id.UserID(head(text)), text, &text
		e.Raw, e.Answer = json.RawMessage(text+"{}"), id.EventID(text)
		fresh := must(s.Receive(ctx, []invites.Received{e, e}))(t)
		if len(fresh) != 1 {
			t.Fatalf("%.20q: %d fresh", text, len(fresh))
		}
		if got := must(s.Received(ctx, e.Event))(t); !reflect.DeepEqual(got, fresh[0]) {
			t.Errorf("%.20q: event changed", text)
		}
		if !must(s.Redact(ctx, e.Event, e.Sender))(t) {
			t.Errorf("%.20q: not redacted", text)
		}
		check(t, s.SetAnswer(ctx, e.Event, id.EventID(text)))
		check(t, s.Handled(ctx, e.Event))

		i := invites.Change{Request: string(e.Event), Command: e.Event, Action: room.ActionType(text), Room: id.RoomID(text), Target: id.UserID(text),
			Actor: id.UserID(text), Performer: id.UserID(text), Reason: text, Status: invites.StatusOpen, Code: text, Detail: room.Say("text", "text", text)}
		a := invites.Audit{Kind: "decision", Action: i.Action, Room: i.Room, Actor: i.Actor, Performer: i.Performer, Target: i.Target,
			Verdict: text, Code: text, Policy: id.EventID(text), Request: string(i.Command)}
		row := must(s.Record(ctx, []invites.Change{i}, []invites.Audit{a, a}))(t)[0]
		i.ID = row.ID
		if !reflect.DeepEqual(row, i) {
			t.Errorf("%.20q: invitation changed", text)
		}
		claim(t, s, epoch, row)
		check(t, s.Settle(ctx, invites.Settlement{ID: row.ID, Attempt: 1, Status: invites.StatusRefused, Code: text, Detail: room.Say("text", "text", text), At: epoch}))
		got := must(s.Audit(ctx, string(e.Event)))(t)
		if len(got) != 1 {
			t.Fatalf("%.20q: %d audit rows", text, len(got))
		}
		if got[0].ID = 0; !reflect.DeepEqual(got[0], a) {
			t.Errorf("%.20q: audit changed", text)
		}
	}
	i := invites.Change{Request: "$via", Command: "$via", Via: []string{"a\x00", "b"}, Status: invites.StatusOpen}
	if got := must(s.Record(ctx, []invites.Change{i}, nil))(t)[0]; !reflect.DeepEqual(got.Via, i.Via) {
		t.Errorf("via %q", got.Via)
	}
}

// head returns the start of a text, short enough for an identifier: the specification allows 255 bytes.
func head(s string) string { return s[:min(len(s), 240)] }

func testCancelled(t *testing.T, s Store) {
	check(t, first(s.Receive(t.Context(), events(0, 1))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"Receive":     first(s.Receive(ctx, events(1, 2))),
		"Quarantine":  s.Quarantine(ctx, make([]invites.Undecodable, 1)),
		"Waiting":     first(s.WaitingAfter(ctx, 0, 1)),
		"WaitingIn":   first(s.WaitingIn(ctx, "!r", 0, 1)),
		"Redact":      first(s.Redact(ctx, "$event0", "@alice:example.org")),
		"Received":    first(s.Received(ctx, "$event0")),
		"SetAnswer":   s.SetAnswer(ctx, "$event0", "$answer"),
		"Handled":     s.Handled(ctx, "$event0"),
		"Record":      first(s.Record(ctx, invitations(0, 1), nil)),
		"Invitations": first(s.ChangesOf(ctx, "$command")),
		"Due":         first(s.Due(ctx, epoch, 0, 1)),
		"Clean":       s.Clean(ctx, epoch),
		"Ping":        s.Ping(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	if waiting := waiting(t, s); len(waiting) != 1 || waiting[0].Redacted || waiting[0].Answer != "" {
		t.Errorf("something was written: %+v", waiting)
	}
}

func testPing(t *testing.T, s Store) {
	check(t, s.Ping(t.Context()))
	check(t, s.Ping(t.Context()))
}

// testTogether mixes writers with success, failure and cancellation. None may harm another, even in a shared commit.
func testTogether(t *testing.T, s Store) {
	ctx := t.Context()
	const rounds = 30
	rows := claim(t, s, epoch, must(s.Record(ctx, invitations(0, rounds), nil))(t)...)
	var wg sync.WaitGroup
	for n := range rounds {
		wg.Go(func() {
			if fresh, err := s.Receive(ctx, []invites.Received{event(n)}); err != nil || len(fresh) != 1 {
				t.Errorf("received %d, %v", len(fresh), err)
			}
		})
		wg.Go(func() {
			other := rows[(n+1)%rounds]
			err := s.Settle(ctx, invites.Settlement{ID: rows[n].ID, Attempt: 1, Status: invites.StatusRefused, At: epoch, Audit: []invites.Audit{decision(n)}},
				invites.Settlement{ID: other.ID, Attempt: 7, Status: invites.StatusDone, At: epoch})
			if !errors.Is(err, invites.ErrFenced) {
				t.Errorf("got %v, want ErrFenced", err)
			}
		})
		wg.Go(func() {
			if n%2 == 0 {
				check := s.Settle(ctx, invites.Settlement{ID: rows[n].ID, Attempt: 1, Status: invites.StatusDone, At: epoch})
				if check != nil {
					t.Error(check)
				}
			}
		})
		wg.Go(func() {
			short, cancel := context.WithTimeout(ctx, time.Duration(n)*100*time.Microsecond)
			defer cancel()
			if err := s.Ping(short); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n, r := range must(s.ChangesOf(ctx, "$command"))(t) {
		if want := map[bool]invites.Status{true: invites.StatusDone, false: invites.StatusOpen}[n%2 == 0]; r.Status != want {
			t.Errorf("row %d is %s, want %s", n, r.Status, want)
		}
	}
	if got := must(s.Audit(ctx, "$command"))(t); len(got) != 0 {
		t.Errorf("%d audit rows of settlements that failed", len(got))
	}
	if waiting := waiting(t, s); len(waiting) != rounds {
		t.Errorf("%d events wait, want %d", len(waiting), rounds)
	}
}
