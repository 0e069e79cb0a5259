package native_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/native"
	"usher/policy"
	"usher/room"
)

const (
	bot    = invitestest.Bot
	alice  = invitestest.Alice
	bob    = invitestest.Bob
	carol  = invitestest.Carol
	remote = invitestest.Remote
	lobby  = invitestest.Lobby
)

type object = map[string]any

// door is a world with callbacks, where alice, carol and the bot may invite.
type door struct {
	*invitestest.World
	*native.Native
	out    bool  // the bot is in no room
	broken error // of the list of rooms
	posted []id.EventID
}

func newDoor(t *testing.T, fields object) *door {
	t.Helper()
	d := &door{World: invitestest.NewWorld(t)}
	d.Power(50)
	if fields != nil {
		d.Govern(fields)
	}
	d.build()
	return d
}

// build makes use cases that know no more than the store.
func (d *door) build() {
	d.Build()
	d.Native = &native.Native{Rooms: d, Invitations: d.World, Sending: d.Delivery, Store: d.DB, Cards: d, Admissions: d.World.Knocks, Limits: d.World.Requests.Limits, Judge: d.World.Judge, Self: d.World.In.Self}
}

func (d *door) In(context.Context, id.RoomID) (bool, error) { return !d.out, d.broken }
func (d *door) Post(request id.EventID)                     { d.posted = append(d.posted, request) }

// may asks about an invitation by a user, and returns the code of the refusal.
func (d *door) may(t *testing.T, inviter, invitee id.UserID) string {
	t.Helper()
	d.Clock.Advance(time.Millisecond)
	got, err := d.Answer(t.Context(), native.Question{Callback: native.MayInvite, Sender: inviter, Target: invitee, Room: lobby})
	switch {
	case err != nil:
		return "error"
	case got.Verdict == room.Unknown:
		return "unknown"
	case got.Verdict == room.Allow:
		return ""
	case got.Reason.Empty():
		t.Errorf("%s is refused without a sentence", invitee)
	}
	return got.Code
}

// send is the homeserver sending an invitation after the callback, which the ledger sees.
func (d *door) send(t *testing.T, inviter, invitee id.UserID) {
	t.Helper()
	d.HS.Set(lobby, "m.room.member", invitee.String(), inviter, object{"membership": "invite"})
	snap, err := d.HS.Snapshot(t.Context(), lobby, "", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	d.Observe(t, invites.MemberEventID(snap, invitee), invitee, inviter, "invite")
}

// lapse lets the time pass in which a homeserver shows an invitation, and does the work that is due.
func (d *door) lapse(t *testing.T) {
	t.Helper()
	d.Clock.Advance(2 * time.Minute)
	due, err := d.DB.Due(t.Context(), d.Clock.Now(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delivery.Deliver(t.Context(), due...); err != nil {
		t.Fatal(err)
	}
}

// TestInvite: an invitation by a client is judged as !invite would be, with the inviter as its sender.
func TestInvite(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fields  object
		inviter id.UserID
		invitee id.UserID
		code    string
	}{
		{"no policy", nil, remote, bob, ""},
		{"empty policy event", object{}, carol, bob, ""},
		{"allowed", object{"ask": object{"level": 50}}, carol, bob, ""},
		{"level", object{"ask": object{"level": 60}}, carol, bob, "policy.ask.level"},
		{"power of the room", object{"ask": object{"level": 0}}, remote, bob, "invite.power"},
		{"delegate lends nothing", object{"delegate": true}, remote, bob, "invite.power"},
		{"who", object{"ask": object{"users": []string{"@dan:*"}}}, carol, bob, "policy.ask.who"},
		{"denied user", object{"whom": object{"deny_users": []string{"@bob:*"}}}, carol, bob, "policy.whom.user_denied"},
		{"denied server", object{"whom": object{"deny_servers": []string{"evil"}}}, carol, "@x:EVIL:8448", "policy.whom.server_denied"},
		{"full", object{"whom": object{"max_members": 2}}, carol, bob, "policy.whom.max_members"},
		{"member", object{"delegate": true}, carol, alice, "invite.target_joined"},
		{"policy that can't be read", object{"quota": 5}, carol, bob, "policy.malformed"},
		{"the bot itself", object{"ask": object{"level": 60}}, bot, bob, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t, tt.fields)
			if code := d.may(t, tt.inviter, tt.invitee); code != tt.code {
				t.Errorf("got %q, want %q", code, tt.code)
			}
			if len(d.HS.Acts()) > 0 {
				t.Error("Usher acted itself")
			}
		})
	}
	d := newDoor(t, object{"ask": object{"level": 60}})
	d.out = true
	if code := d.may(t, carol, bob); code != "" {
		t.Error("a room without the bot is judged:", code)
	}
	d.out, d.broken = false, errors.New("down")
	if code := d.may(t, carol, bob); code != "error" {
		t.Error("without the list of rooms:", code)
	}
	d.broken = nil
	if code := d.may(t, "", bob); code != "unknown" {
		t.Error("no inviter:", code)
	}
	if code := d.may(t, carol, ""); code != "unknown" {
		t.Error("no invitee:", code)
	}
}

