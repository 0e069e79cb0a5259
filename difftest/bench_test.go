package difftest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/matrix-org/gomatrixserverlib"

	"usher/room"
	"usher/room/roomtest"
)

// invite is an invitation in a room with 100 users in its power levels.
func invite() pair {
	users := map[string]int{"@olga:one.example": 100}
	for i := range 99 {
		users[fmt.Sprintf("@user%02d:server%d.example", i, i%7)] = i
	}
	event := func(content any) *room.Event {
		raw, err := json.Marshal(content)
		if err != nil {
			panic(err)
		}
		return &room.Event{Sender: "@olga:one.example", Content: raw}
	}
	type object = map[string]any
	return newPair(roomtest.Case{
		State: room.State{Version: "11", Complete: true, Events: map[room.Key]*room.Event{
			createKey:    event(object{"room_version": "11"}),
			joinRulesKey: event(object{"join_rule": "invite"}),
			levelsKey:    event(object{"users": users, "invite": 50, "events": object{"m.room.power_levels": 100}}),
			{Type: "m.room.member", StateKey: "@olga:one.example"}: event(object{"membership": "join"}),
		}},
		Action: room.Action{Type: room.Invite, Sender: "@olga:one.example", Target: "@bela:one.example", Content: json.RawMessage(`{}`)},
	})
}

// BenchmarkInvite judges the same invitation on a warm snapshot, with a snapshot built for it from raw state, and by
// gomatrixserverlib's Allowed, whose events are parsed already. It reports how many times faster than the last the first is.
func BenchmarkInvite(b *testing.B) {
	p := invite()
	c, err := newServerlibCase(p)
	if err != nil || p.Verdict != room.Allow {
		b.Fatal(err, p)
	}
	var warm, cold float64
	each := func(b *testing.B) float64 { return float64(b.Elapsed().Nanoseconds()) / float64(b.N) }
	b.Run("room-warm", func(b *testing.B) {
		s := room.NewSnapshot(p.State)
		for b.Loop() {
			room.Authorize(s, p.Action)
		}
		warm = each(b)
	})
	b.Run("room-cold", func(b *testing.B) {
		for b.Loop() {
			room.Authorize(room.NewSnapshot(p.State), p.Action)
		}
		cold = each(b)
	})
	b.Run("gomatrixserverlib", func(b *testing.B) {
		for b.Loop() {
			if err := gomatrixserverlib.Allowed(c.event, c.auth, serverlibUser); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(each(b)/warm, "×warm")
		b.ReportMetric(each(b)/cold, "×cold")
	})
}
