package links

import (
	"context"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Personal makes and names links for one person.
type Personal struct{ *Links }

// Personal returns a link for one person whom its maker invites to a room now, not yet stored and without a secret. It counts as an invitation
// does: a spent quota refuses it. The error is a Refusal where the maker may not have it.
func (s Personal) Personal(ctx context.Context, maker id.UserID, r id.RoomID) (invites.Link, error) {
	w := Wish{Maker: maker, Rooms: []id.RoomID{r}, Uses: 1, Shows: []string{invites.ShowName, invites.ShowTopic, invites.ShowPicture}}
	return s.planned(ctx, w, func(code room.Rule) bool {
		return aboutTarget(code) && !strings.HasPrefix(string(code), "policy.quota.")
	})
}

// Fresh makes a secret: the address of its page, and the secret as the store has it.
func (s Personal) Fresh() (address string, stored invites.LinkSecret) {
	secret := newSecret()
	return s.Page(secret), secret.stored()
}

// Named returns the names that tell whose link it is and where it leads: of its first room, as far as the maker shows it, and of the maker. Both
// may be empty. The error is a Refusal where the link does not work any more.
func (s Personal) Named(ctx context.Context, link int64) (roomName, makerName string, err error) {
	l, err := s.Store.Link(ctx, link)
	if err != nil {
		return "", "", err
	}
	state, err := s.State(ctx, l)
	if err != nil {
		return "", "", err
	}
	if state.Code != "" {
		return "", "", Refusal{Code: state.Code, Phrase: state.Reason}
	}
	rooms, maker, err := s.Rooms(ctx, l, state.Rooms[:1])
	if err != nil {
		return "", "", err
	}
	return rooms[0].Name, maker.Name, nil
}