// askedOf notes whom Inbound is asked about.
type askedOf []id.UserID

func (a *askedOf) Judge(_ context.Context, sender, _ id.UserID, _ id.RoomID, _ []byte) (string, room.Phrase, error) {
	*a = append(*a, sender)
	return "inbound.deny", room.Say("inbound.deny"), nil
}

func (a *askedOf) Passed(context.Context, id.UserID, id.UserID, id.RoomID, []byte) error { return nil }

// TestInboundAsked: the operator's rules for inviters are asked once about each invitation: about those of local users by user_may_invite,
// about others by federated_user_may_invite.
func TestInboundAsked(t *testing.T) {
	d := newDoor(t, nil)
	var asked askedOf
	d.Inbound = &asked
	if code := d.may(t, alice, bob); code != "inbound.deny" || len(asked) != 1 {
		t.Errorf("a local inviter: %q, asked about %v", code, asked)
	}
	if code := d.may(t, remote, bob); code != "" || len(asked) != 1 {
		t.Errorf("a remote inviter: %q, asked about %v", code, asked)
	}
	got, err := d.Answer(t.Context(), native.Question{Callback: native.MayInviteFederated, Sender: remote, Target: bob, Room: lobby})
	if err != nil || got.Code != "inbound.deny" || len(asked) != 2 {
		t.Errorf("by federation: %+v, %v, asked about %v", got, err, asked)
	}
}

// TestInviteList: rules of a policy list hold.
func TestInviteList(t *testing.T) {
	const list = id.RoomID("!bans:here")
	d := newDoor(t, object{"whom": object{"lists": []string{string(list)}}})
	d.HS.Create(list, "11", alice, bot)
	d.HS.Set(list, "m.policy.rule.user", "a", alice, object{"entity": bob, "recommendation": "m.ban", "reason": "spam"})
	if code := d.may(t, carol, bob); code != "policy.whom.listed" {
		t.Error(code)
	}
}

// TestInviteCooldown: who was kicked stays out for a while.
func TestInviteCooldown(t *testing.T) {
	d := newDoor(t, object{"whom": object{"cooldown": object{"kick": "1d"}}})
	d.HS.Member(lobby, bob, "join")
	d.HS.Set(lobby, "m.room.member", bob.String(), alice, object{"membership": "leave"})
	if code := d.may(t, carol, bob); code != "policy.whom.cooldown.kick" {
		t.Error(code)
	}
}

// TestInviteQuota: an invitation let through spends at once, keeps spent when the room shows it, and gives back when it lapses.
func TestInviteQuota(t *testing.T) {
	d := newDoor(t, object{"quota": object{"person": object{"count": 2, "per": "1d"}}})
	user := func(n int) id.UserID { return id.UserID(fmt.Sprintf("@user%d:here", n)) }
	for n := range 2 {
		if code := d.may(t, carol, user(n)); code != "" {
			t.Fatal(n, code)
		}
	}
	if code := d.may(t, carol, user(2)); code != "policy.quota.person" {
		t.Error("beyond the quota:", code)
	}
	d.send(t, carol, user(0))
	d.lapse(t)
	if code := d.may(t, carol, user(2)); code != "" {
		t.Error("the lapsed one is not given back:", code)
	}
	if code := d.may(t, carol, user(3)); code != "policy.quota.person" {
		t.Error("the sent one is given back:", code)
	}
	if code := d.may(t, alice, user(3)); code != "" {
		t.Error("another person's quota:", code)
	}
}

// TestAgain: a client that tries again before the homeserver has sent the invitation spends no second quota, and a command is not held up. An
// invitation after the first one ended is a new one.
func TestAgain(t *testing.T) {
	d := newDoor(t, object{"quota": object{"person": object{"count": 1, "per": "1d"}}})
	for range 2 {
		if code := d.may(t, carol, bob); code != "" {
			t.Fatal(code)
		}
	}
	if code := d.may(t, alice, bob); code != "" {
		t.Error("somebody else:", code)
	}
	d.send(t, carol, bob)
	d.HS.Member(lobby, bob, "leave")
	d.Observe(t, "$declined", bob, bob, "leave")
	if code := d.may(t, carol, bob); code != "policy.quota.person" {
		t.Error("a second invitation spends nothing:", code)
	}

	d = newDoor(t, object{"ask": object{"level": 50}})
	if code := d.may(t, carol, bob); code != "" {
		t.Fatal(code)
	}
	if rows := d.MustAsk(t, d.Request(t, carol, bob)); rows[0].Status != invites.StatusDone {
		t.Error("a command waits for what the homeserver did not send:", rows)
	}
	if code := d.may(t, carol, "@dan:here"); code != "" {
		t.Fatal(code)
	}
	d.send(t, carol, "@dan:here")
	req := d.Request(t, alice, "@dan:here")
	req.Action = policy.ActionWithdraw
	if rows := d.MustAsk(t, req); rows[0].Status != invites.StatusDone {
		t.Error("a withdrawal waits for an invitation that stands:", rows)
	}
}

