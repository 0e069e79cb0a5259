package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/store"
	"usher/store/pgtest"
)

// replicas are devices with the same keys. What one tells, the others hear at once.
type replicas struct {
	t     *testing.T
	stub  *stub
	rooms *fakeRooms
	uri   string

	mu  sync.Mutex
	all []*replica
}

type replica struct {
	*Device
	came chan id.RoomID
	stop func()
}

// start starts one more.
func (rs *replicas) start() *replica {
	rs.t.Helper()
	keys, err := store.OpenKeys(rs.t.Context(), store.Config{Type: "postgres", URI: rs.uri, MaxOpenConns: 4, MaxIdleConns: 2})
	if err != nil {
		rs.t.Fatal(err)
	}
	r := &replica{came: make(chan id.RoomID, 1000)}
	r.Device, err = New(rs.t.Context(), Options{
		Homeserver: rs.stub.url, Bot: bot, Token: "as", PickleKey: "pickle", Keys: keys, Rooms: rs.rooms, Log: zerolog.Nop(),
		Arrived: func(in id.RoomID) { r.came <- in },
		Tell: func(_ context.Context, what string, in id.RoomID) {
			rs.mu.Lock()
			all := rs.all
			rs.mu.Unlock()
			for _, other := range all {
				if other != r {
					other.Heard(what, in)
				}
			}
		},
	})
	if err != nil {
		rs.t.Fatal(err)
	}
	rs.mu.Lock()
	rs.all = append(rs.all, r)
	rs.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	r.stop = sync.OnceFunc(func() { cancel(); parts.Wait(); _ = keys.Close() })
	rs.t.Cleanup(r.stop)
	parts.Go(func() { r.Run(ctx) })
	parts.Go(func() { r.Serve(ctx) })
	return r
}

// having waits until one replica, and not the one given, has the device, and returns it.
func (rs *replicas) having(not *replica) *replica {
	rs.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); ; {
		var found []*replica
		for _, r := range rs.all {
			r.mu.Lock()
			if r.machine != nil {
				found = append(found, r)
			}
			r.mu.Unlock()
		}
		if len(found) > 1 {
			rs.t.Fatalf("%d replicas have the device", len(found))
		}
		if len(found) == 1 && found[0] != not {
			return found[0]
		}
		select {
		case <-tick.C:
		case <-end:
			rs.t.Fatal("nobody has the device")
		}
	}
}

// TestReplicas: three replicas with one device. Whichever is asked opens and seals; when the one that has the device goes, or loses
// its session at the database, another goes on with the same device, and with what was sent to it meanwhile.
func TestReplicas(t *testing.T) {
	pg, err := pgtest.Start()
	pgtest.Need(t, err)
	t.Cleanup(func() { _ = pg.Stop() })
	rs := &replicas{t: t, stub: newStub(t), rooms: &fakeRooms{}, uri: pg.Database(t)}
	a := newPerson(t, rs.stub, alice)
	for range 3 {
		rs.start()
	}
	works := func(round string) {
		t.Helper()
		ev := a.say(round, bot)
		for i, r := range rs.all {
			opened, err := r.Open(t.Context(), ev)
			for end := time.Now().Add(20 * time.Second); errors.Is(err, ErrNoKey) && time.Now().Before(end); opened, err = r.Open(t.Context(), ev) {
				await(t, r.came)
			}
			if err != nil || text(opened) != round || opened.Type != "m.room.message" {
				t.Errorf("%s: replica %d opens %q, %v", round, i, text(opened), err)
			}
			said := fmt.Sprintf("%s %d", round, i)
			kind, sealed, err := r.Seal(t.Context(), secret, "m.room.message", map[string]any{"msgtype": "m.notice", "body": said})
			if err != nil || kind != "m.room.encrypted" {
				t.Fatalf("%s: replica %d seals %s, %v", round, i, kind, err)
			}
			heard, err := a.hear(rs.stub, sealed)
			if err != nil || heard.Content.Raw["body"] != said {
				t.Errorf("%s: alice hears %v of replica %d, %v", round, heard, i, err)
			}
			if kind, _, err := r.Seal(t.Context(), plain, "m.reaction", json.RawMessage(`{}`)); err != nil || kind != "m.reaction" {
				t.Errorf("%s: in a plain room, replica %d sends %s, %v", round, i, kind, err)
			}
		}
	}
	first := rs.having(nil)
	works("at first")
	twice := a.say("twice", bot)
	again := twice
	again.Event = "$again"
	for _, r := range rs.all {
		await(t, r.came)
		if _, err := r.Open(t.Context(), twice); err != nil && !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
	}
	works("then")
	for _, r := range rs.all {
		if _, err := r.Open(t.Context(), again); !errors.Is(err, ErrReplay) {
			t.Errorf("a replay: %v", err)
		}
	}

	if _, err := first.o.Keys.DB.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`); err != nil {
		t.Fatal(err)
	}
	second := rs.having(first)
	works("after one lost its session")

	second.stop()
	rs.mu.Lock()
	for i, r := range rs.all {
		if r == second {
			rs.all = append(rs.all[:i:i], rs.all[i+1:]...)
		}
	}
	rs.mu.Unlock()
	works("after one stopped")
	if n := len(rs.stub.keys[bot]); n != 1 {
		t.Errorf("the bot has %d devices", n)
	}
}
