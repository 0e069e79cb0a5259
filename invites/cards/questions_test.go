package cards_test

import (
	"slices"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// TestDeciders: a card calls the people named by the power levels who may decide it, without the asker and the bot, and not more than ten.
func TestDeciders(t *testing.T) {
	w := newWorld(t)
	w.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"users": map[string]any{string(alice): 100, string(carol): 50, "@dora:here": 50, "@erin:here": 49, string(bot): 100}})
	list, err := w.Cards.Deciders(t.Context(), invites.Card{Room: lobby, Actor: carol, Target: bob, Level: 50})
	if err != nil || !slices.Equal(list, []id.UserID{alice, "@dora:here"}) {
		t.Errorf("%v %v", list, err)
	}
	if list, err = w.Cards.Deciders(t.Context(), invites.Card{Room: "!unseen:here", Level: 50}); err != nil || len(list) != 0 {
		t.Errorf("a room out of sight: %v %v", list, err)
	}
	many := map[string]any{string(alice): 100}
	for n := range 20 {
		many["@mod"+string(rune('a'+n))+":here"] = 50
	}
	w.HS.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"users": many})
	if list, err = w.Cards.Deciders(t.Context(), invites.Card{Room: lobby, Level: 50}); err != nil || len(list) != 10 || list[0] != alice {
		t.Errorf("%v %v", list, err)
	}
}
