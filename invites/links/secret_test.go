package links_test

import (
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/links"
)

// TestSecrets: guessing, a code of another link, and the code of somebody else's knock do not open a link.
func TestSecrets(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	l, secret := makeLink(t, w)
	other, otherSecret := makeLink(t, w)
	if got, err := w.Links.ByPage(ctx, secret); err != nil || got.ID != l.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.Links.ByCode(ctx, strings.ToLower(secret.Code())); err != nil || got.ID != l.ID {
		t.Errorf("%+v, %v", got, err)
	}
	for _, guess := range []string{"", "AAAAAAAAAAAAAAAAAAAAAAAA", string(secret)[1:], secret.Code(), string(secret) + "/"} {
		if _, err := w.Links.ByPage(ctx, links.Secret(guess)); !errors.Is(err, invites.ErrNotFound) {
			t.Errorf("%q opens: %v", guess, err)
		}
		if guess != secret.Code() {
			if _, err := w.Links.ByCode(ctx, guess); !errors.Is(err, invites.ErrNotFound) {
				t.Errorf("the code %q opens: %v", guess, err)
			}
		}
	}
	until := w.Clock.Now().Add(links.KnockFor)
	code := secret.KnockCode(l.ID, bob, until)
	if got, err := w.Links.ByKnock(ctx, bob, lobby, "please: "+code); err != nil || got.ID != l.ID {
		t.Errorf("%+v, %v", got, err)
	}
	for name, knock := range map[string]struct {
		user   id.UserID
		room   id.RoomID
		reason string
	}{
		"read by somebody else": {carol, lobby, code}, "another room": {bob, "!other:here", code}, "no code": {bob, lobby, "usher.1.2"},
		"a longer time": {bob, lobby, strings.Replace(code, "usher.", "usher.9", 1)}, "another link's": {bob, lobby, otherSecret.KnockCode(l.ID, bob, until)},
		"for another link": {bob, lobby, secret.KnockCode(other.ID, bob, until)},
	} {
		if _, err := w.Links.ByKnock(ctx, knock.user, knock.room, knock.reason); !errors.Is(err, invites.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Clock.Advance(2 * links.KnockFor)
	if _, err := w.Links.ByKnock(ctx, bob, lobby, code); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("an old code: %v", err)
	}
}
