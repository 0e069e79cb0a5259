package requests_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/invites/invitestest"
	"usher/invites/requests"
	"usher/policy"
	"usher/room"
)

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
			w.Give(map[string]any{alice.String(): 100, bot.String(): 50})
		}, invites.StatusDone, "done", bot},
		{"the bot performs for a remote actor", remote, bob, func(w *world, _ *requests.Request) {
			w.Give(map[string]any{remote.String(): 50, bot.String(): 50})
		}, invites.StatusDone, "done", bot},
		{"a remote actor's power is not enough where the bot has none", remote, bob, func(w *world, _ *requests.Request) {
			w.Give(map[string]any{remote.String(): 50})
		}, invites.StatusRefused, "invite.power", ""},
		{"the bot's power is not lent", remote, bob, func(w *world, _ *requests.Request) {
			w.Give(map[string]any{bot.String(): 100})
		}, invites.StatusRefused, "invite.power", ""},
		{"too little power", carol, bob, nil, invites.StatusRefused, "invite.power", ""},
		{"the actor is not there", bob, carol, nil, invites.StatusRefused, "invite.sender_not_joined", ""},
		{"the target is banned", alice, bob, func(w *world, _ *requests.Request) { w.HS.Member(lobby, bob, "ban") },
			invites.StatusRefused, "invite.target_banned", ""},
		{"the target is there", alice, carol, nil, invites.StatusRefused, "invite.target_joined", ""},
		{"the target is invited already", alice, bob, func(w *world, _ *requests.Request) { w.HS.Member(lobby, bob, "invite") },
			invites.StatusDone, "invite.already", ""},
		{"a malformed policy denies", alice, bob, func(w *world, _ *requests.Request) {
			w.Give(admin)
			w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{"version": 1, "who": "all"})
		}, invites.StatusRefused, "policy.malformed", ""},
		{"an emptied policy is none", alice, bob, func(w *world, _ *requests.Request) {
			w.HS.Set(lobby, policy.EventType, "", alice, map[string]any{})
		}, invites.StatusDone, "done", alice},
		{"an unknown room is not guessed at", alice, bob, func(_ *world, r *requests.Request) { r.Room = "!other:here" },
			invites.StatusRefused, "unknown.no_view", ""},
		{"nobody is joined by somebody else", alice, remote, func(_ *world, r *requests.Request) { r.Action = room.Join },
			invites.StatusRefused, "performer.no_assertion", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			req := w.Request(t, tt.actor, tt.target)
			if tt.before != nil {
				tt.before(w, &req)
			}
			row := w.MustAsk(t, req)[0]
			if row.Status != tt.status || row.Code != tt.code {
				t.Errorf("got %s %s (%s), want %s %s", row.Status, row.Code, row.Detail, tt.status, tt.code)
			}
			if row.Status == invites.StatusRefused && row.Detail.Empty() {
				t.Error("a refusal without a word")
			}
			acts := w.HS.Acts()
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
	req := w.Request(t, alice, bob, remote, carol, "@d:here", "@e:here", "@f:here", bob)
	rows := w.MustAsk(t, req)
	if len(rows) != 6 {
		t.Fatalf("%d rows, want one for each person", len(rows))
	}
	queued := w.Queue.Take()
	if len(queued) != 1 || len(w.HS.Acts()) != 3 {
		t.Fatalf("%d queued, %d sent; want 1 and 3", len(queued), len(w.HS.Acts()))
	}
	w.MustAsk(t, req) // as after a crash before the answer
	if got := len(w.HS.Acts()); got != 4 {
		t.Errorf("%d sent, want 4: each person once", got)
	}
	outcome, err := invitestest.One(w.Delivery.Deliver(t.Context(), queued[0].Row))
	if err != nil || outcome.Status != "" {
		t.Errorf("got %v %v, want that the row is settled", outcome, err)
	}
	req.Room = "!elsewhere:here" // what the alias in it names by now
	w.HS.Create(req.Room, "11", alice, bot)
	w.MustAsk(t, req)
	if got := len(w.HS.Acts()); got != 4 {
		t.Errorf("%d sent, want 4: a command acts in one room", got)
	}
}

func TestJoinUnseenRoomAsksTheHomeserver(t *testing.T) {
	w := newWorld(t)
	req := w.Request(t, alice, alice)
	req.Action, req.Room = room.Join, "!elsewhere:there"
	row := w.MustAsk(t, req)[0]
	if row.Code != "M_NOT_FOUND" || len(w.HS.Acts()) != 1 {
		t.Errorf("got %s and %d requests, want the homeserver's own answer", row.Code, len(w.HS.Acts()))
	}
}
