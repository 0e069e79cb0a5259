package cards_test

import (
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// TestCardsAreLimited: nobody is asked for twice, and one command asks for so many at most.
func TestCardsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.court(1, nil)
	w.asked(t)
	if row := w.MustAsk(t, w.Request(t, dora, bob))[0]; row.Status != invites.StatusRefused || row.Code != invites.CodeAsked {
		t.Errorf("asked for again: %s %s (%s)", row.Status, row.Code, row.Detail)
	}
	var crowd []id.UserID
	for n := range 25 {
		crowd = append(crowd, id.UserID(fmt.Sprintf("@guest%d:there", n)))
	}
	refused := 0
	for _, row := range w.MustAsk(t, w.Request(t, dora, crowd...)) {
		if row.Code == invites.CodeTooMany {
			refused++
		}
	}
	if todo, err := w.DB.CardsTodo(t.Context(), invites.CardTodo{Limit: 1000}); err != nil || refused != 5 || len(todo) != 21 {
		t.Errorf("%d refused, %d cards, %v; want 5 and 21", refused, len(todo), err)
	}
}

// TestManyAskedFor: whoever asks for approval, over and over, has so many cards open at most, wherever they are.
func TestManyAskedFor(t *testing.T) {
	w := newWorld(t)
	w.court(1, nil)
	ask := func(who id.UserID, n int) (waiting int, codes map[string]bool) {
		var targets []id.UserID
		for i := range 20 {
			targets = append(targets, id.UserID(fmt.Sprintf("@guest%d-%d:there", n, i)))
		}
		codes = map[string]bool{}
		for _, row := range w.MustAsk(t, w.Request(t, who, targets...)) {
			if codes[row.Code] = true; row.Status == invites.StatusWaiting {
				waiting++
			}
		}
		return waiting, codes
	}
	for n := range 5 {
		if waiting, codes := ask(carol, n); waiting != 20 {
			t.Fatalf("command %d: %d wait: %v", n, waiting, codes)
		}
	}
	if waiting, codes := ask(carol, 5); waiting != 0 || !codes[invites.CodeTooMany] {
		t.Errorf("%d wait: %v", waiting, codes)
	}
	if waiting, _ := ask(dora, 6); waiting != 20 {
		t.Errorf("somebody else: %d wait", waiting)
	}
}

// TestApprovalDeskIsFull: so many requests about one room wait at most, and the refusal names both numbers.
func TestApprovalDeskIsFull(t *testing.T) {
	w := newWorld(t)
	w.court(1, nil)
	for n := range 400 {
		card := invites.Card{Kind: invites.CardApproval, Room: lobby, ShownIn: lobby, Command: id.EventID(fmt.Sprint("$", n)), Actor: id.UserID(fmt.Sprintf("@asker%d:there", n/100)),
			Target: id.UserID(fmt.Sprintf("@guest%d:there", n)), State: invites.CardOpen, ExpiresAt: w.Clock.Now().Add(time.Hour)}
		if _, err := w.DB.OpenCard(t.Context(), card); err != nil {
			t.Fatal(err)
		}
	}
	row := w.MustAsk(t, w.Request(t, dora, bob))[0]
	if row.Code != invites.CodeTooMany || row.Detail.Key != "detail.room_full" || row.Detail.Args["n"] != "400" {
		t.Errorf("%s %s (%v)", row.Status, row.Code, row.Detail)
	}
}
