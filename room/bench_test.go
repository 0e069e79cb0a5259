package room

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
)

// bigRoom is the state of a room with 100 users in its power levels, as a homeserver gives it.
func bigRoom() State {
	raw := func(sender id.UserID, content string) *Event {
		return &Event{ID: "$e", Sender: sender, Content: json.RawMessage(content)}
	}
	const creator = "@olga:one.example"
	var users strings.Builder
	for i := range 99 {
		fmt.Fprintf(&users, `,"@user%02d:server%d.example":%d`, i*37%99, i%7, i)
	}
	return State{Events: map[Key]*Event{
		{Type: TypeCreate}:    raw(creator, `{"room_version":"11"}`),
		{Type: TypeJoinRules}: raw(creator, `{"join_rule":"invite"}`),
		{Type: TypePowerLevels}: raw(creator, `{"ban":50,"events":{"m.room.avatar":50,"m.room.canonical_alias":50,"m.room.encryption":100,`+
			`"m.room.history_visibility":100,"m.room.name":50,"m.room.power_levels":100,"m.room.server_acl":100,"m.room.tombstone":100},`+
			`"events_default":0,"historical":100,"invite":50,"kick":50,"redact":50,"state_default":50,"users_default":0,`+
			`"users":{"@olga:one.example":100`+users.String()+`}}`),
		MemberKey(creator):              raw(creator, `{"membership":"join","displayname":"Olga","avatar_url":"mxc://one.example/abc"}`),
		MemberKey("@user36:server1.ex"): raw("@user36:server1.ex", `{"membership":"join","displayname":"U"}`),
		MemberKey("@bela:one.example"):  nil,
	}}
}

// BenchmarkInvite is an invite check on a warm snapshot. The target is 150 ns and no allocation.
func BenchmarkInvite(b *testing.B) {
	s := NewSnapshot(bigRoom())
	a := Action{Type: Invite, Sender: "@olga:one.example", Target: "@bela:one.example"}
	if r := Authorize(s, a); r.Verdict != Allow {
		b.Fatal(r)
	}
	b.ReportAllocs()
	for b.Loop() {
		Authorize(s, a)
	}
}

// BenchmarkSnapshot builds a snapshot from raw state. The target is 30 µs.
func BenchmarkSnapshot(b *testing.B) {
	state := bigRoom()
	b.ReportAllocs()
	for b.Loop() {
		NewSnapshot(state)
	}
}

// BenchmarkSetPowerLevels compares two contents of 100 users.
func BenchmarkSetPowerLevels(b *testing.B) {
	state := bigRoom()
	s := NewSnapshot(state)
	a := Action{Type: SetPowerLevels, Sender: "@olga:one.example", Content: state.Events[Key{Type: TypePowerLevels}].Content}
	if r := Authorize(s, a); r.Verdict != Allow {
		b.Fatal(r)
	}
	b.ReportAllocs()
	for b.Loop() {
		Authorize(s, a)
	}
}
