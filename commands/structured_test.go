package commands

import (
	"encoding/json"
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/words"
)

// asData puts a structured command into a message. The message's text is another command.
func asData(t *testing.T, command, arguments string, change ...func(content map[string]any)) func(*invites.Received) {
	t.Helper()
	content := map[string]any{
		"msgtype": "m.text", "body": "!invite @mallory:here", "m.mentions": map[string]any{"user_ids": []string{"@usher:here"}},
		structuredKey: map[string]any{"command": command, "arguments": json.RawMessage(arguments)},
	}
	for _, c := range change {
		c(content)
	}
	raw, err := json.Marshal(map[string]any{"content": content})
	if err != nil {
		t.Fatal(err)
	}
	return func(ev *invites.Received) { ev.Raw = raw }
}

// TestStructuredMeaning: the arguments of a structured command must have the declared types.
func TestStructuredMeaning(t *testing.T) {
	const wrong = "has the wrong type"
	tests := []struct{ command, arguments, want string }{
		{"invite", `{"user":["@bob:here","@dora:here"]}`, "invite @bob:here @dora:here"},
		{"Invite", `{"user":["@bob:here"],"room":null,"dry-run":false}`, "invite @bob:here"},
		{"invite", `{"user":["@bob:here"],"room":"#lobby:here","reason":"be my guest","dry-run":true}`,
			"invite @bob:here in #lobby:here “be my guest” --dry-run"},
		{"invite", `{"user":["@bob:here"],"room":{"type":"room_id","id":"!lobby:here"}}`, "invite @bob:here in !lobby:here"},
		{"invite", `{"user":["@bob:here"],"room":{"type":"room_id","id":"!lobby","via":["one","two"]}}`,
			"invite @bob:here in !lobby+one+two"},
		{"invite", `{"user":["@bob:here"],"reason":"--dry-run #lobby:here"}`, "invite @bob:here “--dry-run #lobby:here”"},
		{"policy set", `{"room":"#lobby:here","field":"whom.lists","value":"#list:here !other"}`,
			"policy set in #lobby:here whom.lists #list:here !other"},
		{"policy test", `{"actor":"@a:here","action":"invite","user":["@b:here"]}`, "policy test @a:here invite @b:here"},
		{"policy test", `{"actor":"@a:here","user":["@b:here"]}`, "policy test @a:here @b:here"},
		{"knocks accept", `{"number":[1,3]}`, "knocks accept 1 3"},
		{"knocks accept all", `{}`, "knocks accept all"},
		{"audit", `{"since":"7d"}`, "audit 7d"},
		{"ping", `null`, "ping"},
		{"weather", `{}`, "? I know no command “weather”. Try !help."},
		{"invite", `{}`, "Please name the people"},
		{"invite", `{"user":[]}`, wrong},
		{"invite", `{"user":null}`, "Please name the people"},
		{"invite", `{"user":"@bob:here"}`, wrong},
		{"invite", `{"user":["@bob"]}`, wrong},
		{"invite", `{"user":["@bob:"]}`, wrong},
		{"invite", `{"user":["@bob:here."]}`, wrong},
		{"invite", `{"user":["@b\u202eob:here"]}`, wrong},
		{"invite", `{"user":["bob"]}`, wrong},
		{"invite", `{"user":[1]}`, wrong},
		{"invite", `{"user":[null]}`, wrong},
		{"invite", `{"user":[["@bob:here"]]}`, wrong},
		{"invite", `{"user":["@bob:here"],"dry-run":"true"}`, wrong},
		{"invite", `{"user":["@bob:here"],"dry-run":1}`, wrong},
		{"invite", `{"user":["@bob:here"],"room":"lobby"}`, wrong},
		{"invite", `{"user":["@bob:here"],"room":"!lobby:here"}`, wrong},
		{"invite", `{"user":["@bob:here"],"room":{"type":"event_id","id":"!lobby:here"}}`, wrong},
		{"invite", `{"user":["@bob:here"],"room":{"type":"room_id","id":"#lobby:here"}}`, wrong},
		{"invite", `{"user":["@bob:here"],"room":{"type":"room_id","id":"!lobby:here","via":"one"}}`, wrong},
		{"invite", `{"user":["@bob:here"],"reason":7}`, wrong},
		{"invite", `{"user":["@bob:here"],"force":true}`, "an argument that I don't know"},
		{"invite", `{"user":["@bob:here"],"DRY-RUN":true}`, "an argument that I don't know"},
		{"invite", `{"user":["@bob:here"],"u\u017fer":["@mallory:here"]}`, "an argument that I don't know"},
		{"approve", `{"number":[1.5]}`, wrong},
		{"approve", `{"number":["1"]}`, wrong},
		{"approve", `{"number":[0]}`, wrong},
		{"why", `{"user":["@bob:here"],"action":"dance"}`, wrong},
		{"audit", `{"since":"tomorrow"}`, wrong},
		{"policy dance", `{}`, "I know no command “policy dance”"},
	}
	d, _ := newRunner(t)
	for _, tt := range tests {
		ev := invites.Received{Room: lobby, Sender: alice}
		asData(t, tt.command, tt.arguments)(&ev)
		m, err := Parse(ev)
		if err != nil {
			t.Fatal(err)
		}
		got := meaning(d, m)
		if rest, refused := strings.CutPrefix(got, "✗ "); got != tt.want && (!refused || !strings.Contains(rest, tt.want) || tt.want == "") {
			t.Errorf("%s %s\n got %s\nwant %s", tt.command, tt.arguments, got, tt.want)
		}
	}
}

