package inbound_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/inbound"
	"usher/room"
)

// sweep sweeps a minute later, and returns the rows by which invitees decline.
func (g *gate) sweep(t *testing.T) (declined []invites.Change) {
	t.Helper()
	g.clock.Advance(time.Minute)
	g.woken = nil
	if err := g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(g.woken) == 0 {
		return nil
	}
	declined, err := g.db.Claim(t.Context(), g.woken, g.clock.Now(), time.Minute)
	if err != nil || len(declined) != len(g.woken) {
		t.Fatal(declined, err)
	}
	return declined
}

// TestDecline: open invitations of a sender who is blocked later are declined for the invitees, unless they expect the sender or share a room.
func TestDecline(t *testing.T) {
	g := newGate(t, defaults())
	for n := range 4 {
		g.expect(t, g.may(t, "@spam:far", local(n), "!spam room:far"), "")
	}
	g.expect(t, g.may(t, "@honest:far", local(1), "!honest:far"), "")
	g.expect(t, g.may(t, "@neighbour:here", local(1), "!local:here"), "")
	if err := g.Expect(t.Context(), local(2), "@spam:far"); err != nil {
		t.Fatal(err)
	}
	now := g.clock.Now()
	for i, user := range []id.UserID{"@spam:far", local(3)} {
		for j, membership := range []string{"invite", "join"} {
			_, err := g.db.Receive(t.Context(), nil, invites.MemberEvent{Event: id.EventID(fmt.Sprint("$", i, j)), Room: "!shared:here", Target: user,
				Sender: "@owner:here", Membership: membership, SentAt: now, SeenAt: now})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if rows := g.sweep(t); rows != nil {
		t.Error("declined before the sender is blocked:", rows)
	}
	g.Lists = lists{user: "@spam:far"}
	rows := g.sweep(t)
	if len(rows) != 2 || rows[0].Target != local(0) || rows[1].Target != local(1) {
		t.Fatalf("declined: %+v", rows)
	}
	row := rows[1]
	if row.Action != room.Leave || row.Room != "!spam room:far" || row.Actor != row.Target || row.Performer != row.Target || row.Origin != invites.OriginInbound || row.Code != inbound.CodeListed {
		t.Errorf("%+v", row)
	}
	if got := g.Refused(local(1), 9); len(got) != 1 || got[0].Code != inbound.CodeDeclined || got[0].Sender != "@spam:far" {
		t.Error("for the invitee:", got)
	}
	wanted := func(want string) {
		t.Helper()
		code, detail, err := g.Wanted(t.Context(), row)
		if err != nil || code != want || (code == "") != detail.Empty() {
			t.Errorf("wanted: %q %v, want %q", code, err, want)
		}
	}
	wanted("")
	in := row.Room
	row.Room = "!joined:far"
	wanted(inbound.CodeStands) // the invitee has joined meanwhile
	row.Room = in
	g.Lists = lists{}
	wanted(inbound.CodeStands)
	g.Lists = lists{user: "@spam:far"}
	if err := g.Expect(t.Context(), local(1), "@spam:far"); err != nil {
		t.Fatal(err)
	}
	wanted(inbound.CodeStands)
	if rows := g.sweep(t); rows != nil {
		t.Error("declined twice:", rows)
	}
	g.clock.Advance(8 * 24 * time.Hour)
	g.Lists = lists{all: "!list:here"}
	if rows := g.sweep(t); rows != nil {
		t.Error("declined after a week:", rows)
	}
	if code, _, err := (inbound.Off{}).Wanted(t.Context(), row); code != inbound.CodeStands || err != nil {
		t.Error("while the protection is off:", code, err)
	}
}

// TestDeclineWithoutAssertion: nobody is acted for where Usher may not.
func TestDeclineWithoutAssertion(t *testing.T) {
	g := newGate(t, defaults())
	g.Self.Assert = false
	g.expect(t, g.may(t, "@spam:far", local(1), "!a"), "")
	g.Self.Assert = true
	g.Lists = lists{user: "@spam:far"}
	if rows := g.sweep(t); rows != nil {
		t.Error(rows)
	}
}

// TestDeclineBrake: of many invitations none is declined, unless operators themselves have banned the senders; known senders of a blocked server keep
// theirs.
func TestDeclineBrake(t *testing.T) {
	rules := defaults()
	rules.Sender.People, rules.Room.People, rules.Server.People, rules.Rush.People, rules.BanList = 1000, 0, 0, 0, "!bans:here"
	g := newGate(t, rules)
	for n := range 21 {
		g.expect(t, g.may(t, "@spam:far", local(n), "!a"), "")
	}
	g.Lists = lists{all: "!theirs:there"}
	if rows := g.sweep(t); rows != nil || g.Held() != 21 {
		t.Error("declined:", len(rows), "held:", g.Held())
	}
	g.Lists = lists{all: "!bans:here"}
	if rows := g.sweep(t); len(rows) != 21 || g.Held() != 0 {
		t.Error("declined:", len(rows), "held:", g.Held())
	}
	g.Lists = lists{}
	for n := range 15 {
		g.expect(t, g.may(t, "@more:far", local(n), "!b"), "")
	}
	g.Lists = lists{user: "@more:far"}
	if rows := g.sweep(t); len(rows) != 15 {
		t.Error("declined:", len(rows))
	}
	g.Lists = lists{}
	for n := range 6 {
		g.expect(t, g.may(t, "@third:far", local(n), "!c"), "")
	}
	g.Lists = lists{user: "@third:far"}
	if rows := g.sweep(t); rows != nil || g.Held() != 6 { // with those of the last hour, too many
		t.Error("declined:", len(rows), "held:", g.Held())
	}
	g.clock.Advance(time.Hour)
	if rows := g.sweep(t); len(rows) != 6 {
		t.Error("declined:", len(rows))
	}

	g.Lists = lists{}
	g.expect(t, g.may(t, "@old:far", local(0), "!d"), "")
	g.clock.Advance(25 * time.Hour)
	g.expect(t, g.may(t, "@new:far", local(0), "!e"), "")
	if err := g.db.SaveInbound(t.Context(), invites.InboundBlocked, "far", "", g.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if rows := g.sweep(t); len(rows) != 1 || rows[0].Room != "!e" || rows[0].Code != inbound.CodeBlocked {
		t.Errorf("declined of a blocked server: %+v", rows)
	}
}

// TestRefusalsInAudit: refusals are in the audit, one by one where they are few, and counted where they are many.
func TestRefusalsInAudit(t *testing.T) {
	rules := defaults()
	rules.Breaker.People = 0
	g := newGate(t, rules)
	for n := range 9 {
		g.may(t, "@spam:far", local(n), "!a")
	}
	g.expect(t, g.may(t, "@listed:far", local(1), "!a"), inbound.CodeListed)
	if rows := g.sweep(t); rows != nil {
		t.Fatal(rows)
	}
	audit := func() (rows []string) {
		t.Helper()
		found, err := g.db.RecentAudit(t.Context(), invites.AuditQuery{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			n, _, _ := strings.Cut(strings.TrimPrefix(a.Request, "inbound:refused="), ":")
			rows = append(rows, strings.Join([]string{n, a.Code, string(a.Actor), string(a.Target), a.Verdict}, " "))
		}
		return rows
	}
	if got := strings.Join(audit(), ", "); got != "1 spam.listed @listed:far @user1:here deny, 4 spam.sender @*:far @*:here deny" {
		t.Error(got)
	}
	for n := range 120 {
		g.may(t, id.UserID(fmt.Sprintf("@a:10.0.0.%d", n)), local(n), "!a")
	}
	g.sweep(t)
	if got := audit(); len(got) != 2+51 || got[0] != "70 spam.other @*:* @*:here deny" {
		t.Error(len(got), got[0])
	}
	g.sweep(t)
	if got := audit(); len(got) != 2+51 {
		t.Error("written twice:", len(got))
	}
}
