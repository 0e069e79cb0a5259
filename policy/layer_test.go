package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"usher/room"
	"usher/words"
)

// whole sets every field.
const whole = `{"version":1,"delegate":true,
	"ask":{"level":10,"users":["@a*:here"],"servers":["*.here"],"joined_for":"1h"},
	"whom":{"allow_users":["@*:x"],"deny_users":["@spam*:*"],"allow_servers":["x"],"deny_servers":["evil.*"],"ip_literals":false,"lists":["!list"],
		"cooldown":{"leave":"1h","decline":"24h","kick":"7d"},"max_members":500},
	"quota":{"person":{"count":10,"per":"24h"},"room":{"count":100,"per":"24h"},"server":{"count":50,"per":"1h"}},
	"approval":{"required":true,"votes":2,"level":50,"room":"!mods","expires":"48h"},
	"knocks":{"desk":true,"room":"!mods","level":50,"accept_users":["@b:x"],"accept_servers":["x"],"accept_members_of":["!r"],"breaker":{"count":20,"per":"10m"}},
	"guard":{"mode":"enforce","join_rule":"invite","levels":{"invite":50,"events.m.room.join_rules":100},"intruders":"kick","by_hand":"withdraw"},
	"pending":{"expire_after":"7d","remind_before":"24h"}}`

func TestWholeDocument(t *testing.T) {
	l, err := Parse(json.RawMessage(whole))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(l.Content())
	if err != nil || string(again.Content()) != string(l.Content()) {
		t.Errorf("does not survive being written: %v\n%s", err, l.Content())
	}
	doc := Merge(Source{Layer: l}).Document
	if doc.Quota.Room != (Rate{100, 24 * time.Hour}) || doc.Guard.Levels["events.m.room.join_rules"] != 100 || doc.Whom.Cooldown.Kick != 7*24*time.Hour ||
		doc.Whom.IPLiterals || doc.Knocks.AcceptMembersOf[0] != "!r" || doc.Ask.Level != 10 || !doc.Delegate {
		t.Errorf("got %+v", doc)
	}
	for _, f := range Fields() {
		if !l.Has(f.Path) {
			t.Errorf("%s is not in the test's document", f.Path)
		}
		if text := words.For("en").Text(f.Phrase(&doc)); len(text) < 10 || !strings.HasSuffix(text, ".") {
			t.Errorf("%s in words: %q", f.Path, text)
		}
		if one, err := (Layer{}).With(f.Path, l.Text(f.Path)); err != nil || one.Text(f.Path) != l.Text(f.Path) {
			t.Errorf("%s can't be set to %q: %v", f.Path, l.Text(f.Path), err)
		}
		if l.Without(f.Path).Has(f.Path) {
			t.Errorf("%s can't be unset", f.Path)
		}
	}
	if l.Without("whom").Has("whom.cooldown.kick") || !l.Without("whom").Has("ask.level") {
		t.Error("unsetting a section")
	}
}

func TestParseNamesEachFault(t *testing.T) {
	tests := []struct{ name, json, fault string }{
		{"no object", `[]`, "it is no JSON object"},
		{"null", `null`, "it is no JSON object"},
		{"no version", `{"delegate":true}`, "version must be 1"},
		{"another version", `{"version":2}`, "version must be 1"},
		{"version as text", `{"version":"1"}`, "version must be 1"},
		{"version as float", `{"version":1.0}`, "version must be 1"},
		{"unknown at the top", `{"version":1,"asks":{}}`, "asks is no field"},
		{"unknown below", `{"version":1,"ask":{"lvl":1}}`, "ask.lvl is no field"},
		{"case matters", `{"version":1,"Delegate":true}`, "Delegate is no field"},
		{"folded case matters", `{"version":1,"a\u017fk":{}}`, "is no field"},
		{"a dot in a key is no path", `{"version":1,"ask.level":5}`, "ask.level is no field"},
		{"no boolean", `{"version":1,"delegate":"true"}`, "delegate must be true or false"},
		{"no integer", `{"version":1,"ask":{"level":"50"}}`, "ask.level must be a whole number"},
		{"float", `{"version":1,"ask":{"level":5e1}}`, "ask.level must be a whole number"},
		{"null as a value", `{"version":1,"ask":{"level":null}}`, "ask.level must be"},
		{"null as an object", `{"version":1,"ask":null}`, "ask must be an object"},
		{"null in a list", `{"version":1,"ask":{"users":[null]}}`, "ask.users must be"},
		{"out of range", `{"version":1,"approval":{"votes":0}}`, "approval.votes must be a whole number from 1 to 50"},
		{"no duration", `{"version":1,"ask":{"joined_for":"soon"}}`, "ask.joined_for must be a duration"},
		{"a number as duration", `{"version":1,"ask":{"joined_for":3600}}`, "ask.joined_for must be a duration"},
		{"too short", `{"version":1,"quota":{"room":{"per":"1s"}}}`, "quota.room.per must be from 1m to 366d"},
		{"no user glob", `{"version":1,"whom":{"deny_users":["bob"]}}`, `whom.deny_users must be a list of users, with * and ? as wildcards, and "bob" is none`},
		{"no server glob", `{"version":1,"whom":{"deny_servers":["@bob:x"]}}`, "whom.deny_servers must be"},
		{"no room", `{"version":1,"approval":{"room":"#mods:x"}}`, "approval.room must be a room id"},
		{"no word of the choice", `{"version":1,"guard":{"mode":"on"}}`, "guard.mode must be one of off, watch, enforce"},
		{"no level", `{"version":1,"guard":{"levels":{"x":1}}}`, "guard.levels.x is no field"},
		{"several", `{"version":2,"x":1,"ask":{"level":true}}`, "version must be 1; ask.level must be a whole number; x is no field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(json.RawMessage(tt.json))
			var malformed Malformed
			if !errors.As(err, &malformed) {
				t.Fatalf("got %v", err)
			}
			if text := words.For("en").Text(malformed.Phrase()); !strings.Contains(text, tt.fault) {
				t.Errorf("got %s, want %s", text, tt.fault)
			}
		})
	}
}

