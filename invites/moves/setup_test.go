package moves_test

import (
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
	"usher/invites/invitestest"
	"usher/policy"
	"usher/room"
)

const (
	bot   = invitestest.Bot
	alice = invitestest.Alice
	bob   = invitestest.Bob
	carol = invitestest.Carol
	old   = invitestest.Lobby
	next  = id.RoomID("!next:here")
	space = id.RoomID("!space:here")
	other = id.RoomID("!other:here")
)

type object = map[string]any

// world is a world with an upgraded lobby.
type world struct {
	*invitestest.World
	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{invitestest.NewWorld(t), t}
	w.HS.Clock = w.Clock
	w.Power(0)
	w.replace(old, next, alice)
	return w
}

// replace has a user replace a room by one of their own, with the bot in it.
func (w *world) replace(from, to id.RoomID, by id.UserID) {
	w.HS.Create(to, "11", by, bot)
	w.HS.Set(to, room.TypeCreate, "", by, object{"room_version": "11", "creator": by, "predecessor": object{"room_id": from}})
	w.HS.Set(to, room.TypePowerLevels, "", by, object{"invite": 50, "users": object{string(by): 100, string(bot): 50}})
	w.HS.Set(from, room.TypeTombstone, "", by, object{"replacement_room": to})
}

// carry begins an upgrade and works on it until nothing is left.
func (w *world) carry(to id.RoomID) (u invites.Upgrade) {
	w.t.Helper()
	if err := w.Moves.Begin(w.t.Context(), to); err != nil {
		w.t.Fatal(err)
	}
	for range 100 {
		w.Clock.Advance(time.Minute)
		due, err := w.Moves.Due(w.t.Context())
		if err != nil || len(due) == 0 {
			w.t.Fatalf("nothing is due: %v", err)
		}
		var done bool
		if u, done, err = w.Moves.Run(w.t.Context(), due[0]); err != nil {
			w.t.Fatal(err)
		}
		if !done {
			continue
		}
		if err := w.Moves.Told(w.t.Context(), u); err != nil {
			w.t.Fatal(err)
		}
		if due, err = w.Moves.Due(w.t.Context()); err != nil || len(due) != 0 {
			w.t.Fatalf("still due: %+v %v", due, err)
		}
		return u
	}
	w.t.Fatal("the upgrade is never over")
	return u
}

// state returns a piece of state and its sender; nil where there is none.
func (w *world) state(r id.RoomID, kind, key string) *room.Event {
	w.t.Helper()
	snap, err := w.HS.Snapshot(w.t.Context(), r, bot, nil, true)
	if err != nil {
		w.t.Fatal(err)
	}
	event, _ := snap.Event(room.Key{Type: kind, StateKey: key})
	if event != nil && len(event.Content) <= 2 {
		return nil
	}
	return event
}

// notes lists the keys of the notes of an upgrade.
func notes(u invites.Upgrade) (keys []string) {
	for _, text := range u.Notes {
		keys = append(keys, room.ReadPhrase(text).Key)
	}
	return keys
}

// named returns a value of the policy of a room.
func (w *world) named(r id.RoomID, path ...string) string {
	w.t.Helper()
	event := w.state(r, policy.EventType, "")
	if event == nil {
		return ""
	}
	return string(exactjson.Find(event.Content, path...))
}
