package requests_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/links"
)

const dora = id.UserID("@dora:there")

// makeLink has alice make a link into the lobby.
func makeLink(t *testing.T, w *world, change ...func(*links.Wish)) (invites.Link, links.Secret) {
	t.Helper()
	wish := links.Wish{Maker: alice, Rooms: []id.RoomID{lobby}, Uses: 2, Welcome: "welcome"}
	for _, c := range change {
		c(&wish)
	}
	l, secret, err := w.Links.Create(t.Context(), wish)
	if err != nil {
		t.Fatal(err)
	}
	return l, secret
}

// use has a user use a link, and returns the outcomes.
func use(t *testing.T, w *world, l invites.Link, user id.UserID) string {
	t.Helper()
	_, rows, err := w.UseLink(t.Context(), l, user)
	if refusal := (links.Refusal{}); errors.As(err, &refusal) {
		return refusal.Code
	} else if err != nil {
		t.Fatal(err)
	}
	return invitestest.Outcomes(rows)
}

func TestUseLink(t *testing.T) {
	w := newWorld(t)
	l, _ := makeLink(t, w)
	for range 2 { // the second one changes nothing
		if got := use(t, w, l, bob); got != "done done" {
			t.Fatal(got)
		}
	}
	acts := w.HS.Acts()
	if len(acts) != 1 || acts[0].Performer != alice || acts[0].Target != bob || acts[0].Reason != "welcome" {
		t.Errorf("sent %v", acts)
	}
	w.Observe(t, "$invited", bob, alice, "invite")
	if entry, err := w.DB.PendingOf(t.Context(), lobby, bob); err != nil || entry.Inviter != alice || !strings.HasPrefix(string(entry.Command), invites.LinkRequest) {
		t.Errorf("in the ledger: %+v, %v", entry, err)
	}
	audit, err := w.DB.RecentAudit(t.Context(), invites.AuditQuery{Room: lobby}, 10)
	if err != nil || len(audit) == 0 || audit[0].Actor != alice {
		t.Errorf("in the audit: %+v, %v", audit, err)
	}
	if got := use(t, w, l, dora); got != "done done" {
		t.Error(got)
	}
	l, _ = w.DB.Link(t.Context(), l.ID)
	if got := use(t, w, l, "@erin:there"); got != invites.CodeLinkUsedUp {
		t.Error(got)
	}
	if got := use(t, w, l, bob); got != "done done" { // has used it
		t.Error(got)
	}
}

// TestDeadLinks: each use is judged by the state of the moment, in the name of the maker.
func TestDeadLinks(t *testing.T) {
	tests := []struct {
		name   string
		before func(*world, invites.Link)
		want   string // of a new user's use
		state  string
	}{
		{"works", func(*world, invites.Link) {}, "done done", ""},
		{"its maker was demoted", func(w *world, _ invites.Link) { w.Give(map[string]any{string(carol): 100}) }, "refused invite.power", "invite.power"},
		{"its maker is gone", func(w *world, _ invites.Link) { w.HS.Member(lobby, alice, "leave") }, "refused invite.sender_not_joined", "invite.sender_not_joined"},
		{"its maker is banned", func(w *world, _ invites.Link) { w.HS.Member(lobby, alice, "ban") }, "refused invite.sender_not_joined", "invite.sender_not_joined"},
		{"the policy takes no links", func(w *world, _ invites.Link) { w.Govern(map[string]any{"links": map[string]any{"allow": false}}) },
			"refused policy.links.allow", "policy.links.allow"},
		{"the policy wants a stronger maker", func(w *world, _ invites.Link) { w.Govern(map[string]any{"links": map[string]any{"level": 101}}) },
			"refused policy.links.level", "policy.links.level"},
		{"the policy takes no old links", func(w *world, _ invites.Link) {
			w.Govern(map[string]any{"links": map[string]any{"max_age": "1h"}})
			w.Clock.Advance(time.Hour)
		}, "refused policy.links.max_age", "policy.links.max_age"},
		{"the policy denies the user", func(w *world, _ invites.Link) {
			w.Govern(map[string]any{"whom": map[string]any{"deny_users": []string{"@dora:*"}}})
		}, "refused policy.whom.user_denied", ""},
		{"the user is banned", func(w *world, _ invites.Link) { w.HS.Member(lobby, dora, "ban") }, "refused invite.target_banned", ""},
		{"expired", func(w *world, l invites.Link) { w.Clock.Advance(l.ExpiresAt.Sub(l.CreatedAt)) }, invites.CodeLinkExpired, invites.CodeLinkExpired},
		{"revoked", func(w *world, l invites.Link) { _, _ = w.Links.Revoke(t.Context(), alice, l.ID) }, invites.CodeLinkRevoked, invites.CodeLinkRevoked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			l, _ := makeLink(t, w)
			tt.before(w, l)
			if got := use(t, w, l, dora); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			now, err := w.DB.Link(t.Context(), l.ID)
			if err != nil {
				t.Fatal(err)
			}
			if state, err := w.Links.State(t.Context(), now); err != nil || state.Code != tt.state || (state.Code == "") != state.Reason.Empty() {
				t.Errorf("state %+v, %v, want %s", state, err, tt.state)
			}
			if worked := tt.want == "done done"; (now.Used == 1) != worked || (len(w.HS.Acts()) == 1) != worked {
				t.Errorf("used %d times, sent %v", now.Used, w.HS.Acts())
			}
		})
	}
}

