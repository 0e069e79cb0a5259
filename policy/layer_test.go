package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/room"
	"usher/words"
)

// whole sets every field.
const whole = `{"version":1,"delegate":true,
	"ask":{"level":10,"users":["@a*:here"],"servers":["*.here"],"joined_for":"1h"},
	"whom":{"allow_users":["@*:x"],"deny_users":["@spam*:*"],"allow_servers":["x"],"deny_servers":["evil.*"],"ip_literals":false,"lists":["!list"],"except_users":["@c:x"],"except_servers":["y"],
		"cooldown":{"leave":"1h","decline":"24h","kick":"7d"},"max_members":500},
	"quota":{"person":{"count":10,"per":"24h"},"room":{"count":100,"per":"24h"},"server":{"count":50,"per":"1h"}},
	"approval":{"required":true,"votes":2,"level":50,"room":"!mods","expires":"48h"},
	"knocks":{"desk":true,"room":"!mods","level":50,"accept_users":["@b:x"],"accept_servers":["x"],"accept_members_of":["!r"],"breaker":{"count":20,"per":"10m"}},
	"guard":{"mode":"enforce","join_rule":"invite","levels":{"invite":50,"events.m.room.join_rules":100},"intruders":"kick","by_hand":"withdraw"},
	"pending":{"expire_after":"7d","remind_before":"24h","withdraw_on":["listed","inviter_left"]},
	"links":{"allow":false,"max_uses":20,"max_age":"7d","level":50},"join":{"deny":true,"max_members":500},"plan":{"allow":["staff"]},"named_by":["!r"],"language":"de-AT","pictures":"dark",
	"invitation":{"reason":"{asker} of the book club: {reason}"},"welcome":{"text":"Welcome to {room}, {person}!\nAsk {inviter} anything.","where":"direct"}}`

