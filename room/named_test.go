package room_test

import (
	"encoding/json"
	"testing"

	"usher/room"
)

func TestNamedLevel(t *testing.T) {
	for _, tt := range []struct {
		version, levels, name string
		want                  room.Level
		known                 bool
	}{
		{"11", `{"invite":50}`, "invite", 50, true},
		{"11", `{}`, "invite", 0, true},
		{"11", `{}`, "kick", 50, true},
		{"11", `{"users_default":10}`, "users_default", 10, true},
		{"11", `{"events":{"m.room.name":60}}`, "events.m.room.name", 60, true},
		{"11", `{"state_default":70}`, "events.m.room.name", 70, true},
		{"11", `{}`, "notifications.room", 50, true},
		{"11", `{"notifications":{"room":0}}`, "notifications.room", 0, true},
		{"11", `{"invite":"50"}`, "invite", 0, false},
		{"9", `{"invite":"50"}`, "invite", 50, true},
		{"11", `{}`, "nonsense", 0, false},
		{"99", `{}`, "invite", 0, false},
	} {
		s := room.NewSnapshot(room.State{Events: map[room.Key]*room.Event{
			{Type: "m.room.create"}:       {Sender: "@o:x", Content: json.RawMessage(`{"room_version":"` + tt.version + `","creator":"@o:x"}`)},
			{Type: "m.room.power_levels"}: {Sender: "@o:x", Content: json.RawMessage(tt.levels)},
		}})
		if got, known := s.NamedLevel(tt.name); known != tt.known || known && got != tt.want {
			t.Errorf("v%s %s %s: %d %t", tt.version, tt.levels, tt.name, got, known)
		}
	}
	if _, known := room.NewSnapshot(room.State{}).NamedLevel("invite"); known {
		t.Error("nothing is known")
	}
}
