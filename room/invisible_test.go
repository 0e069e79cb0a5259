package room

import "testing"

// TestOneLine: what is left of a text shows all that it says, in its order.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\n@admin:here asked: b": "a @admin:here asked: b",
		"a\u202eb\u0000\u2028c":   "ab c",
		"\u3164 \u2800\u034f":     "",
		"👩\u200d🚀 ❤\ufe0f é":      "👩\u200d🚀 ❤\ufe0f é",
		"\xff":                    "",
	} {
		if got := OneLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
