package room

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestPlainLevels(t *testing.T) {
	for _, tt := range []struct{ version, content, want string }{
		{"9", `{"invite":"50","ban":50,"users":{"@a:b":"100","@c:d":" +7 "},"events":{"m.room.name":"0"},"notifications":{"room":"20"},"x":"5","y":{"ban":"5"}}`,
			`{"invite":50,"ban":50,"users":{"@a:b":100,"@c:d":7},"events":{"m.room.name":0},"notifications":{"room":20},"x":"5","y":{"ban":"5"}}`},
		{"5", `{"invite":50.9,"kick":5e1}`, `{"invite":50,"kick":50}`},
		{"9", `{"invite":"fifty","kick":null,"ban":[]}`, `{"invite":"fifty","kick":null,"ban":[]}`},
		{"10", `{"invite":"50"}`, `{"invite":"50"}`},
		{"11", `{"invite":50}`, `{"invite":50}`},
		{"9", `[]`, ``}, {"9", `{"invite":"1","invite":"2"}`, ``},
	} {
		s := NewSnapshot(State{Events: map[Key]*Event{
			{Type: TypeCreate}: {Sender: "@a:b", Content: fmt.Appendf(nil, `{"room_version":%q,"creator":"@a:b"}`, tt.version)}}})
		if got := s.PlainLevels(json.RawMessage(tt.content)); string(got) != tt.want {
			t.Errorf("v%s %s: %s", tt.version, tt.content, got)
		}
	}
}