// TestSeenInvitation: the ledger knows that an invitation was judged before it was sent, and how it ended.
func TestSeenInvitation(t *testing.T) {
	d := newDoor(t, object{"ask": object{"level": 10}})
	if code := d.may(t, carol, bob); code != "" {
		t.Fatal(code)
	}
	d.send(t, carol, bob)
	entries, err := d.DB.EntriesOf(t.Context(), lobby, bob, 10)
	if err != nil || len(entries) != 1 || entries[0].Way != invites.WayNative || entries[0].Inviter != carol {
		t.Fatal(entries, err)
	}
	d.lapse(t)
	rows, err := d.DB.ChangesOf(t.Context(), string(entries[0].Command))
	if err != nil || len(rows) != 1 || rows[0].Status != invites.StatusDone {
		t.Error(rows, err)
	}
	if code := d.may(t, carol, bob); code != "" {
		t.Error("a second time:", code)
	}
	d.send(t, carol, "@dan:here") // without a question, as by a server admin
	if entries, _ = d.DB.EntriesOf(t.Context(), lobby, "@dan:here", 10); len(entries) != 1 || entries[0].Way != invites.WayHand {
		t.Error(entries)
	}
	if code := d.may(t, carol, "@eve:here"); code != "" {
		t.Fatal(code)
	}
	d.lapse(t)
	if len(d.HS.Acts()) > 0 {
		t.Error("Usher sends an invitation that the homeserver did not", d.HS.Acts())
	}
}

// TestReentrance: the homeserver's question about Usher's own invitation is answered while it is being sent, also by a later process.
func TestReentrance(t *testing.T) {
	d := newDoor(t, object{"ask": object{"level": 50}, "quota": object{"person": object{"count": 1, "per": "1d"}}})
	asked, crash := 0, false
	d.HS.Before = func(e invites.Effect) error {
		asked++
		if code := d.may(t, e.Performer, e.Target); code != "" {
			t.Error("its own invitation is refused:", code)
		}
		if crash {
			old := d.Native
			d.build() // another process, which knows only the database
			if code := d.may(t, e.Performer, e.Target); code != "" {
				t.Error("that of an earlier process is refused:", code)
			}
			if code := d.may(t, e.Performer, "@other:here"); code != "policy.quota.person" {
				t.Error("another one is let through:", code)
			}
			d.Native = old
		}
		return nil
	}
	crash = true
	if rows := d.MustAsk(t, d.Request(t, carol, bob)); rows[0].Status != invites.StatusDone || asked != 1 {
		t.Error(rows, asked)
	}
}

// TestApproval: the refusal opens a card, and Usher sends the invitation once people agree.
func TestApproval(t *testing.T) {
	for _, assert := range []bool{true, false} {
		d := newDoor(t, object{"approval": object{"required": true, "votes": 1, "level": 100}})
		d.World.In.Self.Assert = assert
		d.build()
		if code := d.may(t, carol, bob); code != string(policy.CodeApproval) {
			t.Fatal(code)
		}
		if len(d.posted) != 1 {
			t.Fatal("no card is shown")
		}
		if code := d.may(t, carol, bob); code != invites.CodeAsked || len(d.posted) != 1 {
			t.Error("asked twice:", code, len(d.posted))
		}
		card, err := d.DB.CardOf(t.Context(), d.posted[0], room.Invite, lobby, bob)
		if err != nil {
			t.Fatal(err)
		}
		if card, err = d.World.Cards.Review(t.Context(), card, true); err != nil || card.State != invites.CardOpen {
			t.Fatal(card.State, err)
		}
		ballot, err := d.World.Cards.Vote(t.Context(), card, invites.Vote{Voter: alice, Choice: invites.Accept, Room: lobby, Event: "$vote", At: d.Clock.Now()})
		if err != nil || ballot.Card.State != invites.CardAccepted {
			t.Fatal(ballot, err)
		}
		row, err := d.World.Cards.CarryOut(t.Context(), ballot.Card)
		performer := map[bool]id.UserID{true: carol, false: bot}[assert]
		if err != nil || row.Status != invites.StatusDone || row.Actor != carol || row.Performer != performer || row.Origin != invites.OriginAsked {
			t.Fatal(row, err)
		}
		if d.Membership(t, bob) != "invite" {
			t.Error("nobody was invited")
		}
	}
}

