package events

import (
	"encoding/json"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

const bot = "@usher:x"

func TestRoute(t *testing.T) {
	state := func(key string) *string { return &key }
	for _, c := range []struct {
		kind    string
		key     *string
		sender  id.UserID
		raw     string
		keep    Keep
		handler Handler
	}{
		{"m.room.message", nil, "@a:x", `{}`, IfAddressed, ToCommands},
		{"m.room.message", state(""), "@a:x", `{}`, Never, Nobody},
		{"m.room.encrypted", nil, "@a:x", `{}`, IfSecret, Nobody},
		{"m.reaction", nil, "@a:x", `{}`, IfVote, ToCards},
		{"m.room.redaction", nil, "@a:x", `{}`, IfCard, ToRedacted},
		{"m.room.member", state(bot), "@a:x", `{"content":{"membership":"invite"}}`, Always, ToOwn},
		{"m.room.member", state(bot), bot, `{"content":{"membership":"leave"}}`, Always, ToOwn},
		{"m.room.member", state("@a:x"), "@a:x", `{"content":{"membership":"knock"}}`, Always, ToKnocks},
		{"m.room.member", state("@b:x"), "@a:x", `{"content":{"membership":"knock"}}`, Always, ToGuard},
		{"m.room.member", state("@a:x"), "@a:x", `{"content":{"membership":"join"}}`, IfGuarded, ToGuard},
		{"m.room.member", state("@b:x"), "@a:x", `{"content":{"membership":"invite"}}`, IfGuarded, ToGuard},
		{"m.room.member", state("@a:x"), "@a:x", `{"content":{"membership":"leave"}}`, Never, Nobody},
		{"m.room.member", state("@a:x"), "@a:x", `{"content":{"MEMBERSHIP":"knock"},"CONTENT":{"membership":"knock"}}`, Never, Nobody},
		{"m.room.member", nil, "@a:x", `{"content":{"membership":"join"}}`, Never, Nobody},
		{"m.room.join_rules", state(""), "@a:x", `{}`, IfGuarded, ToGuard},
		{"m.room.power_levels", state(""), "@a:x", `{}`, IfGuardedOrClaimed, ToLevels},
		{"m.room.power_levels", state("x"), "@a:x", `{}`, Never, Nobody},
		{"chat.usher.policy", state(""), "@a:x", `{}`, Always, ToPolicy},
		{"m.room.tombstone", state(""), "@a:x", `{}`, Always, ToFollow},
		{"m.space.child", state("!c"), "@a:x", `{}`, Always, ToSpaces},
		{"m.space.parent", state("!p"), "@a:x", `{}`, Always, ToSpaces},
		{"m.room.name", state(""), "@a:x", `{}`, Never, Nobody},
	} {
		row := Route(invites.Received{Type: c.kind, StateKey: c.key, Sender: c.sender, Raw: json.RawMessage(c.raw)}, bot)
		if row.Keep != c.keep || row.Handler != c.handler {
			t.Errorf("%s %s: keep %d, handler %d, want %d, %d", c.kind, c.raw, row.Keep, row.Handler, c.keep, c.handler)
		}
		if opens := c.kind == "m.room.message" && c.key == nil || c.kind == "m.reaction"; row.Opens != opens {
			t.Errorf("%s opens: %t", c.kind, row.Opens)
		}
	}
}

func TestInvalidated(t *testing.T) {
	for k, want := range map[room.Key]Caches{
		room.MemberKey("@a:x"): Keys, room.MemberKey(bot): Keys, {Type: "m.room.encryption"}: Keys, {Type: "m.room.history_visibility"}: Keys,
		{Type: "m.room.power_levels"}: Rules | Power, {Type: "chat.usher.policy"}: Rules, {Type: "chat.usher.policy", StateKey: "x"}: 0,
		{Type: "m.room.topic"}: 0, {Type: "m.room.message"}: 0,
	} {
		if got := Invalidated(k); got != want {
			t.Errorf("%v invalidates %b, want %b", k, got, want)
		}
	}
}

// TestKept checks that each kept kind of event has a handler, except encrypted events, which are opened first, and that the stream can't
// bring events of the intake's own type.
func TestKept(t *testing.T) {
	for _, r := range table {
		ours := r.Type == Unreadable // made by the intake
		if (r.Keep != Never && r.Type != room.TypeEncrypted || ours) != (r.Handler != Nobody) {
			t.Errorf("%+v", r)
		}
	}
}
