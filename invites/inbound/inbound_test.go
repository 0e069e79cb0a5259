package inbound_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/inbound"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
	"usher/store"
	"usher/store/storetest"
)

// lists bans by name, or all by one list.
type lists struct {
	user id.UserID
	all  id.RoomID
	err  error
}

func (l lists) Bans(_ context.Context, _ []id.RoomID, user id.UserID, _ id.RoomID) (*policy.Hit, error) {
	if user == l.user || l.all != "" {
		return &policy.Hit{List: l.all}, nil
	}
	return nil, l.err
}

// defaults are the limits of the example config.
func defaults() inbound.Rules {
	return inbound.Rules{
		Sender: inbound.Limit{People: 5, Per: time.Hour}, Room: inbound.Limit{People: 20, Per: time.Hour}, Server: inbound.Limit{People: 30, Per: 10 * time.Minute},
		New: inbound.Limit{People: 1, Per: time.Hour}, Rush: inbound.Limit{People: 20, Per: time.Minute},
		Breaker: inbound.Limit{People: 5, Per: 10 * time.Minute}, Block: 24 * time.Hour,
	}
}

type gate struct {
	*inbound.Inbound
	clock  *invitestest.Clock
	db     *store.Store
	posted []id.EventID
	banned []string
	woken  []int64
	asked  int // invitations so far
	rooms  *invitestest.Homeserver
}

func (g *gate) Wake(_ context.Context, _ time.Time, rows ...int64) error {
	g.woken = append(g.woken, rows...)
	return nil
}

// Snapshot shows the rooms that there are, to their members.
func (g *gate) Snapshot(ctx context.Context, r id.RoomID, viewer id.UserID, needs []room.Key, fresh bool) (*room.Snapshot, error) {
	if r != "!ops:here" && r != "!joined:far" {
		return nil, invites.ErrNoView
	}
	return g.rooms.Snapshot(ctx, r, viewer, needs, fresh)
}

func (g *gate) Post(request id.EventID) { g.posted = append(g.posted, request) }

func (g *gate) SendState(_ context.Context, r id.RoomID, _ id.UserID, k room.Key, content json.RawMessage) (id.EventID, error) {
	g.banned = append(g.banned, string(r)+" "+k.Type+" "+exactjson.Text(content, "entity"))
	return "", nil
}

func newGate(t *testing.T, rules inbound.Rules) *gate {
	t.Helper()
	db := storetest.Open(t)
	g := &gate{clock: invitestest.NewClock(), db: db}
	g.rooms = &invitestest.Homeserver{}
	g.rooms.Create("!ops:here", "11", "@operator:here", "@usher:here", "@mod:here")
	g.rooms.Create("!joined:far", "11", "@spam:far", local(1))
	g.Inbound = &inbound.Inbound{
		Rules: rules, Lists: lists{user: "@listed:far"}, Store: db, Clock: g.clock, Self: invites.Identity{Bot: "@usher:here", Domain: "here", Assert: true}, Homeserver: g, Poster: g, Queue: g,
		Operator: func(user id.UserID) bool { return user == "@operator:here" || user == "@mod:here" },
	}
	return g
}

const invitation = `{"event_id":"$event","unsigned":{"invite_room_state":[{"type":"m.room.create","state_key":""}]}}`

// may asks about an invitation, over federation where the sender is remote, and returns the code of the refusal.
func (g *gate) may(t *testing.T, sender, target id.UserID, r id.RoomID) string {
	t.Helper()
	var event []byte
	if sender.Homeserver() != "here" {
		g.asked++
		event = []byte(strings.Replace(invitation, "$event", fmt.Sprint("$event", g.asked), 1))
	}
	code, reason, err := g.Judge(t.Context(), sender, target, r, event)
	if err == nil && code == "" && event != nil {
		err = g.Passed(t.Context(), sender, target, r, event)
	}
	if err != nil || (code != "") == reason.Empty() {
		t.Fatal(code, reason, err)
	}
	return code
}

func local(n int) id.UserID { return id.UserID(fmt.Sprintf("@user%d:here", n)) }

func (g *gate) expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRefusedToAll: no exemption helps.
func TestRefusedToAll(t *testing.T) {
	g := newGate(t, defaults())
	if err := g.Expect(t.Context(), local(1), "@listed:far"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, g.may(t, "@listed:far", local(1), "!a"), inbound.CodeListed)
	g.expect(t, g.may(t, "@a:127.1", local(1), "!a"), inbound.CodeIP)
	g.expect(t, g.may(t, "@a:[::1]:8448", local(1), "!a"), inbound.CodeIP)
	code, _, err := g.Judge(t.Context(), "@a:far", local(1), "!a", []byte(`{"unsigned":{"invite_room_state":[{"type":"m.room.name"}]}}`))
	if err != nil || code != inbound.CodeNoCreate {
		t.Error(code, err)
	}
	g.expect(t, g.may(t, "@a:far", "@b:elsewhere", "!a"), "") // none of our users
	g.Lists = lists{err: errors.New("down")}
	if _, _, err := g.Judge(t.Context(), "@a:far", local(1), "!a", nil); err == nil {
		t.Error("a list that can't be read counts as read")
	}
}

