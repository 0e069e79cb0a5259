package words

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"

	"usher/room"
)

func TestRuns(t *testing.T) {
	v := voice(english)
	for _, test := range []struct {
		name string
		in   room.Phrase
		want []Run
	}{
		{"nothing", room.Phrase{}, nil},
		{"plain", room.Say("text", "text", "a"), []Run{{Text: "a"}}},
		{"an argument makes no markup", room.Say("text", "text", "a`b\nc{{.x}}"), []Run{{Text: "a`b\nc{{.x}}"}}},
		{"bytes that are none of UTF-8", room.Say("text", "text", "a\xff\xfeb"), []Run{{Text: "a\uFFFDb"}}},
		{"in sequence", room.Sentences(room.Say("text", "text", "A."), room.Phrase{}, room.Say("text", "text", "B.")), []Run{{Text: "A. B."}}},
		{"a key without words", room.Phrase{Key: "nothing.such"}, []Run{{Text: "nothing.such"}}},
		{"an argument that is missing", room.Phrase{Key: "text"}, []Run{{Text: "text"}}},
		{"a level", room.Say("why.power", "action", "set_join_rules", "needed", room.Infinite, "had", 50),
			[]Run{{Text: "You need power level that of a room creator here to change the join rule, and you have 50."}}},
	} {
		if got := v.Runs(test.in); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestPhraseSurvivesBeingKept(t *testing.T) {
	v := For(english)
	p := room.Sentences(room.Say("why.invite.power", "needed", 50, "had", 0), room.Say("fix.raise", "needed", 50, "action", "invite"))
	const want = "Inviting needs power level 50 here, and you have 0. An admin can raise you to 50, or lower what it takes to invite."
	for _, kept := range []string{p.String(), want} { // as it is kept now, and as rows of old have it
		if got := v.Text(room.ReadPhrase(kept)); got != want {
			t.Errorf("%s became %q", kept, got)
		}
	}
	for _, text := range []string{"", "{not JSON", "{}", "[1]", `"x"`, "{\"a\":1}"} {
		if got := v.Text(room.ReadPhrase(text)); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestPluralForms(t *testing.T) {
	v := For(english)
	for wait, want := range map[string]string{"1s": "1 minute", "61s": "2 minutes", "2h": "120 minutes", "2h1m": "3 hours", "49h": "3 days", "0s": "0 minutes"} {
		if got := v.Text(room.Say("fix.you_in", "wait", wait)); got != "You may in "+want+"." {
			t.Errorf("%s: got %q, want %q", wait, got, want)
		}
	}
}

func TestResultsInWords(t *testing.T) {
	levels := room.Key{Type: "m.room.power_levels"}
	for _, test := range []struct {
		in   room.Result
		want string
	}{
		{room.Result{Verdict: room.Deny, Rule: room.RuleInvitePower, Evidence: room.Evidence{Key: levels, Had: 40, Needed: 50, User: "@b:x"}},
			"not enough power to invite: @b:x has power 40, 50 is needed"},
		{room.Result{Verdict: room.Allow, Rule: room.RuleKick, Evidence: room.Evidence{Key: levels, Had: room.Infinite, Needed: 40, User: "@b:x"}},
			"may kick: the sender has power infinite, @b:x has 40"},
		{room.Result{Rule: room.RuleInviteTargetJoined, Evidence: room.Evidence{Key: room.Key{Type: "m.room.member", StateKey: "@b:x"}, Found: "join", Wanted: "leave", User: "@b:x"}},
			`the target is in the room already: @b:x has membership "join"`},
		{room.Result{Rule: room.RuleKnockRule, Evidence: room.Evidence{Key: room.Key{Type: "m.room.join_rules"}, Found: "invite", Wanted: "knock", User: "@x:y"}},
			`the join rule does not let people knock: "invite" where "knock" would do`},
		{room.Result{Rule: room.RulePLNotInteger, Evidence: room.Evidence{Found: "ban"}}, `not an integer, as this room version writes them: "ban"`},
		{room.Result{Verdict: room.Unknown, Rule: room.RuleUnknown, Evidence: room.Evidence{Key: room.Key{Type: "m.room.member", StateKey: "@b:x"}}},
			"it depends on m.room.member of @b:x, which is not known"},
	} {
		if got := For(english).Text(test.in.Phrase()); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestFor(t *testing.T) {
	for tag, want := range map[string]string{"en": english, "en-GB": english, "tlh": english, "": english, "x!": english} {
		if For(tag) != voices()[want] {
			t.Errorf("%q is not spoken as %s", tag, want)
		}
	}
}

// TestEveryEntryRenders: in each language, each entry makes a text of its arguments, in the singular and in the plural, and says no "1 days".
func TestEveryEntryRenders(t *testing.T) {
	arguments := regexp.MustCompile(`\.([a-z]+)`)
	for _, tag := range Languages() {
		raw, err := catalogues.ReadFile(tag + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := yaml.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		for key, forms := range all {
			for _, n := range []string{"0", "1", "2", "21"} {
				p := room.Phrase{Key: key, Args: map[string]string{}, Parts: []room.Phrase{room.Say("text", "text", "x")}}
				for _, m := range arguments.FindAllStringSubmatch(fmt.Sprint(forms), -1) {
					p.Args[m[1]] = "1h"
					delete(p.Args, "parts")
				}
				p.Args["at"], p.Args["ended"], p.Args["n"] = "2026-05-04T15:04:05Z", "2026-05-04T15:04:05Z", n
				got := For(tag).Text(p)
				if got == key || wrongNumber.MatchString(got) && n == "1" {
					t.Errorf("%s: %s with %s: %q", tag, key, n, got)
				}
			}
		}
	}
}

// wrongNumber finds one of many things.
var wrongNumber = regexp.MustCompile(`\b1 (minutes|hours|days|seconds|people|invitations|cards|rules|votes|Minuten|Stunden|Tagen|Sekunden|Leute|Einladungen|Karten|Regeln|Stimmen)\b`)

func TestGerman(t *testing.T) {
	v := For("de-AT")
	for want, p := range map[string]room.Phrase{
		"Die nächste ist in 3 Tagen möglich.":                               room.Say("fix.next_in", "wait", "49h"),
		"Die nächste ist in 1 Minute möglich.":                              room.Say("fix.next_in", "wait", "3s"),
		"Bitten darf, wer seit mindestens 3 Tagen im Raum ist.":             room.Say("field.ask.joined_for", "value", "3d"),
		"Wer gegangen ist, wird innerhalb von 36 Stunden nicht eingeladen.": room.Say("field.whom.cooldown.leave", "value", "36h"),
		"Das erreichte mich erst nach 90 Minuten, darum habe ich es nicht ausgeführt. Wenn du es noch willst, sag es noch einmal.": room.Say("refuse.old", "age", "1h30m0s"),
		"@x:y kam ohne Einladung (4. Mai, 15:04 UTC), während die Tür offen stand.":                                                room.Say("guard.intruder", "target", "@x:y", "at", "2026-05-04T15:04:05Z"),
		"✅ Erledigt.":          room.Say("progress.all", "n", 1),
		"✅ Alle 2 erledigt.":   room.Say("progress.all", "n", 2),
		"the target is banned": room.Say("check.plain", "rule", "invite.target_banned"),
	} {
		if got := v.Text(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for tag, want := range map[string]string{"de": "de", "de-CH": "de", "en-GB": "en", "DE": "de"} {
		if got, near := Match(tag); got != want || !near {
			t.Errorf("%s: %s, %t", tag, got, near)
		}
	}
	for _, tag := range []string{"", "tlh", "x!", "zz"} {
		if got, near := Match(tag); near {
			t.Errorf("%s is near to %s", tag, got)
		}
	}
	if Aliases()["einladen"] != "invite" {
		t.Errorf("got %v", Aliases())
	}
}

func TestMentions(t *testing.T) {
	v := For("en").Naming(func(id string) string {
		return map[string]string{"!club:x": "#club:x", "!mods:x": "“The Mods`\n”"}[id]
	})
	for _, test := range []struct {
		in   room.Phrase
		want []Run
	}{
		{room.Say("why.invite.already", "target", "@a:x"), []Run{{Text: "@a:x", Link: "@a:x"}, {Text: " is invited already."}}},
		{room.Say("about", "target", "@a:x"), []Run{{Text: "@a:x", Link: "@a:x"}, {Text: ":"}}},
		{room.Say("field.approval.room", "value", "!mods:x"), []Run{{Text: "Approval is asked for in "}, {Text: "“The\u00A0Mods`\n”", Link: "!mods:x"}, {Text: "."}}},
		{room.Say("field.whom.lists", "value", "!club:x !other:x"),
			[]Run{{Text: "Nobody is invited whom these policy lists ban: "}, {Text: "#club:x", Link: "!club:x"}, {Text: ", "}, {Text: "!other:x", Link: "!other:x"}, {Text: "."}}},
		{room.Say("policy.empty", "room", "!club:x"), []Run{{Text: "#club:x", Link: "!club:x"}, {Text: " has no policy of its own. (policy.edit.value)"}}},
		{room.Say("card.reason", "reason", "@a:x"), []Run{{Text: "Reason: “@a:x”."}}},
		{room.Say("why.invite.already", "target", "@a:x\"><b>"), []Run{{Text: "@a:x\"><b> is invited already."}}},
		{room.Say("why.invite.already", "target", "@a\u202e:x"), []Run{{Text: "@a\u202e:x is invited already."}}},
		{room.Say("why.invite.already", "target", "\xfd@a:x\xfc@b:x\xfb"), []Run{{Text: "\uFFFD@a:x\uFFFD@b:x\uFFFD is invited already."}}},
	} {
		if got := v.Runs(test.in); !slices.Equal(got, test.want) {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
	card := room.Say("card.approval", "number", 1, "actor", "@a:x", "target", "@b:x", "room", "!club:x")
	if got, want := v.Text(card), "🗳 #1: @a:x asks to invite @b:x at the room #club:x."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, r := range v.Runs(card) {
		if r.Text == "@b:x" && (r.Link != "" || !r.Code) {
			t.Errorf("the person to be invited is not shown by the id alone: %+v", r)
		}
	}
	for _, r := range v.Runs(room.Say("policy.not_carried", "from", "!club:x", "prefix", "!")) {
		if r.Code && r.Text != "!policy copy !club:x" && r.Text != "!policy reset" {
			t.Errorf("a command with a name: %+v", r)
		}
	}
}
