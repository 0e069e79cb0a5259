package invites_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
	"usher/store"
)

const (
	bot    = id.UserID("@usher:here")
	alice  = id.UserID("@alice:here")
	bob    = id.UserID("@bob:here")
	carol  = id.UserID("@carol:here")
	remote = id.UserID("@rob:there")
	lobby  = id.RoomID("!lobby:here")
)

// world is a service on a real store and a model homeserver.
type world struct {
	*invitestest.Domain
	hs    *invitestest.Homeserver
	clock *invitestest.Clock
	queue *invitestest.Queue
	db    *store.Store
	next  int
	in    invitestest.Surroundings
}

// build puts the use cases together, which then know no more than the store.
func (w *world) build() { w.Domain = invitestest.New(w.db, w.in) }

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Type: "sqlite", URI: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{hs: &invitestest.Homeserver{}, clock: invitestest.NewClock(), queue: &invitestest.Queue{}, db: db}
	w.in = invitestest.Surroundings{Homeserver: w.hs, Queue: w.queue, Clock: w.clock, Self: invites.Identity{Bot: bot, Domain: "here", Assert: true},
		AtOnce: 3, Lease: 30 * time.Second, GiveUp: time.Hour}
	w.build()
	w.hs.Create(lobby, "11", alice, bot, carol, remote)
	return w
}

// request is a new command by actor to invite targets to the lobby.
func (w *world) request(t *testing.T, actor id.UserID, targets ...id.UserID) requests.Request {
	t.Helper()
	w.next++
	command := id.EventID(fmt.Sprintf("$command%d", w.next))
	_, err := w.db.Receive(t.Context(), []invites.Received{{
		Event: command, Room: lobby, Sender: actor, Type: "m.room.message", Raw: []byte("{}"), SentAt: w.clock.Now(), ReceivedAt: w.clock.Now(),
	}})

	if err != nil {
		t.Fatal(err)
	}
	return requests.Request{
		Command: command, CommandRoom: lobby, Actor: actor, Action: room.Invite, Room: lobby, Targets: targets,
	}
}

func (w *world) ask(t *testing.T, req requests.Request) []invites.Change {
	t.Helper()
	rows, err := w.Ask(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// give sets power levels in the lobby.
func (w *world) give(levels map[string]any) {
	w.hs.Set(lobby, "m.room.power_levels", "", alice, map[string]any{"invite": 50, "users": levels})
}

func TestAskDecidesAndActs(t *testing.T) {
	admin := map[string]any{alice.String(): 100}
	tests := []struct {
		name      string
		actor     id.UserID
		target    id.UserID
		before    func(*world, *requests.Request)
		status    invites.Status
		code      string
		performer id.UserID // empty: nothing is sent
	}{
		{"a local actor performs", alice, bob, nil, invites.StatusDone, "done", alice},
		{"the bot performs on request, with its own power", alice, bob, func(w *world, r *requests.Request) {
			r.AsBot = true
			w.give(map[string]any{alice.String(): 100, bot.String(): 50})
		}, invites.StatusDone, "done", bot},
		{"the bot performs for a remote actor", remote, bob, func(w *world, _ *requests.Request) {
			w.give(map[string]any{remote.String(): 50, bot.String(): 50})
		}, invites.StatusDone, "done", bot},
		{"a remote actor's power is not enough where the bot has none", remote, bob, func(w *world, _ *requests.Request) {
			w.give(map[string]any{remote.String(): 50})
		}, invites.StatusRefused, "invite.power", ""},
		{"the bot's power is not lent", remote, bob, func(w *world, _ *requests.Request) {
			w.give(map[string]any{bot.String(): 100})
		}, invites.StatusRefused, "invite.power", ""},
		{"too little power", carol, bob, nil, invites.StatusRefused, "invite.power", ""},
		{"the actor is not there", bob, carol, nil, invites.StatusRefused, "invite.sender_not_joined", ""},
		{"the target is banned", alice, bob, func(w *world, _ *requests.Request) { w.hs.Member(lobby, bob, "ban") },
			invites.StatusRefused, "invite.target_banned", ""},
		{"the target is there", alice, carol, nil, invites.StatusRefused, "invite.target_joined", ""},
		{"the target is invited already", alice, bob, func(w *world, _ *requests.Request) { w.hs.Member(lobby, bob, "invite") },
			invites.StatusDone, "invite.already", ""},
		{"a malformed policy denies", alice, bob, func(w *world, _ *requests.Request) {
			w.give(admin)
			w.hs.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "who": "all"})
		}, invites.StatusRefused, "policy.malformed", ""},
		{"an emptied policy is none", alice, bob, func(w *world, _ *requests.Request) {
			w.hs.Set(lobby, policy.EventType, "", alice, map[string]any{})
		}, invites.StatusDone, "done", alice},
		{"an unknown room is not guessed at", alice, bob, func(_ *world, r *requests.Request) { r.Room = "!other:here" },
			invites.StatusRefused, "unknown.no_view", ""},
		{"nobody is joined by somebody else", alice, remote, func(_ *world, r *requests.Request) { r.Action = room.Join },
			invites.StatusRefused, "performer.no_assertion", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			req := w.request(t, tt.actor, tt.target)
			if tt.before != nil {
				tt.before(w, &req)
			}
			row := w.ask(t, req)[0]
			if row.Status != tt.status || row.Code != tt.code {
				t.Errorf("got %s %s (%s), want %s %s", row.Status, row.Code, row.Detail, tt.status, tt.code)
			}
			if row.Status == invites.StatusRefused && row.Detail.Empty() {
				t.Error("a refusal without a word")
			}
			acts := w.hs.Acts()
			if tt.performer == "" && len(acts) != 0 {
				t.Errorf("sent %v", acts)
			}
			if tt.performer != "" && (len(acts) != 1 || acts[0].Performer != tt.performer) {
				t.Errorf("sent %v, want one by %s", acts, tt.performer)
			}
		})
	}
}

