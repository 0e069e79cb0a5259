package words

import (
	"encoding/json"
	"testing"
)

// TestVisible: no character reaches a terminal that the terminal obeys or hides, and JSON text means the same after as before.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"@ann:example.org\n": "@ann:example.org\n",
		"Zoë 🐑":              "Zoë 🐑",
		"\x1b]0;owned\x07":   `\u001b]0;owned\u0007`,
		"a\x7fb":             `a\u007fb`,
		"\u009b31m":          `\u009b31m`,
		"\x9b31m":            `\x9b31m`,
		"a\u202eb\u2066":     `a\u202eb\u2066`,
		"zero\u200bwidth":    `zero\u200bwidth`,
		"\U000E0041":         `\udb40\udc41`,
		"a\rb\tc":            `a\u000db\u0009c`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if text == "\x9b31m" {
			continue // no JSON
		}
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var again string
		if err := json.Unmarshal([]byte(Visible(string(encoded))), &again); err != nil || again != text {
			t.Errorf("%q: read as %q, %v", text, again, err)
		}
	}
}
