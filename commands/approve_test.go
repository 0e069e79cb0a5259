package commands

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/cards"
	"usher/policy"
	"usher/room"
)

const dora = id.UserID("@dora:here")

// newCourt is a runner over a lobby where carol's invitations need approval, and knocks are received.
func newCourt(t *testing.T) *Runner {
	t.Helper()
	d, hs := newRunner(t)
	hs.Member(lobby, dora, "join")
	hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 0, "users": map[string]any{string(alice): 100, string(dora): 50}})
	hs.Set(lobby, policy.EventType, "", alice, map[string]any{
		"version": 1, "approval": map[string]any{"required": true}, "knocks": map[string]any{"desk": true},
	})
	d.Chat = voting{d}
	if _, reply := say(t, d, lobby, carol, "!invite @bob:here"); !reply.Progress || !strings.Contains(reply.Text.String(), "policy.approval.required") {
		t.Fatalf("asking is answered %q", reply.Text.String())
	}
	for n := range 3 {
		user := id.UserID(fmt.Sprintf("@guest%d:there", n))
		hs.Member(lobby, user, "knock")
		_, err := (&cards.Knocks{Cards: d.Cards, Store: d.Cards.Store.(cards.KnockStore)}).Receive(t.Context(), cards.Knock{Event: id.EventID("$" + user), Room: lobby, User: user, Reason: "hello"})
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// voting is a chat with votes.
type voting struct{ *Runner }

func (voting) DirectWith(id.RoomID) id.UserID { return "" }

func (voting) Retry(id.RoomID) bool { return false }

func (voting) Besides(context.Context, Message, Reply) error { return nil }

func (voting) Knocking(context.Context, id.RoomID) error { return nil }

func (voting) Settled(context.Context, id.RoomID) error { return nil }

func (voting) Beside(ctx context.Context, _ invites.Received, rest func(context.Context) (Reply, error)) (Reply, error) {
	return rest(ctx)
}

func (v voting) Voted(ctx context.Context, b cards.Ballot) error {
	_, err := v.Cards.CarryOut(ctx, b.Card)
	return err
}

func TestCardCommands(t *testing.T) {
	tests := []struct {
		sender id.UserID
		text   string
		react  string
		has    string // the notice has; empty: there is none
	}{
		{dora, "!approve 1", "✅", ""},
		{dora, "!approve #1", "✅", ""},
		{dora, "!approve 1-3", "✅", ""},
		{dora, "!approve 1 9", "✅", "There is no card #9 here. (vote.no_card)"},
		{dora, "!deny 1 we know him", "✅", ""},
		{dora, "!deny --ban 2", "✅", ""},
		{dora, "!deny 1 --ban", "", "vote.ban"},
		{carol, "!approve 1", "", "vote.own"},
		{carol, "!approve 2", "", "Deciding needs power level 50 in the room, and you have 0. (vote.power)"},
		{dora, "!approve", "", "Usage: !approve <number>"},
		{dora, "!approve bob", "", "Usage: !approve <number>"},
		{dora, "!approve 1 for sure", "", "I don't understand “for”"},
		{dora, "!approve 1-9999", "", "200 cards at most"},
		{dora, "!approve 3-1", "", "Usage: !approve"},
		{dora, "!approve 1 !other:here", "", "There is no card #1 here"},
		{dora, "!knocks", "", "3 people knocking:\n#2 @guest0:there, just now: “hello”"},
		{carol, "!knocks accept all", "", "To accept exactly these, say !knocks accept 2-4."},
		{dora, "!knocks accept 2 4", "✅", ""},
		{carol, "!knocks accept 2", "", "vote.power"},
		{carol, "!knocks of spring", "", "I don't understand “of”"},
		{carol, "!knocks !other:here", "", "rooms that you are in"},
		{alice, "!invite @bob:here please", "", "asked for that already; it waits for approval as #1. (approval.asked)"},
	}
	for _, tt := range tests {
		t.Run(tt.text+" by "+string(tt.sender), func(t *testing.T) {
			d := newCourt(t)
			_, reply := say(t, d, lobby, tt.sender, tt.text)
			if got := reply.Text.String(); reply.React != tt.react || (tt.has == "") != (got == "") || !strings.Contains(got, tt.has) {
				t.Errorf("reaction %q, notice %q; want %q and %q", reply.React, got, tt.react, tt.has)
			}
		})
	}
}

func TestNobodyKnocks(t *testing.T) {
	d := newCourt(t)
	say(t, d, lobby, dora, "!deny 2-4")
	if _, reply := say(t, d, lobby, dora, "!knocks"); reply.Text.String() != "Nobody knocks." {
		t.Errorf("got %q", reply.Text.String())
	}
	if _, reply := say(t, d, lobby, dora, "!approve 2"); !strings.Contains(reply.Text.String(), "vote.closed") {
		t.Errorf("got %q", reply.Text.String())
	}
}

func TestCardWords(t *testing.T) {
	d, _ := newRunner(t)
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	approval := invites.Card{
		Number: 7, Kind: invites.CardApproval, Room: lobby, ShownIn: "!office:here", Actor: carol, Target: "@bob:here", Performer: carol,
		Reason: "a <b>friend</b> @room", Votes: 2, Level: 50, ExpiresAt: at, State: invites.CardOpen,
	}
	knock := invites.Card{
		Number: 8, Kind: invites.CardKnock, Room: lobby, ShownIn: lobby, Actor: "@g:there", Target: "@g:there", Remark: room.Say("text", "text", "A policy list bans them."),
		Votes: 1, Level: 50, State: invites.CardOpen,
	}
	closed := func(c invites.Card, state invites.CardState, code string) invites.Card {
		c.State, c.Code, c.ClosedBy, c.Answer = state, code, dora, "because"
		return c
	}
	row := func(s invites.Status, code, detail string) invites.Change {
		return invites.Change{ID: 1, Status: s, Code: code, Detail: room.ReadPhrase(detail)}
	}
	tests := map[string]struct {
		got  Reply
		want string
	}{
		"approval": {d.Card(approval, 1, 0), "🗳 #7: @carol:here asks to invite @bob:here at the room !lobby:here. Reason: “a <b>friend</b> @\u2060room”. " +
			"All other rules allow it; they would send it themselves.\nTo decide, react ✅ or ❌, or say !approve 7 or !deny 7 [reason]. " +
			"2 votes that agree decide, of people with power level 50 or more in the room. Open until 03:04 UTC on 2 January.\nSo far: 1 × ✅, 0 × ❌."},
		"knock": {d.Card(knock, 0, 0), "🚪 #8: @g:there knocks. I would not have let them in: a policy list bans them.\n" +
			"To decide, react ✅ or ❌ (or 🚫 to decline and ban), or say !approve 8 or !deny 8 [reason]. " +
			"One vote decides, of somebody with power level 50 or more in the room."},
		"accepted": {d.Verdict(closed(approval, invites.CardAccepted, ""), row(invites.StatusDone, "done", "")),
			"@bob:here: ✅ Accepted by @dora:here, the last of 2 votes: “because”."},
		"accepted in vain": {d.Closed(closed(knock, invites.CardAccepted, ""), row(invites.StatusRefused, "invite.power", "Inviting needs power.")),
			"🚪 #8: @g:there knocks. I would not have let them in: a policy list bans them.\n✅ Accepted by @dora:here: “because”. " +
				"But nothing came of it: inviting needs power. (invite.power)"},
		"accepted, later": {d.Verdict(closed(approval, invites.CardAccepted, ""), row(invites.StatusOpen, "M_LIMIT_EXCEEDED", "")),
			"@bob:here: ✅ Accepted by @dora:here, the last of 2 votes: “because”. It is on its way."},
		"declined": {d.Verdict(closed(approval, invites.CardDeclined, ""), row(invites.StatusRefused, invites.CodeDenied, "No.")),
			"@bob:here: ❌ Declined by @dora:here, the last of 2 votes: “because”."},
		"expired": {d.Verdict(closed(approval, invites.CardExpired, ""), row(invites.StatusRefused, invites.CodeExpired, "Nobody decided in time.")),
			"@bob:here: ⌛ Nobody decided in time. (approval.expired)"},
		"removed": {d.Verdict(closed(approval, invites.CardCancelled, invites.CodeRemoved), row(invites.StatusCancelled, "", "")),
			"@bob:here: Not asked any more: the request for approval was removed. (approval.removed)"},
		"taken back": {d.Verdict(closed(approval, invites.CardCancelled, invites.CodeRedacted), invites.Change{}), ""},
		"a knock":    {d.Verdict(closed(knock, invites.CardAccepted, ""), invites.Change{}), ""},
	}
	for name, tt := range tests {
		if got := tt.got.Text.String(); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tt.want)
		}
	}
	if html := tests["approval"].got.Notice(Message{}).FormattedBody; strings.Contains(html, "<b>") {
		t.Errorf("what people wrote is not escaped: %s", html)
	}
}