func TestAskAgainTakesUpWhereItWas(t *testing.T) {
	w := newWorld(t)
	req := w.request(t, alice, bob, remote, carol, "@d:here", "@e:here", "@f:here", bob)
	rows := w.ask(t, req)
	if len(rows) != 6 {
		t.Fatalf("%d rows, want one for each person", len(rows))
	}
	queued := w.queue.Take()
	if len(queued) != 1 || len(w.hs.Acts()) != 3 {
		t.Fatalf("%d queued, %d sent; want 1 and 3", len(queued), len(w.hs.Acts()))
	}
	w.ask(t, req) // as after a crash before the answer
	if got := len(w.hs.Acts()); got != 4 {
		t.Errorf("%d sent, want 4: each person once", got)
	}
	outcome, err := one(w.Delivery.Deliver(t.Context(), queued[0].Row))
	if err != nil || outcome.Status != "" {
		t.Errorf("got %v %v, want that the row is settled", outcome, err)
	}
	req.Room = "!elsewhere:here" // what the alias in it names by now
	w.hs.Create(req.Room, "11", alice, bot)
	w.ask(t, req)
	if got := len(w.hs.Acts()); got != 4 {
		t.Errorf("%d sent, want 4: a command acts in one room", got)
	}
}

func TestDeliverAfterACrashSendsNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.AtOnce = 0
	rows := w.ask(t, w.request(t, alice, bob))
	if claimed, err := w.db.Claim(t.Context(), []int64{rows[0].ID}, w.clock.Now(), time.Minute); err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	w.hs.Member(lobby, bob, "invite") // it went through, and then the power was cut
	w.clock.Advance(2 * time.Minute)
	outcome, err := one(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || outcome.Status != invites.StatusDone || len(w.hs.Acts()) != 0 {
		t.Errorf("got %v %v and %d sent, want done and nothing sent", outcome, err, len(w.hs.Acts()))
	}
}