// TestLimits: different people count, for sender, room and server, and the windows slide.
func TestLimits(t *testing.T) {
	g := newGate(t, defaults())
	for n := range 5 {
		g.expect(t, g.may(t, "@a:far", local(n), id.RoomID(fmt.Sprint("!", n))), "")
	}
	g.expect(t, g.may(t, "@a:far", local(5), "!a"), inbound.CodeSender)
	g.expect(t, g.may(t, "@a:far", local(0), "!b"), "") // the same person again
	g.clock.Advance(59 * time.Minute)
	g.expect(t, g.may(t, "@a:far", local(5), "!a"), inbound.CodeSender)
	g.clock.Advance(time.Minute)
	g.expect(t, g.may(t, "@a:far", local(5), "!a"), "")

	g = newGate(t, defaults())
	for n := range 20 {
		g.expect(t, g.may(t, id.UserID(fmt.Sprintf("@a:s%d", n)), local(n), "!a"), "")
	}
	g.clock.Advance(2 * time.Minute) // past the rush
	g.expect(t, g.may(t, "@b:far", local(20), "!a"), inbound.CodeRoom)
	g.expect(t, g.may(t, "@b:far", local(20), "!b"), "")

	g = newGate(t, defaults())
	for n := range 30 {
		g.clock.Advance(4 * time.Second)
		g.expect(t, g.may(t, id.UserID(fmt.Sprintf("@a%d:far", n)), local(n), id.RoomID(fmt.Sprint("!", n))), "")
	}
	g.expect(t, g.may(t, "@b:FAR:8448", local(99), "!b"), inbound.CodeServer)
	g.expect(t, g.may(t, "@b:near", local(99), "!b"), "")

	for n := range 5 { // local senders have no server to count
		g.expect(t, g.may(t, "@neighbour:here", local(n), "!d"), "")
	}
	g.expect(t, g.may(t, "@neighbour:here", local(5), "!d"), inbound.CodeSender)
}