func TestMergeFieldByField(t *testing.T) {
	layer := func(json string) Layer {
		l, err := Parse([]byte(json))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	child := Source{Room: "!child", Event: "$c", Layer: layer(`{"version":1,"ask":{"level":5},"whom":{"deny_users":[]},"guard":{"levels":{"invite":0}}}`)}
	space := Source{Room: "!space", Event: "$s", Layer: layer(`{"version":1,"delegate":true,"ask":{"level":50,"joined_for":"1h"},"whom":{"deny_users":["@x:y"]},"guard":{"levels":{"invite":50,"kick":60}}}`)}
	p := Merge(child, space)
	d := p.Document
	if d.Ask.Level != 5 || d.Ask.JoinedFor != time.Hour || len(d.Whom.DenyUsers) != 0 || !d.Delegate || p.Event() != "$c" {
		t.Errorf("got %+v", d)
	}
	if d.Guard.Levels["invite"] != 0 || d.Guard.Levels["kick"] != 60 {
		t.Errorf("got levels %v", d.Guard.Levels)
	}
	for path, from := range map[string]string{"ask.level": "!child", "ask.joined_for": "!space", "guard.levels.kick": "!space"} {
		if s, ok := p.From(path); !ok || string(s.Room) != from {
			t.Errorf("%s comes from %q, want %s", path, s.Room, from)
		}
	}
	if _, ok := p.From("approval.votes"); ok || Merge().Document.Approval.Votes != 1 {
		t.Error("a default comes from nowhere")
	}
	if got := strings.Join(p.Paths(), " "); got != "delegate ask.level ask.joined_for whom.deny_users guard.levels.invite guard.levels.kick" {
		t.Errorf("got %s", got)
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "90s": 90 * time.Second, "36h": 36 * time.Hour, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1d12h": 36 * time.Hour} {
		if got, ok := ParseSpan(text); !ok || got != want {
			t.Errorf("%s: got %s %v", text, got, ok)
		}
		if again, ok := ParseSpan(Span(want)); !ok || again != want {
			t.Errorf("%s is worded %s", text, Span(want))
		}
	}
	for _, text := range []string{"", "h", "5", "1h1d", "1h1h", "-1h", "1.5h", "1 h", "99999999999h", "2147483647w2147483647w", "1M", "+1h"} {
		if got, ok := ParseSpan(text); ok {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		glob, text string
		want       bool
	}{
		{"*", "", true}, {"*", "x", true}, {"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abbbc", true}, {"a*c", "abbb", false},
		{"a?c", "abc", true}, {"a?c", "aüc", true}, {"a?c", "ac", false}, {"?", "", false}, {"", "", true}, {"", "x", false},
		{"@*:evil.*", "@x:evil.org", true}, {"@*:evil.*", "@x:good.org", false}, {"*.x", "a.x.y.x", true}, {"a**b", "ab", true},
		{strings.Repeat("a*", 60) + "b", strings.Repeat("a", 255), false},
	} {
		if got := Match(tt.glob, tt.text); got != tt.want {
			t.Errorf("%q on %q: %v", tt.glob, tt.text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"version":1,"guard":{"levels":{"events.":1}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, err := Parse(content)
		if err != nil {
			return
		}
		again, err := Parse(l.Content())
		if err != nil || string(again.Content()) != string(l.Content()) {
			t.Errorf("%s became %s: %v", content, l.Content(), err)
		}
		_ = Merge(Source{Layer: l}).Document.Ask.Level > room.Infinite
	})
}
