package store_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

func testReceiveOnce(t *testing.T, s Store) {
	ctx := t.Context()
	first := must(s.Receive(ctx, []invites.Received{event(2), event(1), event(2)}))(t)
	if len(first) != 2 || first[0].Event != "$event2" || first[1].Event != "$event1" || first[0].Seq >= first[1].Seq {
		t.Fatalf("got %+v, want events 2 and 1 in that order", first)
	}
	again := must(s.Receive(ctx, []invites.Received{event(1), event(3), event(2)}))(t)
	if len(again) != 1 || again[0].Event != "$event3" || again[0].Seq <= first[1].Seq {
		t.Fatalf("got %+v, want event 3 alone, after the others", again)
	}
	for _, e := range first {
		check(t, s.Handled(ctx, e.Event))
	}
	if late := must(s.Receive(ctx, events(1, 3)))(t); len(late) != 0 {
		t.Errorf("handled events came again: %+v", late)
	}
	if none := must(s.Receive(ctx, nil))(t); len(none) != 0 {
		t.Errorf("got %+v from nothing", none)
	}
}

func testReceiveConcurrently(t *testing.T, s Store) {
	const callers, each = 8, 40
	var mu sync.Mutex
	seen := map[id.EventID]int{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			list := events(0, each)
			if c%2 == 1 {
				slices.Reverse(list)
			}
			for part := range slices.Chunk(list, 7) {
				fresh, err := s.Receive(t.Context(), part)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, e := range fresh {
					seen[e.Event]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != each {
		t.Errorf("%d events received, want %d", len(seen), each)
	}
	for e, n := range seen {
		if n != 1 {
			t.Errorf("%s was fresh %d times", e, n)
		}
	}
}

func testReceiveMany(t *testing.T, s Store) {
	fresh := must(s.Receive(t.Context(), events(0, 501)))(t)
	if len(fresh) != 501 {
		t.Fatalf("%d fresh, want 501", len(fresh))
	}
	if !slices.IsSortedFunc(fresh, func(a, b invites.Received) int { return int(a.Seq - b.Seq) }) {
		t.Error("not in order of Seq")
	}
	if waiting := waiting(t, s); !reflect.DeepEqual(waiting, fresh) {
		t.Error("what waits is not what was received, in that order")
	}
	check(t, s.Handled(t.Context(), fresh[7].Event))
	part := must(s.WaitingIn(t.Context(), fresh[0].Room, fresh[5].Seq, 2))(t)
	if len(part) != 2 || part[0].Seq != fresh[6].Seq || part[1].Seq != fresh[8].Seq {
		t.Errorf("of the room wait %+v", part)
	}
	if other := must(s.WaitingIn(t.Context(), "!other:example.org", 0, 2))(t); len(other) > 0 {
		t.Errorf("of another room wait %+v", other)
	}
}

func testReceiveKeepsEverything(t *testing.T, s Store) {
	ctx := t.Context()
	empty, key := "", "@bob:example.org"
	full := invites.Received{Event: "$full", Room: "!r", Sender: "@s:x", Type: "m.room.member", StateKey: &key,
		Raw: json.RawMessage("{\"a\":\"\\u0000\xff\x00\"}"), SentAt: epoch.Add(-time.Hour), ReceivedAt: epoch, Redacted: true, Answer: "$answer"}
	bare := invites.Received{Event: "$bare", StateKey: &empty, Raw: json.RawMessage{}, SentAt: time.UnixMilli(-1).UTC(), ReceivedAt: epoch}
	fresh := must(s.Receive(ctx, []invites.Received{full, bare}))(t)
	for _, want := range fresh {
		got := must(s.Received(ctx, want.Event))(t)
		if len(got.Raw) == 0 {
			got.Raw = json.RawMessage{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	check(t, first(s.Receive(ctx, []invites.Received{{Event: "$no-raw"}})))
	if _, err := s.Received(ctx, "$none"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// first returns the error of a call.
func first[T any](_ T, err error) error { return err }

func testWaiting(t *testing.T, s Store) {
	ctx := t.Context()
	check(t, first(s.Receive(ctx, events(0, 4))))
	check(t, s.Handled(ctx, "$event1"))
	check(t, s.Handled(ctx, "$event1"))
	for n, want := range []bool{false, true} {
		if e := must(s.Received(ctx, event(n).Event))(t); e.Handled != want {
			t.Errorf("event %d: handled is %v", n, e.Handled)
		}
	}
	var got []id.EventID
	for _, e := range waiting(t, s) {
		got = append(got, e.Event)
	}
	if want := []id.EventID{"$event0", "$event2", "$event3"}; !slices.Equal(got, want) {
		t.Errorf("waiting %v, want %v", got, want)
	}
	if err := s.Handled(ctx, "$none"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func testRedact(t *testing.T, s Store) {
	ctx := t.Context()
	check(t, first(s.Receive(ctx, events(0, 2))))
	for _, tt := range []struct {
		name   string
		event  id.EventID
		sender id.UserID
		want   bool
	}{
		{"stranger", "$event0", "@mallory:example.org", false},
		{"unknown event", "$none", "@alice:example.org", false},
		{"its sender", "$event1", "@alice:example.org", true},
		{"its sender again", "$event1", "@alice:example.org", true},
	} {
		if got := must(s.Redact(ctx, tt.event, tt.sender))(t); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	for n, want := range []bool{false, true} {
		if e := must(s.Received(ctx, event(n).Event))(t); e.Redacted != want {
			t.Errorf("event %d: redacted is %v", n, e.Redacted)
		}
	}
	check(t, s.Handled(ctx, "$event0"))
	for _, who := range []id.EventID{"$event0", event(1).Event} {
		redacted, state, err := s.Redacted(ctx, who)
		if e := must(s.Received(ctx, who))(t); err != nil || redacted != e.Redacted || state != (e.StateKey != nil) {
			t.Errorf("%s: redacted %v, state %v, %v; the inbox has %+v", who, redacted, state, err, e)
		}
	}
	if !must(s.Redact(ctx, "$event0", "@alice:example.org"))(t) || !must(s.Received(ctx, "$event0"))(t).Redacted {
		t.Error("a command is not redacted once it is handled, though its invitations may wait")
	}
	testRedactEdit(t, s)
}

// testRedactEdit: a message that is redacted takes the edit that ran instead of it along, if that is by the same sender.
func testRedactEdit(t *testing.T, s Store) {
	ctx := t.Context()
	list := events(10, 15)
	list[3].Sender = "@bob:example.org"
	check(t, first(s.Receive(ctx, list)))
	check(t, s.SetAnswer(ctx, "$event10", "$event11"))
	check(t, s.SetAnswer(ctx, "$event12", "$event13"))
	for _, event := range []id.EventID{"$event10", "$event12"} {
		if !must(s.Redact(ctx, event, "@alice:example.org"))(t) {
			t.Errorf("%s is not redacted", event)
		}
	}
	for n, want := range []bool{true, true, true, false, false} {
		if got := must(s.Received(ctx, event(10+n).Event))(t).Redacted; got != want {
			t.Errorf("event %d: redacted is %v", n, got)
		}
	}
}

func testAnswer(t *testing.T, s Store) {
	ctx := t.Context()
	check(t, first(s.Receive(ctx, events(0, 2))))
	check(t, s.SetAnswer(ctx, "$event0", "$answer"))
	if got := must(s.Received(ctx, "$event0"))(t).Answer; got != "$answer" {
		t.Errorf("answer %q", got)
	}
	if got := must(s.Received(ctx, "$event1"))(t).Answer; got != "" {
		t.Errorf("answer %q to another command", got)
	}
	if err := s.SetAnswer(ctx, "$none", "$answer"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func testClean(t *testing.T, s Store) {
	ctx := t.Context()
	list := events(0, 1300) // more than one step
	for i := range list {
		list[i].ReceivedAt = epoch.Add(time.Duration(i) * time.Second)
	}
	check(t, first(s.Receive(ctx, list)))
	var ended []id.EventID
	for _, e := range list[3:] {
		ended = append(ended, e.Event)
	}
	check(t, s.Handled(ctx, ended[:5]...))
	check(t, s.Handled(ctx, append(ended[5:], "$none")...))
	check(t, s.Quarantine(ctx, []invites.Undecodable{
		{Transaction: "old", ReceivedAt: epoch}, {Transaction: "new", ReceivedAt: epoch.Add(time.Hour)},
	}))
	check(t, s.Clean(ctx, list[1200].ReceivedAt))
	for n, want := range map[int]error{0: nil, 2: nil, 3: invites.ErrNotFound, 1199: invites.ErrNotFound, 1200: nil, 1299: nil} {
		if _, err := s.Received(ctx, event(n).Event); !errors.Is(err, want) {
			t.Errorf("event %d: got %v, want %v", n, err, want)
		}
	}
	if bad := must(s.Quarantined(ctx, 10))(t); len(bad) != 1 || bad[0].Transaction != "new" {
		t.Errorf("quarantine has %+v, want the new one", bad)
	}
}

func testQuarantine(t *testing.T, s Store) {
	ctx := t.Context()
	check(t, s.Quarantine(ctx, nil))
	huge := invites.Undecodable{Transaction: "\xff\x00", Raw: []byte(strings.Repeat("\x00\xff", 50_000)), Fault: "\x00\xff", ReceivedAt: epoch}
	check(t, s.Quarantine(ctx, []invites.Undecodable{huge}))
	bad := must(s.Quarantined(ctx, 10))(t)
	huge.Raw = huge.Raw[:64<<10]
	if len(bad) != 1 || !reflect.DeepEqual(bad[0], huge) {
		t.Fatalf("got %d rows, not the one that was set aside, cut to 64 KiB", len(bad))
	}
	many := make([]invites.Undecodable, 700)
	for round := range 3 {
		for i := range many {
			many[i] = invites.Undecodable{Transaction: "t", Fault: "f", Raw: []byte{byte(round)}, ReceivedAt: epoch}
		}
		check(t, s.Quarantine(ctx, many))
	}
	bad = must(s.Quarantined(ctx, 5000))(t)
	if len(bad) != 1000 || bad[0].Raw[0] != 2 || bad[999].Raw[0] != 1 {
		t.Errorf("%d rows kept, want the newest 1000", len(bad))
	}
	check(t, s.Quarantine(ctx, make([]invites.Undecodable, 2500)))
	if bad = must(s.Quarantined(ctx, 5000))(t); len(bad) != 1000 {
		t.Errorf("%d rows kept, want 1000", len(bad))
	}
}

func testCreateEvent(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.CreateEvent(ctx, "!r"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	raw := json.RawMessage("{\"x\":\"\xff\\u0000\"}")
	check(t, s.SaveCreateEvent(ctx, "!r", raw))
	check(t, s.SaveCreateEvent(ctx, "!r", json.RawMessage(`{}`)))
	if got := must(s.CreateEvent(ctx, "!r"))(t); string(got) != string(raw) {
		t.Errorf("got %q, want the first one kept", got)
	}
}

func testLanguage(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.Language(ctx, "@a:x"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	for _, language := range []string{"de", "en"} {
		check(t, s.SetLanguage(ctx, "@a:x", language))
		if got := must(s.Language(ctx, "@a:x"))(t); got != language {
			t.Errorf("got %q, want %q", got, language)
		}
	}
	if _, err := s.Language(ctx, "@b:x"); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func testCleanRecords(t *testing.T, s Store) {
	ctx := t.Context()
	row := func(command id.EventID, status invites.Status, at time.Time) invites.Change {
		return invites.Change{Origin: invites.OriginCommand, Request: string(command), Command: command, Action: room.Invite, Room: "!r", Target: "@t:x", Actor: "@a:x",
			Status: status, CreatedAt: at, SettledAt: at, DueAt: at}
	}
	late := epoch.Add(time.Hour)
	rows := []invites.Change{
		row("$old", invites.StatusRefused, epoch), row("$done", invites.StatusDone, epoch), row("$new", invites.StatusRefused, late),
	}
	for i := range rows {
		a := invites.AuditOf(rows[i], invites.AuditDecision, "deny", "code", "", rows[i].CreatedAt)
		if _, err := s.Record(ctx, rows[i:i+1], []invites.Audit{a}); err != nil {
			t.Fatal(err)
		}
	}
	cards := map[id.EventID]time.Time{"$early": epoch, "$late": late}
	for command, at := range cards {
		card := must(s.OpenCard(ctx, invites.Card{Kind: invites.CardApproval, Room: "!r", ShownIn: "!r", Command: command, Actor: "@a:x", Target: "@t:x", State: invites.CardOpen}))(t)
		must(s.CastVote(ctx, card.ID, invites.Vote{Voter: "@v:x", Event: "$vote" + command, At: at}))(t)
		must(s.CloseCard(ctx, invites.Closing{Card: card.ID, State: invites.CardDeclined, At: at}))(t)
		check(t, s.ToldCard(ctx, card.ID))
	}
	must(s.OpenCard(ctx, invites.Card{Kind: invites.CardApproval, Room: "!r", ShownIn: "!r", Command: "$open", State: invites.CardOpen}))(t)
	cards["$open"] = late
	check(t, s.CleanRecords(ctx, epoch.Add(time.Minute), epoch.Add(time.Minute)))
	for command, at := range cards {
		target := id.UserID("@t:x")
		if command == "$open" {
			target = ""
		}
		if _, err := s.CardOf(ctx, command, "", "!r", target); errors.Is(err, invites.ErrNotFound) != at.Equal(epoch) {
			t.Errorf("card of %s: %v", command, err)
		}
	}
	for request, want := range map[string][2]int{"$old": {0, 0}, "$new": {1, 1}, "$done": {1, 0}} {
		kept, audit := must(s.ChangesOf(ctx, request))(t), must(s.Audit(ctx, request))(t)
		if len(kept) != want[0] || len(audit) != want[1] {
			t.Errorf("%s: %d rows and %d of the audit, want %v", request, len(kept), len(audit), want)
		}
	}
}