// TestExempt: expected people, and people who were in one room with the invitee, pass the limits and the breaker.
func TestExempt(t *testing.T) {
	rules := defaults()
	rules.Sender.People = 1
	g := newGate(t, rules)
	g.expect(t, g.may(t, "@a:far", local(0), "!a"), "")
	g.expect(t, g.may(t, "@a:far", local(1), "!a"), inbound.CodeSender)
	if err := g.Expect(t.Context(), local(1), "@a:far"); err != nil {
		t.Fatal(err)
	}
	g.expect(t, g.may(t, "@a:far", local(1), "!a"), "")
	g.expect(t, g.may(t, "@a:far", local(2), "!a"), inbound.CodeSender)
	now := g.clock.Now()
	for i, user := range []id.UserID{"@a:far", local(2)} {
		for j, membership := range []string{"invite", "join"} {
			_, err := g.db.Receive(t.Context(), nil, invites.MemberEvent{Event: id.EventID(fmt.Sprint("$", i, j)), Room: "!shared:here", Target: user,
				Sender: "@owner:here", Membership: membership, SentAt: now, SeenAt: now})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	g.expect(t, g.may(t, "@a:far", local(2), "!a"), "")
	g.expect(t, g.may(t, "@a:far", local(3), "!a"), inbound.CodeSender)
	for n := range 3 {
		g.expect(t, g.may(t, g.Self.Bot, local(10+n), "!a"), "")
		g.expect(t, g.may(t, "@a:far", id.UserID(fmt.Sprintf("@user%d:elsewhere", n)), "!a"), "")
	}
	if got := g.Refused(local(2), 10); len(got) != 1 || got[0].Code != inbound.CodeSender || got[0].Sender != "@a:far" {
		t.Error(got)
	}
	if got := g.Totals(); len(got) != 1 || got[0] != (inbound.Total{Server: "far", Code: inbound.CodeSender, Count: 3}) {
		t.Error(got)
	}
}

// TestBreaker: a server whose users are refused again and again is blocked for a day, except for known senders, and the operator can let it through.
func TestBreaker(t *testing.T) {
	rules := defaults()
	rules.Sender.People, rules.Rush.People, rules.Ops, rules.BanList = 1, 1000, "!ops:here", "!bans:here"
	g := newGate(t, rules)
	g.expect(t, g.may(t, "@old:far", local(0), "!o"), "")
	g.clock.Advance(25 * time.Hour)
	for n := range 5 {
		sender := id.UserID(fmt.Sprintf("@a%d:far", n))
		g.expect(t, g.may(t, sender, local(n), id.RoomID(fmt.Sprint("!", n))), "")
		g.expect(t, g.may(t, sender, local(n+10), id.RoomID(fmt.Sprint("!", n))), inbound.CodeSender)
	}
	g.expect(t, g.may(t, "@honest:far", local(50), "!h"), inbound.CodeBlocked)
	g.expect(t, g.may(t, "@honest:FAR.", local(50), "!h"), inbound.CodeBlocked)
	g.expect(t, g.may(t, "@old:far", local(50), "!h"), "")
	g.expect(t, g.may(t, "@honest:near", local(50), "!h"), "")
	blocked, err := g.db.InboundOf(t.Context(), invites.InboundBlocked, g.clock.Now(), 10)
	if err != nil || len(blocked) != 1 || blocked[0] != "far" {
		t.Error(blocked, err)
	}
	if len(g.posted) != 1 {
		t.Fatal("cards shown:", g.posted)
	}
	card, err := g.db.CardOf(t.Context(), g.posted[0], room.Ban, "!ops:here", "@*:far")
	if err != nil || card.Kind != invites.CardServer {
		t.Fatal(card, err)
	}
	card.State = invites.CardDeclined
	for range 2 {
		if err := g.Decided(t.Context(), card); err != nil || len(g.banned) > 0 {
			t.Fatal(err, g.banned)
		}
		g.expect(t, g.may(t, "@honest:far", local(50), "!h"), inbound.CodeBlocked)
		card.State = invites.CardExpired
	}
	card.State = invites.CardBanned
	if err := g.Decided(t.Context(), card); err != nil || len(g.banned) != 1 || g.banned[0] != "!bans:here m.policy.rule.server far" {
		t.Error(err, g.banned)
	}
	card.State = invites.CardAccepted
	if err := g.Decided(t.Context(), card); err != nil {
		t.Fatal(err)
	}
	g.expect(t, g.may(t, "@honest:far", local(51), "!h"), "")
}

// TestFlood: 10,000 invitations from 300 senders on 40 servers within ten minutes, beside 200 honest ones: 150 from 50 other servers, and 50 from
// the servers of the flood. docs/native.md has the figures.
func TestFlood(t *testing.T) {
	g := newGate(t, defaults())
	type one struct {
		at     time.Duration
		sender id.UserID
		target id.UserID
		room   id.RoomID
		honest bool
		beside bool // on a server of the flood
	}
	random := rand.New(rand.NewSource(7))
	var all []one
	for range 10_000 {
		sender := random.Intn(300)
		all = append(all, one{at: time.Duration(random.Int63n(int64(10 * time.Minute))), sender: id.UserID(fmt.Sprintf("@spam%d:evil%d", sender, sender%40)),
			target: local(random.Intn(5000)), room: id.RoomID(fmt.Sprintf("!spam%d", random.Intn(100)))})
	}
	for n := range 200 {
		server := fmt.Sprintf("good%d", n%50)
		if n >= 150 {
			server = fmt.Sprintf("evil%d", n%40)
		}
		all = append(all, one{at: time.Duration(random.Int63n(int64(10 * time.Minute))), sender: id.UserID(fmt.Sprintf("@honest%d:%s", n, server)),
			target: local(random.Intn(5000)), room: id.RoomID(fmt.Sprintf("!room%d", n)), honest: true, beside: n >= 150})
	}
	for n, i := range all { // a third of the honest people have invited before
		if i.honest && n%3 == 0 {
			g.expect(t, g.may(t, i.sender, local(9999-n%50), id.RoomID(fmt.Sprintf("!past%d", n))), "")
			g.clock.Advance(10 * time.Minute)
		}
	}
	g.clock.Advance(25 * time.Hour)
	start := g.clock.Now()
	slices.SortStableFunc(all, func(a, b one) int { return cmp.Compare(a.at, b.at) })
	var spam, honest, beside, first int
	for i := range all {
		g.clock.Advance(start.Add(all[i].at).Sub(g.clock.Now()))
		code := g.may(t, all[i].sender, all[i].target, all[i].room)
		switch {
		case code != "":
		case all[i].beside:
			beside++
		case all[i].honest:
			honest++
		default:
			spam++
			if all[i].at < time.Minute {
				first++
			}
		}
	}
	t.Logf("%d of 10,000 unwanted invitations passed, %d of them in the first minute; %d of 150 honest ones, and %d of 50 from servers of the flood", spam, first, honest, beside)
	if spam > 500 || honest < 150 || beside < 17 {
		t.Errorf("%d unwanted, %d honest, %d beside", spam, honest, beside)
	}
}
