package store_test

import (
	"slices"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/policy"
	"usher/room"
	"usher/store"
)

// TestOriginsOfOlderRows: an open row that an older version recorded, before the upgrade or beside this version, gets its origin once it is
// claimed. Such a row has neither an origin nor an event.
func TestOriginsOfOlderRows(t *testing.T) {
	const bot, alice, bob = id.UserID("@usher:x"), id.UserID("@alice:x"), id.UserID("@bob:x")
	for name, s := range map[string]*store.Store{"sqlite": sqliteStore(t), "postgres": postgresStore(t)} {
		older := func(request string, action room.ActionType, actor, performer id.UserID) invites.Change {
			return invites.Change{Request: request, Action: action, Room: "!r:x", Target: bob, Actor: actor, Performer: performer, Status: invites.StatusOpen}
		}
		record := func(rows ...invites.Change) []invites.Change {
			t.Helper()
			stored, err := s.Record(t.Context(), rows, nil)
			if err != nil {
				t.Fatal(err)
			}
			return stored
		}
		// closed records the row of a closed knock card; voters are the users who voted on it.
		closed := func(knock id.EventID, by id.UserID, voters ...id.UserID) invites.Change {
			t.Helper()
			card, err := s.OpenCard(t.Context(), invites.Card{Kind: invites.CardKnock, Room: "!r:x", ShownIn: "!r:x", Command: knock, Action: room.Knock,
				Actor: bob, Target: bob, Votes: 1, State: invites.CardOpen})
			if err != nil {
				t.Fatal(err)
			}
			for _, voter := range voters {
				if _, err := s.CastVote(t.Context(), card.ID, invites.Vote{Voter: voter, Choice: invites.Accept, Event: "$vote"}); err != nil {
					t.Fatal(err)
				}
			}
			row := older(string(knock), room.Invite, by, bot)
			if _, err := s.CloseCard(t.Context(), invites.Closing{Card: card.ID, State: invites.CardAccepted, By: by, Row: &row}); err != nil {
				t.Fatal(err)
			}
			rows, err := s.ChangesOf(t.Context(), string(knock))
			if err != nil || len(rows) != 1 {
				t.Fatal(rows, err)
			}
			return rows[0]
		}
		key := bob.String()
		if _, err := s.Receive(t.Context(), []invites.Received{
			{Event: "$joined", Room: "!r:x", Sender: bob, Type: "m.room.member", StateKey: &key}, {Event: "$c", Room: "!r:x", Sender: alice, Type: "m.room.message"},
		}); err != nil {
			t.Fatal(err)
		}
		both := record(older("$both", room.Invite, alice, alice), older("$both", room.Join, bob, bob))
		for _, tt := range []struct {
			row    invites.Change
			origin invites.Origin
			event  id.EventID
		}{
			{record(older("$c", room.Invite, alice, bot))[0], invites.OriginCommand, "$c"},
			{record(older("$kick", room.Kick, alice, alice))[0], invites.OriginCommand, "$kick"},
			{record(older("$join", room.Join, bob, bob))[0], invites.OriginCommand, "$join"},
			{both[0], invites.OriginCommand, "$both"},
			{both[1], invites.OriginAutoJoin, "$both"},
			{closed("$knock1", alice, alice), invites.OriginCard, "$knock1"},
			{closed("$knock2", bot), invites.OriginKnock, "$knock2"},
			{record(older("$joined", room.Kick, bot, bot))[0], invites.OriginGuard, "$joined"},
			{record(older("expire:2026-11-28:$invited", policy.ActionExpire, bot, bot))[0], invites.OriginExpiry, ""},
		} {
			claimed, err := s.Claim(t.Context(), []int64{tt.row.ID}, time.UnixMilli(1), time.Minute)
			if err != nil || len(claimed) != 1 {
				t.Fatal(name, tt.row, claimed, err)
			}
			if got := claimed[0]; got.Origin != tt.origin || got.Command != tt.event || got.Request != tt.row.Request || got.Attempt != 1 {
				t.Errorf("%s: %s of %s: got %+v, want %s", name, tt.row.Action, tt.row.Request, got, tt.origin)
			}
			kept, err := s.ChangesOf(t.Context(), tt.row.Request)
			if err != nil || !slices.ContainsFunc(kept, func(c invites.Change) bool {
				return c.ID == tt.row.ID && c.Origin == tt.origin && c.Command == tt.event
			}) {
				t.Errorf("%s: the origin of %s is not kept: %+v %v", name, tt.row.Request, kept, err)
			}
		}
	}
}