// TestStructuredRules: the rules for typed commands hold for structured ones, and a structured one counts instead of the text.
func TestStructuredRules(t *testing.T) {
	const bob = `{"user":["@bob:here"]}`
	mentions := func(users ...string) func(map[string]any) {
		return func(content map[string]any) { content["m.mentions"] = map[string]any{"user_ids": users} }
	}
	set := func(key string, value any) func(map[string]any) {
		return func(content map[string]any) { content[key] = value }
	}
	tests := []struct {
		name    string
		sender  id.UserID
		message func(*invites.Received)
		change  func(*invites.Received)
		react   string
		has     string
		invited id.UserID
	}{
		{"it runs", alice, asData(t, "invite", bob), nil, "✅", "", "@bob:here"},
		{"an unknown command", alice, asData(t, "inviet", bob), nil, "", "Did you mean !invite?", ""},
		{"without the power", carol, asData(t, "invite", bob), nil, "", "invite.power", ""},
		{"without permission", "@eve:there", asData(t, "invite", bob), nil, "", "permissions", ""},
		{"too old", alice, asData(t, "invite", bob), func(ev *invites.Received) { ev.SentAt = ev.SentAt.Add(-1e12 * 3600) }, "", "too_old", ""},
		{"redacted", alice, asData(t, "invite", bob), func(ev *invites.Received) { ev.Redacted = true }, "", "", ""},
		{"an edit", alice, asData(t, "invite", bob, set("m.relates_to", map[string]any{"rel_type": "m.replace", "event_id": "$x"})), nil, "", "", ""},
		{"in what an edit replaces", alice, asData(t, "invite", bob, func(content map[string]any) {
			content["m.new_content"] = map[string]any{structuredKey: content[structuredKey]}
			delete(content, structuredKey)
			content["body"] = "hello"
		}), nil, "", "", ""},
		{"a notice", alice, asData(t, "invite", bob, set("msgtype", "m.notice")), nil, "", "", ""},
		{"to another bot", alice, asData(t, "invite", bob, mentions("@draupnir:here")), nil, "", "", ""},
		{"to two bots", alice, asData(t, "invite", bob, mentions("@usher:here", "@draupnir:here")), nil, "", "", ""},
		{"to nobody", alice, asData(t, "invite", bob, mentions()), nil, "", "", ""},
		{"no object", alice, asData(t, "invite", bob, set(structuredKey, "invite")), nil, "✅", "", "@mallory:here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, hs := newRunner(t)
			change := []func(*invites.Received){tt.message}
			if tt.change != nil {
				change = append(change, tt.change)
			}
			_, reply := say(t, d, lobby, tt.sender, "structured", change...)
			if got := reply.Text.String(); reply.React != tt.react || (tt.has == "") != (got == "") || !strings.Contains(got, tt.has) {
				t.Errorf("reaction %q, notice %q", reply.React, got)
			}
			acts := hs.Acts()
			if len(acts) > 1 || (len(acts) == 1) != (tt.invited != "") || len(acts) == 1 && acts[0].Target != tt.invited {
				t.Errorf("acts %+v", acts)
			}
		})
	}
}

// TestStructuredLimit: structured commands count like typed ones.
func TestStructuredLimit(t *testing.T) {
	d, hs := newRunner(t)
	d.Limit = func(invites.Received) (run, tell bool) { return false, true }
	_, reply := say(t, d, lobby, alice, "structured", asData(t, "invite", `{"user":["@bob:here"]}`))
	if len(hs.Acts()) > 0 || !strings.Contains(reply.Text.String(), "limited") {
		t.Errorf("got %q, acts %v", reply.Text.String(), hs.Acts())
	}
}

// TestStructuredConfirmation: the vote on the card of a structured command carries that command out.
func TestStructuredConfirmation(t *testing.T) {
	d, hs := newRunner(t)
	seen(t, d, hs, "@dora:here", bob, 0)
	if _, reply := say(t, d, lobby, alice, "structured", asData(t, "prune", `{"user":["@nobody:here"]}`)); !strings.Contains(reply.Text.String(), "wrong type") {
		t.Errorf("got %q", reply.Text.String())
	}
	say(t, d, lobby, alice, "structured", asData(t, "prune", `{"user":"@bob:here"}`))
	confirm(t, d, confirmation(t, d), alice, invites.Accept)
	if acts := hs.Acts(); len(acts) != 1 || acts[0].Target != "@dora:here" {
		t.Errorf("got %v", acts)
	}
}

// TestDescriptions: each form of a command is described once, by a valid content.
func TestDescriptions(t *testing.T) {
	described := Descriptions("@usher:here", words.For(""))
	forms := 0
	for _, c := range Table() {
		forms += len(c.forms())
	}
	if len(described) != forms {
		t.Errorf("%d descriptions of %d forms", len(described), forms)
	}
	for key, content := range described {
		if key != content.StateKey("@usher:here") || content.Validate() != nil {
			t.Errorf("%s: %+v", key, content)
		}
	}
}