func TestDeliverFailures(t *testing.T) {
	limited := &invites.ActError{Class: invites.ClassLater, Code: "M_LIMIT_EXCEEDED", Status: 429, RetryAfter: 7 * time.Minute}
	broken := &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("bad gateway")}
	stopped := &invites.ActError{Class: invites.ClassStopped, Code: "M_UNKNOWN_TOKEN", Status: 401}
	blocked := &invites.ActError{Class: invites.ClassRefused, Code: "M_INVITE_BLOCKED", Status: 403}
	forbidden := &invites.ActError{Class: invites.ClassRefused, Code: "M_FORBIDDEN", Status: 403}
	badState := &invites.ActError{Class: invites.ClassRefused, Code: "M_BAD_STATE", Status: 403}
	tests := []struct {
		name   string
		target id.UserID
		answer error
		change func(*world)
		kind   invites.Status
		code   string
		after  time.Duration
	}{
		{"rate limited", bob, limited, nil, invites.StatusOpen, "M_LIMIT_EXCEEDED", 7 * time.Minute},
		{"bad gateway", bob, broken, nil, invites.StatusOpen, "M_UNKNOWN", time.Second},
		{"token refused", bob, stopped, nil, invites.StatusOpen, invites.CodeStopped, time.Minute},
		{"blocked by the invitee", bob, blocked, nil, invites.StatusRefused, "M_INVITE_BLOCKED", 0},
		{"refused without a reason in the rules", bob, forbidden, nil, invites.StatusRefused, "M_FORBIDDEN", 0},
		{"the target's server may be down", "@x:there", forbidden, nil, invites.StatusOpen, "M_FORBIDDEN", time.Second},
		{"the world changed: banned", bob, forbidden, func(w *world) { w.hs.Member(lobby, bob, "ban") }, invites.StatusRefused, "invite.target_banned", 0},
		{"the world changed, as Synapse says it", bob, badState, func(w *world) { w.hs.Member(lobby, bob, "ban") }, invites.StatusRefused, "invite.target_banned", 0},
		{"the world changed: somebody invited them", bob, forbidden, func(w *world) { w.hs.Member(lobby, bob, "invite") }, invites.StatusDone, "done", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.AtOnce = 0
			rows := w.ask(t, w.request(t, alice, tt.target))
			w.hs.Before = func(invites.Effect) error {
				if tt.change != nil {
					tt.change(w)
				}
				return tt.answer
			}
			got, err := one(w.Delivery.Deliver(t.Context(), rows[0].ID))
			if err != nil || got.Status != tt.kind || got.Code != tt.code {
				t.Fatalf("got %+v %v, want %v %s", got, err, tt.kind, tt.code)
			}
			if tt.after != 0 && !got.At.Equal(w.clock.Now().Add(tt.after)) {
				t.Errorf("due %s, want in %s", got.At.Sub(w.clock.Now()), tt.after)
			}
		})
	}
}