func TestWholeDocument(t *testing.T) {
	l, err := Parse(json.RawMessage(whole))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(l.Content())
	if err != nil || string(again.Content()) != string(l.Content()) {
		t.Errorf("does not survive being written: %v\n%s", err, l.Content())
	}
	source := Read("!r", &room.Event{Content: l.ContentFor("@a\"b:x")})
	if source.Fault != nil || source.For != "@a\"b:x" || string(source.Layer.Content()) != string(l.Content()) {
		t.Errorf("written for somebody: %q, %v", source.For, source.Fault)
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
		{"written for nobody", `{"version":1,"for":5}`, "for must be a user id"},
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

// TestGuardedLevelsAreBounded: each of them costs at each change of the power levels.
func TestGuardedLevelsAreBounded(t *testing.T) {
	levels := map[string]int{}
	for i := range 101 {
		levels[fmt.Sprintf("events.org.example.e%d", i)] = 50
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "guard": map[string]any{"levels": levels}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(raw); err == nil {
		t.Error("101 levels are taken")
	}
	delete(levels, "events.org.example.e0")
	raw, _ = json.Marshal(map[string]any{"version": 1, "guard": map[string]any{"levels": levels}})
	l, err := Parse(raw)
	if err != nil {
		t.Fatalf("100 levels: %v", err)
	}
	if _, err := l.With("guard.levels.ban", "50"); err == nil {
		t.Error("one more is taken")
	}
	if _, err := l.With("guard.levels.events.org.example.e1", "60"); err != nil {
		t.Errorf("another value for one of them: %v", err)
	}
}

// TestRulesThatMatchNobody: a rule that can match nobody is refused, with what was probably meant.
func TestRulesThatMatchNobody(t *testing.T) {
	for _, tt := range []struct{ path, item, meant string }{
		{"whom.deny_servers", "*:evil.example", "evil.example"}, {"whom.deny_servers", ".evil.example", "*.evil.example"},
		{"whom.deny_servers", "@*:evil.example", "evil.example"}, {"whom.deny_servers", "https://evil.example/", "evil.example"},
		{"whom.deny_servers", "https://evil.example:8448/x", "evil.example:8448"},
		{"whom.deny_servers", "b\u00fccher.example", "xn--bcher-kva.example"}, {"whom.deny_servers", "*.B\u00fccher.example", "*.xn--bcher-kva.example"},
		{"whom.deny_servers", "evil..example", ""}, {"whom.deny_servers", "evil_.example", ""}, {"whom.deny_servers", "evil.example:https", ""},
		{"whom.deny_servers", "evil.example:123456", ""}, {"whom.deny_servers", "!room", ""}, {"whom.deny_servers", "\u017Fpam\u00e9?.x", ""},
		{"whom.deny_users", "@bob", "@bob:*"}, {"whom.deny_users", "@", "@*:*"}, {"whom.deny_users", "@x:", "@x:*"}, {"whom.deny_users", "bob", "@bob:*"},
		{"whom.deny_users", "evil.example", "@*:evil.example"}, {"whom.deny_users", "@evil.example", "@*:evil.example"},
		{"whom.deny_users", "bob:evil.example", "@bob:evil.example"}, {"whom.deny_users", "@:evil.example", "@*:evil.example"},
		{"whom.deny_users", "@bob:.evil.example", "@bob:*.evil.example"}, {"whom.deny_users", "@*:b\u00fccher.example", "@*:xn--bcher-kva.example"},
		{"whom.deny_users", "@bob:x:y", ""}, {"whom.deny_users", "!room:x", ""}, {"whom.deny_users", "@bo?", "@bo?:*"},
		{"whom.allow_users", "@x", "@x:*"}, {"whom.allow_servers", ".x", "*.x"}, {"whom.except_users", "@x", "@x:*"}, {"whom.except_servers", "@*:x", "x"},
		{"ask.users", "@ann", "@ann:*"}, {"ask.servers", "*:x", "x"}, {"knocks.accept_users", "@b:", "@b:*"}, {"knocks.accept_servers", ".x.y", "*.x.y"},
	} {
		_, err := (Layer{}).With(tt.path, tt.item)
		var malformed Malformed
		if !errors.As(err, &malformed) {
			t.Fatalf("%s %s: %v", tt.path, tt.item, err)
		}
		if text := words.For("en").Text(malformed.Phrase()); strings.Contains(text, "did you mean") != (tt.meant != "") || !strings.Contains(text, tt.meant) {
			t.Errorf("%s %s: %s, want %q", tt.path, tt.item, text, tt.meant)
		}
		if tt.meant == "" {
			continue
		}
		if _, err := (Layer{}).With(tt.path, tt.meant); err != nil {
			t.Errorf("%s: what is suggested is refused: %v", tt.path, err)
		}
	}
	for path, items := range map[string][]string{
		"whom.deny_servers": {"x", "*", "*.x", "*x*", "?.example", "x.example:8448", "x.example:*", "x.", "1.2.3.4", "[::1]", "[::1]:80", "[2001:*", "X.example"},
		"whom.deny_users": {"*", "@*", "@bob*", "*bob*", "@*bad*", "*:evil.example", "?bob:x", "@bo?x", "@*:*.x", "@b:[::1]:8", "@b:*", "@Bob:x", "@b\u00fc:x",
			"@*:8448"},
	} {
		for _, item := range items {
			if _, err := (Layer{}).With(path, item); err != nil {
				t.Errorf("%s %s: %v", path, item, err)
			}
		}
	}
}

func TestServersAreKeptAsTheirFieldComparesThem(t *testing.T) {
	l, err := (Layer{}).With("whom.deny_servers", "X.example:8448 x.example.")
	if err != nil || l.Text("whom.deny_servers") != "x.example" {
		t.Errorf("denied: %q, %v", l.Text("whom.deny_servers"), err)
	}
	l, err = (Layer{}).With("whom.allow_servers", "X.example:8448 x.example")
	if err != nil || l.Text("whom.allow_servers") != "X.example:8448 x.example" {
		t.Errorf("allowed: %q, %v", l.Text("whom.allow_servers"), err)
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
		{"*?", "", false}, {"??", "ü", false}, {"*ü?", "aüü", true}, {"?" + strings.Repeat("a", 62) + "?", "ü" + strings.Repeat("a", 62) + "ü", true},
		{strings.Repeat("a", 63), strings.Repeat("a", 63), true}, {strings.Repeat("a", 64), strings.Repeat("a", 64), true}, {"*b", strings.Repeat("a", 127) + "b", true},
		{strings.Repeat("a", 64), strings.Repeat("a", 65), false}, {"*b*", strings.Repeat("a", 63) + "b" + strings.Repeat("a", 64), true},
	} {
		if got := Match(tt.glob, tt.text); got != tt.want {
			t.Errorf("%q on %q: %v", tt.glob, tt.text, got)
		}
	}
}

// matchSlowly is what Match is compared with.
func matchSlowly(glob, text string) bool {
	if glob == "" {
		return text == ""
	}
	switch {
	case glob[0] == '*':
		return matchSlowly(glob[1:], text) || text != "" && matchSlowly(glob, text[1:])
	case text == "":
		return false
	case glob[0] == '?':
		_, size := utf8.DecodeRuneInString(text)
		return matchSlowly(glob[1:], text[size:])
	}
	return glob[0] == text[0] && matchSlowly(glob[1:], text[1:])
}

func TestMatchAgreesWithTheSlowWay(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(from []string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(from[rng.IntN(len(from))])
		}
		return b.String()
	}
	long := strings.Repeat("ab", 31)
	hits := 0
	for range 30_000 {
		glob, text := pick([]string{"a", "b", "ü", "*", "?"}, rng.IntN(8)), pick([]string{"a", "b", "ü"}, rng.IntN(10))
		for _, before := range []string{"", long, long + long} { // in one word of a mask, over its end, in several
			if got, want := Match(before+glob, before+text), matchSlowly(glob, text); got != want {
				t.Fatalf("%q on %q: %v", before+glob, before+text, got)
			} else if got {
				hits++
			}
			if got := pairsIn(before+glob)&^pairsIn(before+text) == 0; !got && Match(before+glob, before+text) {
				t.Fatalf("%q on %q: ruled out by its pairs", before+glob, before+text)
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d match", hits)
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

// Match reports whether a glob matches a whole text.
func Match(glob, text string) bool { return newSubject(text).match(glob) }

// TestRedactedPolicy: redacting takes less power than writing a policy, so it does not end one, except by its author.
func TestRedactedPolicy(t *testing.T) {
	for by, lapses := range map[id.UserID]bool{"": true, "@alice:here": true, "@mod:here": false} {
		p := Merge(Read("!r:here", &room.Event{ID: "$p", Sender: "@alice:here", Content: json.RawMessage(`{}`), RedactedBy: by}))
		if (p.Fault() == nil) != lapses || p.Governs() == lapses {
			t.Errorf("redacted by %q: %v, governs: %v", by, p.Fault(), p.Governs())
		}
	}
}
