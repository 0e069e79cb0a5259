package room_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

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

func TestNamed(t *testing.T) {
	for _, test := range []struct{ version, create, levels, want string }{
		{"10", `{"creator":"@a:x"}`, ``, "@a:x"},
		{"10", `{"creator":"@a:x","additional_creators":["@c:x"]}`, `{"users":{"@m:x":50,"@z:x":100,"@b:x":100,"@bad:x":[]}}`, "@b:x @z:x @m:x @a:x @bad:x"},
		{"12", `{"additional_creators":["@c:x"]}`, `{"users":{"@m:x":9007199254740991,"@low:x":-5}}`, "@a:x @c:x @m:x @low:x"},
		{"12", `{"additional_creators":["@c:x","@c:x"]}`, `{"USERS":{"@m:x":50}}`, "@a:x @c:x"},
	} {
		events := map[room.Key]*room.Event{{Type: "m.room.create"}: {Sender: "@a:x", Content: json.RawMessage(test.create)}}
		if test.levels != "" {
			events[room.Key{Type: "m.room.power_levels"}] = &room.Event{Sender: "@a:x", Content: json.RawMessage(test.levels)}
		}
		snap := room.NewSnapshot(room.State{Version: id.RoomVersion(test.version), Complete: true, Events: events})
		if got := strings.Trim(fmt.Sprint(snap.Named()), "[]"); got != test.want {
			t.Errorf("v%s %s %s: %s, want %s", test.version, test.create, test.levels, got, test.want)
		}
	}
}