// TestRestart: a row under way when the process ends lapses, and is not sent.
func TestRestart(t *testing.T) {
	d := newDoor(t, object{"quota": object{"person": object{"count": 1, "per": "1d"}}})
	if code := d.may(t, carol, bob); code != "" {
		t.Fatal(code)
	}
	if _, err := d.DB.Release(t.Context(), d.Clock.Now().Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	d.build()
	d.lapse(t)
	if code := d.may(t, carol, "@dan:here"); code != "" || len(d.HS.Acts()) > 0 {
		t.Error(code, d.HS.Acts())
	}
}

// TestAddress: an invitation to an address is judged by its sender, the room and the domain of the address.
func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		fields          object
		inviter         id.UserID
		medium, address string
		code            string
	}{
		{nil, carol, "email", "b@evil.example", ""},
		{object{"ask": object{"level": 50}}, carol, "email", "b@good.example", ""},
		{object{"ask": object{"level": 60}}, carol, "email", "b@good.example", "policy.ask.level"},
		{object{"ask": object{"level": 0}}, remote, "email", "b@good.example", "invite.power"},
		{object{"whom": object{"deny_servers": []string{"evil.example"}}}, carol, "email", "b@EVIL.example", "policy.whom.server_denied"},
		{object{"whom": object{"deny_servers": []string{"evil.example"}}}, carol, "email", "@x@evil.example", "policy.whom.server_denied"},
		{object{"whom": object{"allow_servers": []string{"good.example"}}}, carol, "email", "b@good.example", ""},
		{object{"whom": object{"allow_servers": []string{"good.example"}}}, carol, "msisdn", "4912345", "policy.whom.not_allowed"},
		{object{"approval": object{"required": true}}, carol, "email", "b@good.example", "policy.approval.required"},
	} {
		d := newDoor(t, tt.fields)
		got, err := d.Answer(t.Context(), native.Question{Callback: native.MayInviteAddress, Sender: tt.inviter, Room: lobby, Medium: tt.medium, Address: tt.address})
		if err != nil || got.Code != tt.code || (got.Verdict == room.Allow) != (tt.code == "") || (tt.code == "") != got.Reason.Empty() {
			t.Errorf("%+v: %+v %v", tt, got, err)
		}
	}
}

// TestAddressQuota: an invitation to an address spends a quota, beside those to users, and gives it back where the room does not show it; a refused
// one spends nothing, opens no card and keeps no address.
func TestAddressQuota(t *testing.T) {
	d := newDoor(t, object{"quota": object{"person": object{"count": 2, "per": "1d"}}, "whom": object{"deny_servers": []string{"evil"}}})
	may := func(address string) string {
		d.Clock.Advance(time.Millisecond)
		got, err := d.Answer(t.Context(), native.Question{Callback: native.MayInviteAddress, Sender: carol, Room: lobby, Medium: "email", Address: address})
		if err != nil || (got.Verdict == room.Allow) != (got.Code == "") {
			t.Fatalf("%+v %v", got, err)
		}
		return got.Code
	}
	for _, tt := range []struct{ address, code string }{{"b@evil", "policy.whom.server_denied"}, {"b@good", ""}, {"c@good", ""}, {"d@good", "policy.quota.person"}} {
		if code := may(tt.address); code != tt.code {
			t.Errorf("%s: got %q, want %q", tt.address, code, tt.code)
		}
	}
	sent := invites.MemberEvent{Event: "$sent", Room: lobby, Sender: carol, Membership: invites.AddressInvited, Token: "t", Name: "b...@g...", SentAt: d.Clock.Now(), SeenAt: d.Clock.Now()}
	if _, err := d.DB.Receive(t.Context(), nil, sent); err != nil {
		t.Fatal(err)
	}
	d.lapse(t)
	if code := d.may(t, carol, bob); code != "" {
		t.Error("the lapsed one is not given back:", code)
	}
	if code := d.may(t, carol, "@dan:here"); code != "policy.quota.person" {
		t.Error("the sent one is given back:", code)
	}
	if err := d.Requests.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	audit, err := d.DB.RecentAudit(t.Context(), invites.AuditQuery{Room: lobby, User: carol}, 10)
	if err != nil || len(audit) != 6 || audit[3].Target != "@email/address:good" || len(d.HS.Acts()) > 0 {
		t.Error(audit, err, d.HS.Acts())
	}
	d = newDoor(t, object{"approval": object{"required": true}})
	if code := may("b@good"); code != "policy.approval.required" || len(d.posted) > 0 {
		t.Error(code, d.posted)
	}
	if open, err := d.DB.OpenCards(t.Context(), invites.CardQuery{Room: lobby}); err != nil || len(open) > 0 {
		t.Error("a card is open that nobody can carry out:", open, err)
	}
}