func TestLinkOpensSeveralRooms(t *testing.T) {
	w := newWorld(t)
	const club = id.RoomID("!club:here")
	w.HS.Create(club, "11", alice, carol)
	w.HS.Set(club, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "kick": 50, "users": map[string]any{string(alice): 100, string(carol): 50}})
	l, _ := makeLink(t, w, func(wish *links.Wish) { wish.Rooms = []id.RoomID{lobby, club} })
	if got := use(t, w, l, bob); got != "done done, done done" {
		t.Error(got)
	}
	// A moderator of one room ends the link there.
	if whole, err := w.Links.Revoke(t.Context(), carol, l.ID); err != nil || whole {
		t.Errorf("whole: %v, %v", whole, err)
	}
	l, _ = w.DB.Link(t.Context(), l.ID)
	if got := use(t, w, l, dora); got != "done done" || w.Membership(t, dora) != "invite" {
		t.Error(got)
	}
	if _, err := w.Links.Revoke(t.Context(), remote, l.ID); !errors.Is(err, invites.ErrNotFound) {
		t.Errorf("a stranger revokes: %v", err)
	}
}

func TestLinkWithApproval(t *testing.T) {
	w := newWorld(t)
	l, _ := makeLink(t, w, func(wish *links.Wish) { wish.Approve = true })
	if got := use(t, w, l, bob); got != "waiting "+invites.CodeLinkApproval {
		t.Fatal(got)
	}
	card, err := w.DB.CardNumbered(t.Context(), lobby, 1)
	if err != nil || !card.ByLink() || card.Actor != alice {
		t.Fatalf("card %+v, %v", card, err)
	}
	// The maker wants the vote, so the maker may vote.
	ballot, err := w.Cards.Vote(t.Context(), card, invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$vote", At: w.Clock.Now()})
	if err != nil || ballot.Card.State != invites.CardAccepted {
		t.Fatalf("ballot %+v, %v", ballot, err)
	}
	if row, err := w.Cards.CarryOut(t.Context(), ballot.Card); err != nil || row.Status != invites.StatusDone || w.Membership(t, bob) != "invite" {
		t.Errorf("row %+v, %v", row, err)
	}
	// Where the policy wants a vote, the maker is the asker.
	w.Govern(map[string]any{"approval": map[string]any{"required": true}})
	if got := use(t, w, l, dora); got != "waiting policy.approval.required" {
		t.Fatal(got)
	}
	card, _ = w.DB.CardNumbered(t.Context(), lobby, 2)
	if ballot, err := w.Cards.Vote(t.Context(), card, invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$own", At: w.Clock.Now()}); err != nil || ballot.Code != "vote.own" {
		t.Errorf("ballot %+v, %v", ballot, err)
	}
}

// TestRevokedInTheMeantime: a row of a link revoked since is not carried out.
func TestRevokedInTheMeantime(t *testing.T) {
	w := newWorld(t)
	l, _ := makeLink(t, w)
	w.HS.Before = func(invites.Effect) error {
		return &invites.ActError{Class: invites.ClassLater, RetryAfter: time.Minute, Status: 429}
	}
	_, rows, err := w.UseLink(t.Context(), l, bob)
	if err != nil || rows[0].Status != invites.StatusOpen {
		t.Fatalf("%+v, %v", rows, err)
	}
	w.HS.Before = nil
	w.Clock.Advance(2 * time.Minute)
	if _, err := w.Links.Revoke(t.Context(), alice, l.ID); err != nil {
		t.Fatal(err)
	}
	if end, err := invitestest.One(w.Delivery.Deliver(t.Context(), rows[0].ID)); err != nil || end.Code != invites.CodeLinkRevoked || len(w.HS.Acts()) != 1 {
		t.Errorf("ended as %+v, %v", end, err)
	}
}

// TestWantedByLink: a row is carried out as long as its link opens its room.
func TestWantedByLink(t *testing.T) {
	w := newWorld(t)
	l, _ := makeLink(t, w)
	use, _, err := w.UseLink(t.Context(), l, bob)
	if err != nil {
		t.Fatal(err)
	}
	wanted := func(request string, r id.RoomID) string {
		code, detail, err := w.Links.Wanted(t.Context(), invites.Change{Request: request, Room: r, Target: bob})
		if err != nil || (code == "") != detail.Empty() {
			t.Errorf("%q %+v %v", code, detail, err)
		}
		return code
	}
	if code := wanted(links.Request(use, lobby), lobby); code != "" {
		t.Error("a row of the link:", code)
	}
	if code := wanted(links.Request(use, "!other:here"), "!other:here"); code != invites.CodeLinkRevoked {
		t.Error("a room that the link does not open:", code)
	}
	if code := wanted("$command", lobby); code != invites.CodeLinkUnknown {
		t.Error("a row of no link:", code)
	}
	use.Link++
	if code := wanted(links.Request(use, lobby), lobby); code != invites.CodeLinkUnknown {
		t.Error("a link that does not exist:", code)
	}
	if _, err := w.Links.Revoke(t.Context(), alice, l.ID); err != nil {
		t.Fatal(err)
	}
	use.Link--
	if code := wanted(links.Request(use, lobby), lobby); code != invites.CodeLinkRevoked {
		t.Error("a revoked link:", code)
	}
}

// TestKnockByLink: a knock with a code lets its user in, and nobody else.
func TestKnockByLink(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	l, secret := makeLink(t, w)
	w.HS.Set(lobby, "m.room.join_rules", "", alice, map[string]any{"join_rule": "knock"})
	code := secret.KnockCode(l.ID, dora, w.Clock.Now().Add(links.KnockFor))
	w.HS.Member(lobby, bob, "knock")
	if used, err := w.UseKnock(ctx, bob, lobby, code); used || err != nil || w.Membership(t, bob) != "knock" {
		t.Errorf("with somebody else's code: %v, %v", used, err)
	}
	w.HS.Member(lobby, dora, "knock")
	if used, err := w.UseKnock(ctx, dora, lobby, code); !used || err != nil || w.Membership(t, dora) != "invite" {
		t.Errorf("with the own code: %v, %v", used, err)
	}
	// A code that is used again, as after a kick, opens nothing more.
	w.HS.Member(lobby, dora, "knock")
	w.Clock.Advance(10 * time.Minute)
	if used, err := w.UseKnock(ctx, dora, lobby, code); used || err != nil || w.Membership(t, dora) != "knock" || len(w.HS.Acts()) != 1 {
		t.Errorf("again: %v, %v", used, err)
	}
}
