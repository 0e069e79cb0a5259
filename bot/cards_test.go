package bot

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/appservice"
	"usher/commands"
)

// TestCardIsClosedEverywhere: who learned of a command's card, by word or from the inbox after words were missed, learns that it is
// closed.
func TestCardIsClosedEverywhere(t *testing.T) {
	b, _ := newBot(t)
	b.wire = newSharedWire(t)
	b.store, b.port = b.wire.store, b.wire.store
	b.cards = appservice.NewCards()
	b.cards.Share = func(card, vote id.EventID) { b.wire.tell(b.ctx, wordCard, string(card), string(vote)) }
	other := &bot{ctx: t.Context(), log: b.log, store: b.store, wire: newWire(b.store, b.log), cards: appservice.NewCards()}
	begun, heard := make(chan struct{}), make(chan struct{}, 10)
	go func() {
		_ = b.store.Listen(t.Context(), func() { close(begun) }, func(text string) {
			other.hear(t.Context(), text)
			heard <- struct{}{}
		})
	}()
	<-begun
	ev := receive(t, b, "!ping")
	ev.Answer = "$card"
	if err := b.store.SetAnswer(t.Context(), ev.Event, ev.Answer); err != nil {
		t.Fatal(err)
	}
	b.cards.Open("$card")
	<-heard
	if !other.cards.Close("$card") {
		t.Error("not heard of")
	}
	if err := other.loadCards(t.Context()); err != nil || !other.cards.Vote("$card", "$vote") {
		t.Errorf("not read from the inbox: %v", err)
	}
	var reply commands.Reply
	reply.Text.Say("Done.")
	if err := b.answer(t.Context(), ev, commands.Message{}, reply); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
	}
	if other.cards.Close("$card") {
		t.Error("it stays open elsewhere")
	}
	if err := other.loadCards(t.Context()); err != nil || other.cards.Close("$card") {
		t.Errorf("it is read from the inbox again: %v", err)
	}
}
