package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/ledger"
	"usher/policy"
	"usher/room"
)

const (
	mod  = id.UserID("@mod:here")
	bans = id.RoomID("!bans:here")
)

// standing is a world with a lobby that has a moderator, and a policy list.
func standing(t *testing.T, fields map[string]any) *world {
	t.Helper()
	w := newWorld(t)
	w.HS.Create(bans, "11", alice, bot)
	w.HS.Member(lobby, mod, "join")
	w.Give(map[string]any{alice.String(): 100, bot.String(): 60, mod.String(): 50})
	if fields != nil {
		w.Govern(fields)
	}
	return w
}

// invited puts open invitations by a user into the room and the ledger.
func (w *world) invited(t *testing.T, by id.UserID, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		target := id.UserID(fmt.Sprintf("@guest%d:there", n))
		w.HS.Set(lobby, "m.room.member", target.String(), by, map[string]any{"membership": "invite"})
		snap, err := w.HS.Snapshot(t.Context(), lobby, alice, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		event, _ := snap.Event(room.MemberKey(target))
		w.Observe(t, event.ID, target, by, "invite")
	}
}

func (w *world) rule(entity string) {
	w.HS.Set(bans, "m.policy.rule.user", entity, alice, map[string]any{"entity": entity, "recommendation": "m.ban", "reason": "spam"})
}