// TestNotInvitedAgain: an invitation that went out, though its answer was lost, is not sent again after the invitee has declined.
func TestNotInvitedAgain(t *testing.T) {
	w := newWorld(t)
	w.hs.Before = func(invites.Effect) error {
		w.hs.Before = nil
		w.hs.Set(lobby, "m.room.member", bob.String(), alice, map[string]any{"membership": "invite"})
		return &invites.ActError{Class: invites.ClassFailed, Status: 502, Err: errors.New("lost")}
	}
	rows := w.ask(t, w.request(t, alice, bob))
	w.observe(t, "$invited", bob, alice, "invite")
	w.hs.Member(lobby, bob, "leave")
	w.observe(t, "$declined", bob, bob, "leave")
	w.clock.Advance(time.Minute)
	got, err := one(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || got.Code != "done" || w.membership(t, bob) != "leave" {
		t.Errorf("got %+v %v, bob's membership is %s", got, err, w.membership(t, bob))
	}
}

func TestDeliverGivesUp(t *testing.T) {
	w := newWorld(t)
	w.hs.Before = func(invites.Effect) error { return &invites.ActError{Class: invites.ClassFailed, Status: 500} }
	rows := w.ask(t, w.request(t, alice, bob))
	w.clock.Advance(2 * time.Hour)
	got, err := one(w.Delivery.Deliver(t.Context(), rows[0].ID))
	if err != nil || got.Code != invites.CodeGaveUp {
		t.Errorf("got %+v %v, want %s", got, err, invites.CodeGaveUp)
	}
}

func TestRedactedCommandIsCancelled(t *testing.T) {
	t.Run("by its sender, known from the stream", func(t *testing.T) {
		w := newWorld(t)
		w.AtOnce = 0
		req := w.request(t, alice, bob)
		rows := w.ask(t, req)
		if ok, err := w.db.Redact(t.Context(), req.Command, alice); !ok || err != nil {
			t.Fatal(ok, err)
		}
		cancelled(t, w, rows[0].ID)
	})
	t.Run("by a moderator, asked of the homeserver before a later attempt", func(t *testing.T) {
		w := newWorld(t)
		w.hs.Before = func(invites.Effect) error { return &invites.ActError{Class: invites.ClassFailed, Status: 500} }
		req := w.request(t, alice, bob)
		rows := w.ask(t, req)
		w.hs.Redact(req.Command)
		w.hs.Before = nil
		w.clock.Advance(time.Minute)
		cancelled(t, w, rows[0].ID)
	})
}

func cancelled(t *testing.T, w *world, row int64) {
	t.Helper()
	got, err := one(w.Delivery.Deliver(t.Context(), row))
	if err != nil || got.Code != invites.CodeRedacted {
		t.Errorf("got %+v %v, want %s", got, err, invites.CodeRedacted)
	}
	if snap, _ := w.hs.Snapshot(t.Context(), lobby, alice, nil, true); snap != nil {
		if membership, _ := snap.Membership(bob); membership != "leave" {
			t.Errorf("bob's membership is %s", membership)
		}
	}
}

func TestShadowBannedActorIsFoundOut(t *testing.T) {
	w := newWorld(t)
	w.hs.Mute = true
	if row := w.ask(t, w.request(t, alice, bob))[0]; row.Status != invites.StatusRefused || row.Code != invites.CodeNoEffect {
		t.Errorf("got %s %s, want refused %s", row.Status, row.Code, invites.CodeNoEffect)
	}
}

func TestAutoJoinFollowsInvitation(t *testing.T) {
	w := newWorld(t)
	w.in.Self.AutoJoin = func(user id.UserID) bool { return user == bob }
	w.build()
	w.ask(t, w.request(t, alice, bob, "@dora:here"))
	wakes := w.queue.Take()
	if len(wakes) != 1 {
		t.Fatalf("%d wake-ups, want one: bob's join", len(wakes))
	}
	if got, err := one(w.Delivery.Deliver(t.Context(), wakes[0].Row)); err != nil || got.Status != invites.StatusDone {
		t.Fatal(got, err)
	}
	acts := w.hs.Acts()
	last := acts[len(acts)-1]
	if last.Action != room.Join || last.Performer != bob || last.Target != bob {
		t.Errorf("last act %+v, want bob's join by bob", last)
	}
}

func TestJoinUnseenRoomAsksTheHomeserver(t *testing.T) {
	w := newWorld(t)
	req := w.request(t, alice, alice)
	req.Action, req.Room = room.Join, "!elsewhere:there"
	row := w.ask(t, req)[0]
	if row.Code != "M_NOT_FOUND" || len(w.hs.Acts()) != 1 {
		t.Errorf("got %s and %d requests, want the homeserver's own answer", row.Code, len(w.hs.Acts()))
	}
}

func TestShutdownLetsGoOfTheRow(t *testing.T) {
	w := newWorld(t)
	w.AtOnce = 0
	rows := w.ask(t, w.request(t, alice, bob))
	ctx, stop := context.WithCancel(t.Context())
	w.hs.Before = func(invites.Effect) error {
		stop()
		return &invites.ActError{Class: invites.ClassFailed, Err: ctx.Err()}
	}
	if _, err := one(w.Delivery.Deliver(ctx, rows[0].ID)); err != nil {
		t.Fatal(err)
	}
	if due, err := w.db.Due(t.Context(), w.clock.Now(), 10); err != nil || len(due) != 1 {
		t.Errorf("due %v %v, want the row at once", due, err)
	}
}

// one is what came of the only row that was delivered.
func one(outcomes []invites.Outcome, err error) (invites.Outcome, error) {
	if err != nil {
		return invites.Outcome{}, err
	}
	return outcomes[0], nil
}
