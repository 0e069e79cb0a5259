package links_test

import (
	"errors"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
)

func TestLinkLimits(t *testing.T) {
	tests := []struct {
		name   string
		change func(*world, *links.Wish)
		code   string
	}{
		{"as it is", func(*world, *links.Wish) {}, ""},
		{"too many uses", func(_ *world, wish *links.Wish) { wish.Uses = 1001 }, "policy.links.max_uses"},
		{"too long", func(_ *world, wish *links.Wish) { wish.For = 91 * 24 * time.Hour }, "policy.links.max_age"},
		{"more uses than the policy allows", func(w *world, _ *links.Wish) { w.Govern(map[string]any{"links": map[string]any{"max_uses": 1}}) }, "policy.links.max_uses"},
		{"no links here", func(w *world, _ *links.Wish) { w.Govern(map[string]any{"links": map[string]any{"allow": false}}) }, "policy.links.allow"},
		{"by somebody without the power to invite", func(_ *world, wish *links.Wish) { wish.Maker = carol }, "invite.power"},
		{"by somebody outside", func(_ *world, wish *links.Wish) { wish.Maker = bob }, "invite.sender_not_joined"},
		{"into a room out of sight", func(_ *world, wish *links.Wish) { wish.Rooms = []id.RoomID{"!other:here"} }, "unknown.no_view"},
		{"no pages", func(w *world, _ *links.Wish) { w.Links.Address = "" }, "link.no_address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			wish := links.Wish{Maker: alice, Rooms: []id.RoomID{lobby}, Uses: 2}
			tt.change(w, &wish)
			_, _, err := w.Links.Create(t.Context(), wish)
			var refusal links.Refusal
			if errors.As(err, &refusal); refusal.Code != tt.code || (err == nil) != (tt.code == "") {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

// TestWhoSeesALink: its maker, and people with the power to kick.
func TestWhoSeesALink(t *testing.T) {
	w := newWorld(t)
	w.Give(map[string]any{string(alice): 100, string(carol): 50})
	l, _ := makeLink(t, w)
	for asker, sees := range map[id.UserID]bool{alice: true, carol: true, remote: false, bob: false} {
		if _, _, err := w.Links.Find(t.Context(), asker, l.ID); (err == nil) != sees {
			t.Errorf("%s: %v", asker, err)
		}
		if list, err := w.Links.List(t.Context(), asker, lobby); err != nil || (len(list) == 1) != sees {
			t.Errorf("%s lists %v, %v", asker, list, err)
		}
		if _, _, err := w.Links.NewSecret(t.Context(), asker, l.ID); (err == nil) != (asker == alice) {
			t.Errorf("%s gets the address: %v", asker, err)
		}
	}
	w.HS.Set(lobby, "m.room.name", "", alice, map[string]any{"name": "Lobby"})
	w.HS.Set(lobby, "m.room.topic", "", alice, map[string]any{"topic": "secret"})
	l.Shows = []string{invites.ShowName, invites.ShowMembers}
	rooms, maker, err := w.Links.Rooms(t.Context(), l, l.Rooms)
	if err != nil || rooms[0].Name != "Lobby" || rooms[0].Topic != "" || rooms[0].Members != 4 || rooms[0].Via[0] != "here" || maker.User != alice {
		t.Errorf("%+v %+v %v", rooms, maker, err)
	}
}
