package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
	"usher/store"
	"usher/store/pgtest"
)

// openWork is open work as each version of the schema since the first wrote it: the version that brought the table, and the statement.
var openWork = []struct {
	since int
	sql   string
}{
	{1, `INSERT INTO inbox (event_id, room_id, sender, type, state_key, raw, sent_at, received_at, redacted, answer)
		VALUES ('$command', '!r:x', '@alice:x', 'm.room.message', NULL, '{"content":{"body":"!invite @bob:x"}}', 1000, 2000, false, '')`},
	{1, `INSERT INTO invitation (cmd, part, command, command_room, action, room_id, via, target, actor, performer, reason, status, code, detail,
		attempt, due_at, leased_until, created_at, settled_at)
		VALUES (CMD, 7, '$command', '!r:x', 'invite', '!r:x', '', '@bob:x', '@alice:x', '@usher:x', 'a reason', 'open', '', 'as it was said then', 3, 1000, 0, 1000, 0)`},
	{1, `INSERT INTO audit (cmd, part, at, kind, action, room_id, actor, performer, target, verdict, code, policy, command)
		VALUES (CMD, 7, 1000, 'decision', 'invite', '!r:x', '@alice:x', '@usher:x', '@bob:x', 'allow', '', '', '$command')`},
	{1, `INSERT INTO quarantine (txn, raw, fault, received_at) VALUES ('1', '{', 'cut off', 1000)`},
	{2, `INSERT INTO spending (cmd, part, room_id, actor, server, at) VALUES (CMD, 7, '!r:x', '@alice:x', 'x', 1000)`},
	{2, `INSERT INTO space_child (child, space) VALUES ('!r:x', '!space:x')`},
	{3, `INSERT INTO ledger (event_id, room_id, target, sender, inviter, way, command, at, seen_at, fate, ended_at, ended_by, ending, reminded, tried_at)
		VALUES ('$invited', '!r:x', '@carol:x', '@alice:x', '@alice:x', 'hand', '', 1000, 1000, 'pending', 0, '', '', false, 0)`},
	{4, `INSERT INTO card (part, number, kind, room_id, shown_in, event_id, command, home, action, actor, target, performer, reason, remark, policy,
		votes, level, created_at, expires_at, state, code, closed_by, answer, closed_at)
		VALUES (8, 1, 'knock', '!r:x', '!r:x', '$card', '$knock', '!r:x', 'knock', '@dave:x', '@dave:x', '@usher:x', '', '', '', 1, 50, 1000, 9000, 'open', '', '', '', 0)`},
	{5, `INSERT INTO guard (room_id, policy, rounds, stopped, told) VALUES ('!r:x', '$policy', '[]', false, '[]')`},
}

// TestUpgradesKeepOpenWork: a database of each version of the schema, with work under way, is opened. All of the work goes on.
func TestUpgradesKeepOpenWork(t *testing.T) {
	for _, typ := range []string{"sqlite", "postgres"} {
		for version := 1; version < store.Versions(); version++ {
			t.Run(fmt.Sprintf("%s from %d", typ, version), func(t *testing.T) {
				cfg := store.Config{Type: typ, URI: filepath.Join(t.TempDir(), "usher.db")}
				if typ == "postgres" {
					pg, err := server()
					pgtest.Need(t, err)
					cfg.URI = pg.Database(t)
				}
				var statements []string
				for _, w := range openWork {
					if w.since <= version {
						statements = append(statements, strings.ReplaceAll(w.sql, "CMD", fmt.Sprint(store.Digest("$command"))))
					}
				}
				if err := store.MakeOld(t.Context(), cfg, version, statements...); err != nil {
					t.Fatal(err)
				}
				s := open(t, typ, cfg.URI)
				testOpenWork(t, s, version)
			})
		}
	}
}

// testOpenWork looks for the work that a database of a version had.
func testOpenWork(t *testing.T, s *store.Store, version int) {
	ctx := t.Context()
	if waiting := must(s.WaitingAfter(ctx, 0, 10))(t); len(waiting) != 1 || waiting[0].Event != "$command" {
		t.Errorf("waiting events: %+v", waiting)
	}
	due := must(s.Due(ctx, time.UnixMilli(5000), 0, 10))(t)
	rows := must(s.Claim(ctx, due, time.UnixMilli(5000), time.Minute))(t)
	if len(rows) != 1 || rows[0].Target != "@bob:x" || rows[0].Origin != invites.OriginCommand || rows[0].Command != "$command" || rows[0].Attempt != 4 {
		t.Errorf("claimed: %+v", rows)
	}
	if list := must(s.Quarantined(ctx, 10))(t); len(list) != 1 {
		t.Errorf("quarantined: %+v", list)
	}
	if version < 3 {
		return
	}
	if pending, n, err := s.Pending(ctx, "!r:x", 10); err != nil || n != 1 || pending[0].Target != "@carol:x" {
		t.Errorf("pending: %+v %d %v", pending, n, err)
	}
	if version < 4 {
		return
	}
	cards := must(s.OpenCards(ctx, invites.CardQuery{Kind: invites.CardKnock, Room: "!r:x"}))(t)
	if len(cards) != 1 || cards[0].Action != room.Knock || cards[0].Target != "@dave:x" {
		t.Errorf("cards: %+v", cards)
	}
	if version < 5 {
		return
	}
	if guarded := must(s.Guarded(ctx))(t); len(guarded) != 1 || guarded[0] != id.RoomID("!r:x") {
		t.Errorf("guarded: %v", guarded)
	}
}