// review reviews the lobby as chat does, and returns what it found, in words, and how many invitations stand.
func (w *world) review(t *testing.T) (found string, open int) {
	t.Helper()
	review, err := w.Ledger.Reviews.Review(t.Context(), lobby)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	if review.Unreadable != "" {
		all = append(all, "unreadable "+string(review.Unreadable))
		if err := w.Ledger.Reviews.ToldUnreadable(t.Context(), lobby, review.Unreadable); err != nil {
			t.Fatal(err)
		}
	}
	for _, turn := range review.Turns {
		all = append(all, fmt.Sprintf("%s %d %s %s", turn.Code, len(turn.Invitations), turn.Done, turn.Why))
		if turn.Done == ledger.Asked {
			if err := w.Ledger.Reviews.Ask(t.Context(), &turn, room.Say("text", "text", "why")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Ledger.Reviews.Told(t.Context(), turn); err != nil {
			t.Fatal(err)
		}
		for _, row := range turn.Rows {
			if _, err := invitestest.One(w.Delivery.Deliver(t.Context(), row)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return strings.Join(all, ", "), w.open(t)
}

// open counts the open invitations of the lobby, and has the ledger see those that ended.
func (w *world) open(t *testing.T) (n int) {
	t.Helper()
	entries, _, err := w.DB.Pending(t.Context(), lobby, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if w.Membership(t, e.Target) == "invite" {
			n++
			continue
		}
		snap, err := w.HS.Snapshot(t.Context(), lobby, alice, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		event, _ := snap.Event(room.MemberKey(e.Target))
		w.Observe(t, event.ID, e.Target, event.Sender, "leave")
	}
	return n
}

func (w *world) found(t *testing.T, want string, stand int) {
	t.Helper()
	if got, open := w.review(t); strings.TrimSpace(got) != want || open != stand {
		t.Errorf("found %q with %d open, want %q with %d", got, open, want, stand)
	}
}

// TestTurnInviterBanned: what somebody who is banned has asked for is withdrawn, told or left, as the policy and its author may.
func TestTurnInviterBanned(t *testing.T) {
	on := func(words ...string) map[string]any {
		return map[string]any{"pending": map[string]any{"withdraw_on": append([]string{}, words...)}}
	}
	for name, tt := range map[string]struct {
		fields map[string]any
		change func(w *world)
		ban    string // membership of the inviter
		want   string
		stand  int
	}{
		"by default":                 {map[string]any{"ask": map[string]any{"level": 0}}, nil, "ban", "withdraw.inviter_banned 3 withdrawing", 1},
		"as the policy says":         {on("inviter_banned"), nil, "ban", "withdraw.inviter_banned 3 withdrawing", 1},
		"told where it is not":       {on(), nil, "ban", "withdraw.inviter_banned 3 left", 4},
		"told without a policy":      {nil, nil, "ban", "withdraw.inviter_banned 3 left", 4},
		"nothing after a leave":      {map[string]any{"ask": map[string]any{"level": 0}}, nil, "leave", "", 4},
		"a leave as the policy says": {on("inviter_left"), nil, "leave", "withdraw.inviter_left 3 withdrawing", 1},
		"the author may not kick": {on("inviter_banned"), func(w *world) {
			w.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"users": map[string]any{bot.String(): 60, "@owner:here": 100, alice.String(): 50}, "kick": 55})
		}, "ban", "withdraw.inviter_banned 3 left guard.author", 4},
		"the bot may not kick": {on("inviter_banned"), func(w *world) {
			w.Give(map[string]any{alice.String(): 100, bot.String(): 40})
		}, "ban", "withdraw.inviter_banned 3 left guard.power", 4},
	} {
		t.Run(name, func(t *testing.T) {
			w := standing(t, tt.fields)
			w.invited(t, mod, 0, 3)
			w.invited(t, alice, 3, 4)
			w.found(t, "", 4)
			if tt.change != nil {
				tt.change(w)
			}
			w.HS.Member(lobby, mod, tt.ban)
			w.found(t, tt.want, tt.stand)
			w.found(t, "", tt.stand) // once
			if tt.stand == 1 {
				act := w.HS.Acts()[0]
				if act.Action != room.Kick || act.Performer != bot || act.Because.Key != "because.inviter_gone" {
					t.Errorf("sent %+v", act)
				}
			}
		})
	}
}

// TestTurnListed: a rule that is newer than the invitation ends it, unless the policy exempts the invitee; a list that can't be read is told once.
func TestTurnListed(t *testing.T) {
	w := standing(t, map[string]any{"whom": map[string]any{"lists": []any{bans}, "except_users": []string{"@guest2:there"}}})
	w.invited(t, mod, 0, 4)
	w.found(t, "", 4)
	w.rule("@guest1:*")
	w.rule("@guest2:*")
	w.found(t, "withdraw.listed 1 withdrawing", 3)
	w.found(t, "", 3)
	if act := w.HS.Acts()[0]; act.Target != "@guest1:there" || act.Because.Key != "because.listed" {
		t.Errorf("sent %+v", act)
	}
	w.HS.Drop(bans)
	w.found(t, "unreadable !bans:here", 3)
	w.found(t, "", 3)
	w.HS.Create(bans, "11", alice, bot)
	w.found(t, "", 3)
	w.HS.Drop(bans)
	w.found(t, "unreadable !bans:here", 3)
}

// TestTurnDenied: a field that denies and is newer than the invitation ends it where the policy says so; else the room is told.
func TestTurnDenied(t *testing.T) {
	for name, whom := range map[string]map[string]any{
		"user": {"deny_users": []string{"@GUEST1:*"}}, "server": {"deny_servers": []string{"THERE."}},
	} {
		for _, wanted := range []bool{false, true} {
			w := standing(t, map[string]any{"ask": map[string]any{"level": 0}})
			w.invited(t, mod, 1, 2)
			w.found(t, "", 1)
			fields := map[string]any{"whom": whom}
			if w.Govern(fields); wanted {
				fields["pending"] = map[string]any{"withdraw_on": []string{"denied"}}
				w.Govern(fields)
				w.found(t, "withdraw.denied 1 withdrawing", 0)
				if act := w.HS.Acts()[0]; act.Because.Key != "because.denied" {
					t.Errorf("%s: sent %+v", name, act)
				}
				continue
			}
			w.found(t, "withdraw.denied 1 left", 1)
			w.found(t, "", 1)
		}
	}
}

// TestTurnToldThenWanted: what was only told is withdrawn once the policy wants it.
func TestTurnToldThenWanted(t *testing.T) {
	w := standing(t, map[string]any{"pending": map[string]any{"withdraw_on": []string{}}})
	w.invited(t, mod, 0, 2)
	w.HS.Member(lobby, mod, "ban")
	w.found(t, "withdraw.inviter_banned 2 left", 2)
	w.Govern(map[string]any{"pending": map[string]any{"withdraw_on": []string{"inviter_banned"}}})
	w.found(t, "withdraw.inviter_banned 2 withdrawing", 0)
}

// TestTurnBrake: many at once are asked about, by a card on which people who may kick decide, and whose withdrawals are the voter's.
func TestTurnBrake(t *testing.T) {
	for name, tt := range map[string]struct {
		invited, turned int
		brakes          bool
	}{
		"few, though all": {5, 5, false}, "more than half": {10, 6, true}, "half": {12, 6, false}, "twenty of many": {60, 20, false}, "more than twenty": {60, 21, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := standing(t, map[string]any{"ask": map[string]any{"level": 0}})
			w.invited(t, mod, 0, tt.turned)
			w.invited(t, alice, tt.turned, tt.invited)
			w.HS.Member(lobby, mod, "ban")
			if !tt.brakes {
				w.found(t, fmt.Sprintf("withdraw.inviter_banned %d withdrawing", tt.turned), tt.invited-tt.turned)
				return
			}
			w.found(t, fmt.Sprintf("withdraw.inviter_banned %d asked", tt.turned), tt.invited)
			w.found(t, "", tt.invited)
			open, err := w.DB.OpenCards(t.Context(), invites.CardQuery{Kind: invites.CardWithdraw, Room: lobby})
			if err != nil || len(open) != 1 {
				t.Fatal(err, open)
			}
			if ballot, err := w.Cards.Vote(t.Context(), open[0], invites.Vote{Voter: carol, Choice: invites.Accept, Room: lobby, Event: "$carol"}); err != nil || ballot.Code == "" {
				t.Errorf("somebody without power decides: %v %+v", err, ballot)
			}
			w.HS.Set(lobby, "m.room.message", "$vote", alice, map[string]any{})
			ballot, err := w.Cards.Vote(t.Context(), open[0], invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$alice"})
			if err != nil || ballot.Card.State != invites.CardAccepted {
				t.Fatal(err, ballot)
			}
			if _, err := w.Cards.CarryOut(t.Context(), ballot.Card); err != nil {
				t.Fatal(err)
			}
			rows, err := w.DB.ChangesOf(t.Context(), string(ballot.Card.Command))
			if err != nil || len(rows) != tt.turned || rows[0].Actor != alice {
				t.Fatal(err, rows)
			}
			for _, row := range rows {
				if row.Status == invites.StatusOpen {
					if _, err := w.Delivery.Deliver(t.Context(), row.ID); err != nil {
						t.Fatal(err)
					}
				}
			}
			if open := w.open(t); open != tt.invited-tt.turned {
				t.Errorf("%d open", open)
			}
		})
	}
	t.Run("one after the other", func(t *testing.T) {
		w := standing(t, map[string]any{"whom": map[string]any{"lists": []any{bans}}})
		w.HS.Clock = nil
		w.invited(t, mod, 0, 60)
		for n := range 20 {
			w.rule(fmt.Sprintf("@guest%d:*", n))
			w.found(t, "withdraw.listed 1 withdrawing", 59-n)
		}
		w.rule("@guest20:*")
		w.found(t, "withdraw.listed 1 asked", 40)
		w.Clock.Advance(2 * time.Hour)
		w.rule("@guest21:*")
		w.found(t, "withdraw.listed 1 withdrawing", 39)
	})
	t.Run("a list that bans most members", func(t *testing.T) {
		w := standing(t, map[string]any{"whom": map[string]any{"lists": []any{bans}}})
		w.invited(t, alice, 0, 1)
		w.rule("@*:*")
		w.found(t, "withdraw.listed 1 asked", 1)
	})
}

// TestTurnOver: a withdrawal that waits is not carried out once what spoke against the invitation is over.
func TestTurnOver(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"unbanned":            func(w *world) { w.HS.Member(lobby, mod, "join") },
		"not wanted any more": func(w *world) { w.Govern(map[string]any{"pending": map[string]any{"withdraw_on": []string{}}}) },
		"accepted":            func(w *world) { w.HS.Member(lobby, "@guest0:there", "join") },
		"renewed by another": func(w *world) {
			w.HS.Set(lobby, "m.room.member", "@guest0:there", alice, map[string]any{"membership": "invite"})
		},
		"the author lost power": func(w *world) { w.Give(map[string]any{"@owner:here": 100, bot.String(): 60, alice.String(): 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := standing(t, map[string]any{"pending": map[string]any{"withdraw_on": []string{"inviter_banned"}}})
			w.invited(t, mod, 0, 1)
			w.HS.Member(lobby, mod, "ban")
			review, err := w.Ledger.Reviews.Review(t.Context(), lobby)
			if err != nil || len(review.Turns) != 1 || len(review.Turns[0].Rows) != 1 {
				t.Fatal(err, review)
			}
			change(w)
			before := w.Membership(t, "@guest0:there")
			outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), review.Turns[0].Rows[0]))
			if err != nil || outcome.Status != invites.StatusRefused || outcome.Code != string(policy.CodeStands) || w.Membership(t, "@guest0:there") != before {
				t.Errorf("%v %+v, now %s", err, outcome, w.Membership(t, "@guest0:there"))
			}
		})
	}
}
