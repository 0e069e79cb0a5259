package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
)

// TestUnsent: invitations that wait are found by their target and by their room; so is a command by its answer while that is edited.
func TestUnsent(t *testing.T) {
	for name, s := range map[string]*store.Store{"sqlite": sqliteStore(t), "postgres": postgresStore(t)} {
		row := func(command, target string, status invites.Status, due int64) invites.Change {
			return invites.Change{Request: command, Command: id.EventID(command), Action: room.Invite, Room: "!r:x", Target: id.UserID(target), Status: status, DueAt: time.UnixMilli(due)}
		}
		other := row("$f", "@a:b", invites.StatusOpen, 1)
		other.Room = "!other:x"
		join := row("$c", "@a:b", invites.StatusOpen, 1)
		join.Action = room.Join
		_, err := s.Record(t.Context(), []invites.Change{
			row("$c", "@a:b", invites.StatusOpen, 9), row("$d", "@a:b", invites.StatusWaiting, 1), row("$e", "@a:b", invites.StatusDone, 1),
			row("$c", "@c:d", invites.StatusOpen, 5), other, join,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		requests := func(rows []invites.Change, err error) (list []string) {
			if err != nil {
				t.Fatal(name, err)
			}
			for _, row := range rows {
				list = append(list, row.Request+" "+string(row.Target))
			}
			return list
		}
		if got := requests(s.UnsentOf(t.Context(), "!r:x", "@a:b")); !slices.Equal(got, []string{"$c @a:b", "$d @a:b"}) {
			t.Errorf("%s: %q", name, got)
		}
		if got := requests(s.UnsentIn(t.Context(), "!r:x", 10)); !slices.Equal(got, []string{"$c @c:d", "$c @a:b"}) {
			t.Errorf("%s: %q", name, got)
		}
		if got := requests(s.UnsentIn(t.Context(), "!r:x", 1)); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
		if got := requests(s.UnsentOf(t.Context(), "!r:x", "@c:d", "@none:x", "@a:b")); !slices.Equal(got, []string{"$c @a:b", "$d @a:b", "$c @c:d"}) {
			t.Errorf("%s: %q", name, got)
		}
		many := make([]id.UserID, 200)
		for i := range many {
			many[i] = id.UserID(fmt.Sprintf("@%d:x", i))
		}
		many[150] = "@c:d"
		if got := requests(s.UnsentOf(t.Context(), "!r:x", many...)); !slices.Equal(got, []string{"$c @c:d"}) {
			t.Errorf("%s: %q", name, got)
		}
		if _, err := s.Receive(t.Context(), []invites.Received{{Event: "$c", Room: "!r:x", Type: "m.room.message", Raw: []byte("{}"), SentAt: epoch, ReceivedAt: epoch}}); err != nil {
			t.Fatal(err)
		}
		answered := func(want error) {
			t.Helper()
			if ev, err := s.Answered(t.Context(), "$answer"); !errors.Is(err, want) || err == nil && ev.Event != "$c" {
				t.Errorf("%s: %+v %v", name, ev, err)
			}
		}
		answered(invites.ErrNotFound)
		if err := s.SetAnswer(t.Context(), "$c", "$answer"); err != nil {
			t.Fatal(err)
		}
		answered(nil)
		if err := s.Handled(t.Context(), "$c"); err != nil {
			t.Fatal(err)
		}
		answered(invites.ErrNotFound)
	}
}

// TestInviting asks for open rows of a command. Joins do not count.
func TestInviting(t *testing.T) {
	for name, s := range map[string]*store.Store{"sqlite": sqliteStore(t), "postgres": postgresStore(t)} {
		inviting := func(want bool) {
			t.Helper()
			if got, err := s.Inviting(t.Context(), "$c"); err != nil || got != want {
				t.Errorf("%s: %v %v, want %v", name, got, err, want)
			}
		}
		inviting(false)
		rows, err := s.Record(t.Context(), []invites.Change{
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@a:b", Status: invites.StatusOpen, Attempt: 1, LeasedUntil: time.UnixMilli(1)},
			{Request: "$c", Command: "$c", Action: room.Invite, Target: "@c:d", Status: invites.StatusRefused},
			{Request: "$c", Command: "$c", Action: room.Join, Target: "@a:b", Status: invites.StatusOpen},
			{Request: "$d", Command: "$d", Action: room.Invite, Target: "@a:b", Status: invites.StatusWaiting},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		inviting(true)
		if err := s.Settle(t.Context(), invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone}); err != nil {
			t.Fatal(err)
		}
		inviting(false)
		if waiting, err := s.Inviting(t.Context(), "$d"); err != nil || !waiting {
			t.Errorf("%s: one that waits for approval is not open: %v", name, err)
		}
	}
}

func testRecordKeepsEverything(t *testing.T, s Store) {
	ctx := t.Context()
	full := invites.Change{Origin: invites.OriginCard, Request: "$c", Command: "$e", CommandRoom: "!c", Action: room.Join, Room: "!r", Via: []string{"a.example", "b.example"},
		Target: "@t:x", Actor: "@a:x", Performer: "@p:x", Reason: "why", Status: invites.StatusRefused, Code: "CODE", Detail: room.Say("text", "text", "detail"),
		Attempt: 3, DueAt: epoch, LeasedUntil: epoch.Add(time.Second), CreatedAt: epoch.Add(2 * time.Second), SettledAt: epoch.Add(3 * time.Second)}
	bare := invites.Change{Request: "$c", Command: "$c", Status: invites.StatusOpen}
	stored := must(s.Record(ctx, []invites.Change{full, bare}, nil))(t)
	full.ID, bare.ID = stored[0].ID, stored[1].ID
	if want := []invites.Change{full, bare}; !reflect.DeepEqual(stored, want) {
		t.Errorf("got  %+v\nwant %+v", stored, want)
	}
	if again := must(s.ChangesOf(ctx, "$c"))(t); !reflect.DeepEqual(again, stored) {
		t.Errorf("got  %+v\nwant %+v", again, stored)
	}
	if none := must(s.ChangesOf(ctx, "$none"))(t); len(none) != 0 {
		t.Errorf("got %+v of no command", none)
	}
}

// testRecordClaimed records a row as claimed already, which saves a commit.
func testRecordClaimed(t *testing.T, s Store) {
	ctx := t.Context()
	row := invitation(0)
	row.Attempt, row.LeasedUntil = 1, epoch.Add(time.Minute)
	stored := must(s.Record(ctx, []invites.Change{row}, nil))(t)[0]
	if due := must(s.Due(ctx, epoch, 0, 10))(t); len(due) != 0 {
		t.Errorf("%v are due, though leased", due)
	}
	if _, ok, err := claimOne(ctx, s, stored.ID, epoch, time.Minute); ok || err != nil {
		t.Errorf("claimed within the lease: %v %v", ok, err)
	}
	check(t, s.Settle(ctx, invites.Settlement{ID: stored.ID, Attempt: 1, Status: invites.StatusOpen, DueAt: epoch, At: epoch}))
	again, ok, err := claimOne(ctx, s, stored.ID, epoch, time.Minute)
	if check(t, err); !ok || again.Attempt != 2 {
		t.Errorf("got %v %+v, want the second attempt", ok, again)
	}
}

func testRecordTwice(t *testing.T, s Store) {
	ctx := t.Context()
	rows := must(s.Record(ctx, invitations(0, 3), []invites.Audit{decision(0)}))(t)
	claimed, ok, err := claimOne(ctx, s, rows[1].ID, epoch, time.Minute)
	check(t, err)
	if !ok {
		t.Fatal("not claimed")
	}
	// After a crash the command is run again, with another reason and one target more.
	second := invitations(0, 4)
	slices.Reverse(second)
	second[0].Reason, second[2].Reason = "new", "other"
	second = append(second, invitation(1))
	again := must(s.Record(ctx, second, []invites.Audit{decision(0), decision(3)}))(t)
	if len(again) != 5 || again[0].ID == 0 || again[0].Reason != "new" {
		t.Fatalf("got %+v, want the new row first", again)
	}
	if want := []invites.Change{rows[2], claimed, rows[0], claimed}; !reflect.DeepEqual(again[1:], want) {
		t.Errorf("got  %+v\nwant %+v", again[1:], want)
	}
	other := invitation(0)
	for _, change := range []func(){
		func() { other.Action = room.Kick }, func() { other.Room = "!elsewhere" }, func() { other.Request = "$other" },
	} {
		change()
		if got := must(s.Record(ctx, []invites.Change{other}, nil))(t); slices.Contains(ids(again), got[0].ID) {
			t.Errorf("%+v is taken for a row of another key", other)
		}
	}
}

func testRecordMany(t *testing.T, s Store) {
	ctx := t.Context()
	list, audit := invitations(0, 301), make([]invites.Audit, 301)
	for n := range audit {
		audit[n] = decision(n)
	}
	rows := must(s.Record(ctx, list, audit))(t)
	for i := range rows {
		if rows[i].Target != list[i].Target || rows[i].ID == 0 {
			t.Fatalf("row %d is %+v", i, rows[i])
		}
	}
	if got := must(s.ChangesOf(ctx, "$command"))(t); len(got) != 301 || !slices.IsSorted(ids(got)) {
		t.Errorf("%d rows of the command, want 301 by ID", len(got))
	}
	if got := must(s.Audit(ctx, "$command"))(t); len(got) != 301 {
		t.Errorf("%d audit rows, want 301", len(got))
	}
	if got := must(s.Record(ctx, nil, nil))(t); len(got) != 0 {
		t.Errorf("got %+v from nothing", got)
	}
}

func testRecordConcurrently(t *testing.T, s Store) {
	var wg sync.WaitGroup
	results := make([][]int64, 6)
	for c := range results {
		wg.Go(func() {
			rows, err := s.Record(t.Context(), invitations(0, 20), []invites.Audit{decision(1), decision(0)})
			if err != nil {
				t.Error(err)
			}
			results[c] = ids(rows)
			slices.Sort(results[c])
		})
	}
	wg.Wait()
	for _, r := range results {
		if !slices.Equal(r, results[0]) {
			t.Errorf("rows %v and %v of the same command", r, results[0])
		}
	}
	if got := must(s.Audit(t.Context(), "$command"))(t); len(got) != 2 {
		t.Errorf("%d decisions, want 2", len(got))
	}
}

func testRecordAudit(t *testing.T, s Store) {
	ctx := t.Context()
	full := invites.Audit{At: epoch, Kind: "decision", Action: room.Invite, Room: "!r", Actor: "@a:x", Performer: "@p:x", Target: "@t:x",
		Verdict: "deny", Code: "invite.power", Policy: "$policy", Request: "$c"}
	changed, effect, free := full, full, full
	changed.Verdict = "allow"
	effect.Kind = "effect"
	free.Request = ""
	check(t, first(s.Record(ctx, nil, []invites.Audit{full, changed, effect, effect, free, free})))
	check(t, first(s.Record(ctx, nil, []invites.Audit{changed, full})))
	got := must(s.Audit(ctx, "$c"))(t)
	for i := range got {
		got[i].ID = 0
	}
	if want := []invites.Audit{full, effect, effect}; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := must(s.Audit(ctx, ""))(t); len(got) != 2 {
		t.Errorf("%d decisions without a command, want 2", len(got))
	}
}

func testSettle(t *testing.T, s Store) {
	ctx := t.Context()
	rows := claim(t, s, epoch, must(s.Record(ctx, invitations(0, 3), nil))(t)...)
	at, due := epoch.Add(time.Second), epoch.Add(time.Hour)
	effect := decision(0)
	effect.Kind, effect.Verdict = "effect", "done"
	check(t, s.Settle(ctx))
	check(t, s.Settle(ctx,
		invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone, At: at, Audit: []invites.Audit{effect}},
		invites.Settlement{ID: rows[1].ID, Attempt: 1, Status: invites.StatusRefused, Code: "M_FORBIDDEN", Detail: room.Say("text", "text", "No."), At: at},
		invites.Settlement{ID: rows[2].ID, Attempt: 1, Status: invites.StatusOpen, Code: "M_LIMIT_EXCEEDED", DueAt: due, At: at}))
	want := slices.Clone(rows)
	for i := range want {
		want[i].LeasedUntil, want[i].DueAt = time.Time{}, time.Time{}
	}
	want[0].Status, want[0].SettledAt = invites.StatusDone, at
	want[1].Status, want[1].SettledAt, want[1].Code, want[1].Detail = invites.StatusRefused, at, "M_FORBIDDEN", room.Say("text", "text", "No.")
	want[2].DueAt, want[2].Code = due, "M_LIMIT_EXCEEDED"
	if got := must(s.ChangesOf(ctx, "$command"))(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := must(s.Audit(ctx, "$command"))(t); len(got) != 1 || got[0].Verdict != "done" {
		t.Errorf("audit %+v", got)
	}
	if again := claim(t, s, due, rows[2]); again[0].Attempt != 2 {
		t.Errorf("attempt %d, want 2", again[0].Attempt)
	}
}

func testSettleFenced(t *testing.T, s Store) {
	ctx := t.Context()
	rows := must(s.Record(ctx, invitations(0, 4), nil))(t)
	late := claim(t, s, epoch, rows[0])[0]
	claim(t, s, epoch.Add(time.Minute), rows[0]) // somebody else, once the lease was over
	good := claim(t, s, epoch, rows[1])[0]
	slow := claim(t, s, epoch, rows[2])[0]
	done := func(row int64, attempt int) invites.Settlement {
		return invites.Settlement{ID: row, Attempt: attempt, Status: invites.StatusDone, At: epoch, Audit: []invites.Audit{decision(0)}}
	}
	before := must(s.ChangesOf(ctx, "$command"))(t)
	for _, tt := range []struct {
		name string
		st   []invites.Settlement
	}{
		{"an older attempt", []invites.Settlement{done(late.ID, late.Attempt)}},
		{"one of several", []invites.Settlement{done(good.ID, good.Attempt), done(late.ID, late.Attempt), done(slow.ID, slow.Attempt)}},
		{"never claimed", []invites.Settlement{done(rows[3].ID, 0)}},
		{"claimed by nobody yet", []invites.Settlement{done(rows[3].ID, 1)}},
		{"no such row", []invites.Settlement{done(rows[3].ID+1000, 1)}},
		{"twice in one", []invites.Settlement{done(good.ID, good.Attempt), done(good.ID, good.Attempt)}},
	} {
		if err := s.Settle(ctx, tt.st...); !errors.Is(err, invites.ErrFenced) {
			t.Errorf("%s: got %v, want ErrFenced", tt.name, err)
		}
		if got := must(s.ChangesOf(ctx, "$command"))(t); !reflect.DeepEqual(got, before) {
			t.Fatalf("%s: rows changed\ngot  %+v\nwant %+v", tt.name, got, before)
		}
		if got := must(s.Audit(ctx, "$command"))(t); len(got) != 0 {
			t.Fatalf("%s: audit rows were written", tt.name)
		}
	}
	check(t, s.Settle(ctx, done(slow.ID, slow.Attempt))) // late, but nobody came in between
	retry := done(good.ID, good.Attempt)
	retry.Status = invites.StatusOpen
	check(t, s.Settle(ctx, retry))
	for _, st := range []invites.Settlement{done(slow.ID, slow.Attempt), done(good.ID, good.Attempt)} {
		if err := s.Settle(ctx, st); !errors.Is(err, invites.ErrFenced) {
			t.Errorf("settled twice: got %v, want ErrFenced", err)
		}
	}
}

func testSettleMany(t *testing.T, s Store) {
	ctx := t.Context()
	rows := claim(t, s, epoch, must(s.Record(ctx, invitations(0, 150), nil))(t)...)
	list := make([]invites.Settlement, len(rows))
	for i, r := range rows {
		list[i] = invites.Settlement{ID: r.ID, Attempt: 1, Status: invites.StatusDone, Code: r.Target.String(), At: epoch, Audit: []invites.Audit{decision(i)}}
	}
	check(t, s.Settle(ctx, list...))
	for _, r := range must(s.ChangesOf(ctx, "$command"))(t) {
		if r.Status != invites.StatusDone || r.Code != r.Target.String() {
			t.Fatalf("row %+v", r)
		}
	}
	if got := must(s.Audit(ctx, "$command"))(t); len(got) != 150 {
		t.Errorf("%d audit rows, want 150", len(got))
	}
}

// testSettleThen records the rows following from an outcome in the same commit, or not at all.
func testSettleThen(t *testing.T, s Store) {
	ctx := t.Context()
	row := claim(t, s, epoch, must(s.Record(ctx, invitations(0, 2), nil))(t)[0])[0]
	done := invites.Settlement{ID: row.ID, Attempt: 7, Status: invites.StatusDone, At: epoch, Then: invitations(1, 4)}
	if err := s.Settle(ctx, done); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	if got := must(s.ChangesOf(ctx, "$command"))(t); len(got) != 2 {
		t.Errorf("%d rows after a settlement that failed, want 2", len(got))
	}
	done.Attempt = row.Attempt
	check(t, s.Settle(ctx, done))
	got := must(s.ChangesOf(ctx, "$command"))(t)
	if len(got) != 4 || got[0].Status != invites.StatusDone || got[3].Target != invitation(3).Target {
		t.Errorf("got %+v", got)
	}
}

func testRelease(t *testing.T, s Store) {
	ctx := t.Context()
	must(s.Release(ctx, epoch))(t)
	rows := claim(t, s, epoch, must(s.Record(ctx, invitations(0, 3), nil))(t)...)
	done := invites.Settlement{ID: rows[0].ID, Attempt: 1, Status: invites.StatusDone, At: epoch}
	check(t, s.Settle(ctx, done))
	soon := epoch.Add(time.Second)
	if got := must(s.Release(ctx, soon))(t); !slices.Equal(got, ids(rows[1:])) {
		t.Errorf("released %v, want the open rows", got)
	}
	if got := must(s.Due(ctx, epoch, 0, 10))(t); len(got) > 0 {
		t.Errorf("due are %v before the time", got)
	}
	if got := must(s.Release(ctx, soon.Add(time.Second)))(t); len(got) > 0 {
		t.Errorf("released %v again, which were under way no more", got)
	}
	if got := must(s.Due(ctx, soon, 0, 10))(t); !slices.Equal(got, ids(rows[1:])) {
		t.Errorf("due are %v, want the open rows", got)
	}
	done.ID = rows[1].ID
	if err := s.Settle(ctx, done); !errors.Is(err, invites.ErrFenced) {
		t.Errorf("an attempt from before the release: got %v, want ErrFenced", err)
	}
	if again := claim(t, s, soon, rows[1]); again[0].Attempt != 3 {
		t.Errorf("attempt %d, want 3: the release fenced one off", again[0].Attempt)
	}
}

func testDue(t *testing.T, s Store) {
	ctx := t.Context()
	list := invitations(0, 7)
	for i, seconds := range []int{30, 10, 20, 0, 10, 99, 0} {
		list[i].DueAt = epoch.Add(time.Duration(seconds) * time.Second)
	}
	rows := must(s.Record(ctx, list, nil))(t)
	claim(t, s, epoch, rows[6])
	settled := claim(t, s, epoch, rows[3])[0]
	check(t, s.Settle(ctx, invites.Settlement{ID: settled.ID, Attempt: 1, Status: invites.StatusDone, At: epoch}))
	for _, tt := range []struct {
		name  string
		now   time.Duration
		limit int
		want  []int
	}{
		{"too early", 10*time.Second - time.Millisecond, 10, nil},
		{"at once", 10 * time.Second, 10, []int{1, 4}},
		{"oldest first", 30 * time.Second, 10, []int{1, 4, 2, 0}},
		{"limit", 30 * time.Second, 3, []int{1, 4, 2}},
		{"lease over", time.Minute, 2, []int{6, 1}},
	} {
		var want []int64
		for _, i := range tt.want {
			want = append(want, rows[i].ID)
		}
		if got := must(s.Due(ctx, epoch.Add(tt.now), 0, tt.limit))(t); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
		if len(want) > 1 {
			if got := must(s.Due(ctx, epoch.Add(tt.now), 1, tt.limit))(t); !slices.Equal(got[:len(want)-1], want[1:]) {
				t.Errorf("%s: got %v after the first, want %v", tt.name, got, want[1:])
			}
		}
	}
	waiting := must(s.Waiting(ctx, append(ids(rows), 99, 98, 97)))(t)
	if len(waiting) != len(rows)-1 {
		t.Fatalf("%d rows wait: %v", len(waiting), waiting)
	}
	for _, w := range waiting {
		i := slices.Index(ids(rows), w.ID)
		want := invites.Waiting{ID: w.ID, Origin: rows[i].Origin, Action: rows[i].Action, Room: rows[i].Room, Target: rows[i].Target, Actor: rows[i].Actor, Via: rows[i].Via, Size: w.Size}
		if fmt.Sprint(w) != fmt.Sprint(want) || w.Size < 1 || w.Size > invites.FewRows+1 {
			t.Errorf("waits %v, want %v", w, want)
		}
	}
}
