package inbound_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites/inbound"
)

// TestReload: rules in the operators' room replace those of the config, if an operator with the power for it wrote them and they can be read whole.
func TestReload(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		author        id.UserID
		fields        string
		faults        string // keys with their fields
		sender        inbound.Limit
	}{
		{"one limit", `{"sender":{"people":2,"per":"30m"}}`, "@operator:here", "sender", "", inbound.Limit{People: 2, Per: 30 * time.Minute}},
		{"half a limit", `{"sender":{"people":2},"block_for":"2d"}`, "@operator:here", "sender block_for", "", inbound.Limit{People: 2, Per: time.Hour}},
		{"nothing", `{}`, "@operator:here", "", "", defaults().Sender},
		{"no operator", `{"sender":{"people":2}}`, "@eve:here", "", "author", defaults().Sender},
		{"an operator without power", `{"sender":{"people":2}}`, "@mod:here", "", "author", defaults().Sender},
		{
			"faults", `{"sender":{"people":2.5,"per":"2w","x":1},"server":5,"ip_literals":"yes","lists":["a"],"block_for":"1s","enabled":false,"ban_list":"!x"}`, "@operator:here",
			"sender server ip_literals lists block_for enabled ban_list",
			"lists:lists object:server people:sender.people span:block_for span:sender.per switch:ip_literals unknown:ban_list unknown:enabled unknown:sender.x", defaults().Sender,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules := defaults()
			rules.Ops, rules.BanList, rules.Lists = "!ops:here", "!bans:here", []id.RoomID{"!old:here", "!bans:here"}
			g := newGate(t, rules)
			var content any
			if err := json.Unmarshal([]byte(tt.content), &content); err != nil {
				t.Fatal(err)
			}
			g.rooms.Member("!ops:here", "@eve:here", "join")
			g.rooms.Set("!ops:here", inbound.EventType, "", tt.author, content)
			found, err := g.Reload(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var faults []string
			for _, p := range found.Faults {
				field := p.Args["field"]
				faults = append(faults, strings.TrimSuffix(strings.TrimPrefix(p.Key, "inbound.fault.")+":"+field, ":"))
			}
			slices.Sort(faults)
			want := strings.Fields(tt.faults)
			if len(found.Fields) != len(strings.Fields(tt.fields)) || strings.Join(faults, " ") != strings.Join(want, " ") || g.InForce().Sender != tt.sender {
				t.Errorf("fields %q, faults %q, sender %+v", found.Fields, faults, g.InForce().Sender)
			}
		})
	}
	rules := defaults()
	rules.Ops, rules.BanList = "!ops:here", "!bans:here"
	g := newGate(t, rules)
	g.rooms.Set("!ops:here", inbound.EventType, "", "@operator:here", map[string]any{"lists": []string{"!new:here"}, "no_create": true, "sender": map[string]any{"people": 1}})
	g.clock.Advance(time.Hour)
	if err := g.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := g.InForce()
	if len(in.Lists) != 2 || in.Lists[0] != "!new:here" || in.Lists[1] != "!bans:here" || !in.NoCreate || in.Ops != "!ops:here" {
		t.Errorf("%+v", in)
	}
	g.expect(t, g.may(t, "@a:far", local(1), "!a"), "")
	g.expect(t, g.may(t, "@a:far", local(2), "!a"), inbound.CodeSender)
	g.rooms.Set("!ops:here", inbound.EventType, "", "@operator:here", map[string]any{})
	if _, err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.expect(t, g.may(t, "@a:far", local(2), "!a"), "")
}

// TestTake: other rules of the config count at once, and those of the operators' room go on replacing them.
func TestTake(t *testing.T) {
	rules := defaults()
	rules.Ops = "!ops:here"
	g := newGate(t, rules)
	g.rooms.Set("!ops:here", inbound.EventType, "", "@operator:here", map[string]any{"sender": map[string]any{"people": 2}})
	if _, err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	rules.Sender.People, rules.Server.People = 8, 9
	if err := g.Take(t.Context(), rules); err != nil {
		t.Fatal(err)
	}
	if now := g.InForce(); now.Sender.People != 2 || now.Server.People != 9 {
		t.Errorf("in force: %+v", now)
	}
	rules.Ops = ""
	if err := g.Take(t.Context(), rules); err != nil || g.InForce().Sender.People != 8 {
		t.Errorf("without the room: %+v, %v", g.InForce(), err)
	}
}
