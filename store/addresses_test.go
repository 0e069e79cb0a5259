package store_test

import (
	"reflect"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// testAddresses follows invitations of addresses from the event to their ends.
func testAddresses(t *testing.T, s Store) {
	event := func(n int, membership, token, name string) invites.MemberEvent {
		m := member(n, membership, "")
		m.Sender, m.Token, m.Name = asker, token, name
		return m
	}
	open := func(want ...string) {
		t.Helper()
		list, n, err := s.Addresses(t.Context(), lobby, 10)
		check(t, err)
		var got []string
		for _, a := range list {
			got = append(got, a.Token+" "+a.Name)
		}
		same(t, "open addresses", got, want)
		same(t, "their number", n, len(want))
	}
	first := event(1, invites.AddressInvited, "a", "a...@e...")
	observe(t, s, first, event(2, invites.AddressInvited, "b", "b...@e..."), event(3, invites.AddressInvited, "c", "c...@e..."))
	open("a a...@e...", "b b...@e...", "c c...@e...")
	got, n, err := s.Addresses(t.Context(), lobby, 1)
	check(t, err)
	same(t, "the first address", got, []invites.AddressInvitation{{Event: first.Event, Room: lobby, Token: "a", Sender: asker, Name: "a...@e...", At: first.SentAt}})
	same(t, "the number beyond the limit", n, 3)

	observe(t, s, event(4, invites.AddressGone, "b", ""))
	claimed := member(5, "invite", asker)
	claimed.ThirdParty, claimed.Token = true, "c"
	observe(t, s, claimed)
	open("a a...@e...")
	observe(t, s, event(3, invites.AddressInvited, "c", "c...@e...")) // the homeserver sends the transaction again
	open("a a...@e...")
	observe(t, s, event(6, invites.AddressInvited, "b", "b...@f...")) // somebody sets the event anew
	open("a a...@e...", "b b...@f...")
	check(t, s.EndAddresses(t.Context(), lobby, epoch))
	open()
	check(t, s.Clean(t.Context(), time.Now().Add(time.Hour)))
}

// testAddressAsked matches invitations of addresses with the requests that the homeserver asked about, each once.
func testAddressAsked(t *testing.T, s Store) {
	ask := func(request string, by id.UserID) {
		row := invites.Change{
			Origin: invites.OriginAddress, Request: request, Command: id.EventID(request), CommandRoom: lobby, Action: room.Invite, Room: lobby, Target: "@email/address:example.org",
			Actor: by, Performer: by, Status: invites.StatusOpen, Attempt: 1, CreatedAt: epoch, DueAt: epoch.Add(time.Minute), LeasedUntil: epoch.Add(time.Minute),
		}
		must(s.Record(t.Context(), []invites.Change{row}, nil))(t)
	}
	seen := func(request string) bool { return must(s.AddressSeen(t.Context(), request))(t) }
	ask("native:1", asker)
	ask("native:2", asker)
	ask("native:3", "@other:example.org")
	for n, token := range []string{"a", "b", "c"} {
		m := member(n+1, invites.AddressInvited, "")
		m.Sender, m.Token, m.SentAt, m.SeenAt = asker, token, epoch.Add(time.Second), epoch.Add(time.Second)
		observe(t, s, m)
		for i, request := range []string{"native:1", "native:2"} {
			same(t, token+" shows "+request, seen(request), n >= i)
		}
	}
	same(t, "an address of somebody else", seen("native:3"), false)
	same(t, "no request", seen(""), false)
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}
