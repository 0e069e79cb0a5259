package invitestest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
	"usher/store"
	"usher/store/storetest"
)

// The users and the room of a World.
const (
	Bot    = id.UserID("@usher:here")
	Alice  = id.UserID("@alice:here") // made the lobby
	Bob    = id.UserID("@bob:here")   // is not there
	Carol  = id.UserID("@carol:here") // is there
	Remote = id.UserID("@rob:there")  // is there
	Lobby  = id.RoomID("!lobby:here")
)

// World is a Domain on a real store and a model homeserver with one room, the lobby.
type World struct {
	*Domain
	HS    *Homeserver
	Clock *Clock
	Queue *Queue
	DB    *store.Store
	In    Surroundings
	Next  int // commands given so far
}

// NewWorld makes a World of its own for a test.
func NewWorld(t testing.TB) *World {
	t.Helper()
	db := storetest.Open(t)
	w := &World{HS: &Homeserver{}, Clock: NewClock(), Queue: &Queue{}, DB: db}
	w.In = Surroundings{Homeserver: w.HS, Queue: w.Queue, Clock: w.Clock, Self: invites.Identity{Bot: Bot, Domain: "here", Assert: true},
		AtOnce: 3, Lease: 30 * time.Second, GiveUp: time.Hour}
	w.Build()
	w.HS.Create(Lobby, "11", Alice, Bot, Carol, Remote)
	return w
}

// Build puts the use cases together, which then know no more than the store. Call it after a change of In.
func (w *World) Build() { w.Domain = New(w.DB, w.In) }

// Request is a new command by actor to invite targets to the lobby.
func (w *World) Request(t testing.TB, actor id.UserID, targets ...id.UserID) requests.Request {
	t.Helper()
	w.Next++
	command := id.EventID(fmt.Sprintf("$command%d", w.Next))
	_, err := w.DB.Receive(t.Context(), []invites.Received{{
		Event: command, Room: Lobby, Sender: actor, Type: "m.room.message", Raw: []byte("{}"), SentAt: w.Clock.Now(), ReceivedAt: w.Clock.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return requests.Request{Command: command, CommandRoom: Lobby, Actor: actor, Action: room.Invite, Room: Lobby, Targets: targets}
}

// MustAsk asks, and ends the test where that fails.
func (w *World) MustAsk(t testing.TB, req requests.Request) []invites.Change {
	t.Helper()
	rows, err := w.Ask(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Give sets the power levels of users in the lobby.
func (w *World) Give(levels map[string]any) {
	w.HS.Set(Lobby, "m.room.power_levels", "", Alice, map[string]any{"invite": 50, "users": levels})
}

// Power gives the bot the power to invite, and carol some.
func (w *World) Power(carols int) {
	w.Give(map[string]any{string(Alice): 100, string(Bot): 50, string(Carol): carols})
}

// Govern sets the policy of the lobby, or of another room.
func (w *World) Govern(fields map[string]any, in ...id.RoomID) {
	fields["version"] = 1
	w.HS.Clock = w.Clock
	w.HS.Set(append(in, Lobby)[0], policy.EventType, "", Alice, fields)
}

// Observe has the ledger see a member event of the lobby.
func (w *World) Observe(t testing.TB, event id.EventID, target, sender id.UserID, membership string) {
	t.Helper()
	now := w.Clock.Now()
	_, err := w.DB.Receive(t.Context(), nil, invites.MemberEvent{
		Event: event, Room: Lobby, Target: target, Sender: sender, Membership: membership, SentAt: now, SeenAt: now})
	if err != nil {
		t.Fatal(err)
	}
}

// Membership returns a user's membership in the lobby.
func (w *World) Membership(t testing.TB, user id.UserID) string {
	t.Helper()
	snap, err := w.HS.Snapshot(t.Context(), Lobby, Alice, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := snap.Membership(user)
	return m
}

// One returns the only outcome of a delivery.
func One(outcomes []invites.Outcome, err error) (invites.Outcome, error) {
	if err != nil {
		return invites.Outcome{}, err
	}
	return outcomes[0], nil
}

// Outcomes lists the status and code of each row.
func Outcomes(rows []invites.Change) string {
	var all []string
	for _, row := range rows {
		all = append(all, string(row.Status)+" "+row.Code)
	}
	return strings.Join(all, ", ")
}
