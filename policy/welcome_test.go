package policy

import (
	"errors"
	"strings"
	"testing"

	"usher/words"
)

// TestGreeting: a welcome has three places; any other word in braces is refused, with the place that was meant.
func TestGreeting(t *testing.T) {
	for text, want := range map[string]string{
		"Hello {person}!": "",
		"":                "",
		"Zwei\nZeilen für {person} in {room} 📚": "",
		"a } b { c":               "",
		strings.Repeat("é", 1000): "",
		strings.Repeat("é", 1001): "must be a text",
		"Hello {user}":            `"{user}" is none (did you mean "{person}"?)`,
		"Hello {{person}}":        `"{{person}}" is none (did you mean "{person}"?)`,
		"Hello {Display Name}":    `"{Display Name}" is none (did you mean "{person}"?)`,
		"by {asker}":              `"{asker}" is none (did you mean "{inviter}"?)`,
		"in {room_name}":          `"{room_name}" is none (did you mean "{room}"?)`,
		"{reason}":                `"{reason}" is none`,
		"{}":                      `"{}" is none`,
		"a\u202eb":                "must be a text",
		"a\x1b[31m":               "must be a text",
		"a\xff":                   "must be a text",
	} {
		l, err := Layer{}.With(WelcomeText, text)
		var bad Malformed
		said := ""
		if errors.As(err, &bad) {
			said = words.For("en").Text(bad.Phrase())
		}
		if (want == "") != (err == nil) || !strings.Contains(said, want) {
			t.Errorf("%q: %s", text, said)
		}
		if err == nil && l.Text(WelcomeText) != text {
			t.Errorf("%q is kept as %q", text, l.Text(WelcomeText))
		}
	}
	got := Welcome{Text: "Hi {person}{person}, {x}\n{room}"}.Cut()
	if want := []string{"Hi ", "{person}", "{person}", ", {x}\n", "{room}"}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("cut into %q", got)
	}
}
