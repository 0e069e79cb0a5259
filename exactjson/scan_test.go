package exactjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, want := range map[string]bool{
		`{}`: true, ` [1, 2.5e-3, "a\u00e9\n", true, false, null, {"a": {"b": []}}] `: true,
		`"` + strings.Repeat("x", 50) + `é😀"`: true, `"\ud800"`: true, strings.Repeat(`{"a":[`, 700) + strings.Repeat("]}", 700): true, strings.Repeat(`{"a":[`, 700) + strings.Repeat("}]", 700): false, `0`: true, `-0.0E+1`: true,
		deep(511): true, deep(512): true, deep(513): true, deep(1_000_000): true, strings.Repeat("[", 1<<20): false,
		``: false, `{`: false, `{"a"}`: false, `{"a":}`: false, `{"a":1,}`: false, `{a:1}`: false, `[1,]`: false, `[}`: false, `{]`: false,
		`[1 2]`: false, `{"a":1 "b":2}`: false, `01`: false, `-`: false, `1.`: false, `1e`: false, `+1`: false, `tru`: false, `nul`: false,
		`"a`: false, `"\x"`: false, `"\u12g4"`: false, `"\u12"`: false, `"\`: false, "\"a\nb\"": false, "\"\xff\"": false, "\"12345678\xc3\"": false,
		`{} {}`: false, `[],`: false, "\ufeff{}": false,
	} {
		if got := Valid([]byte(text)); got != want {
			t.Errorf("Valid(%.40q) = %v", text, got)
		}
		if utf8.ValidString(text) && len(text) < 10_000 && json.Valid([]byte(text)) != want {
			t.Errorf("encoding/json disagrees on %.40q", text)
		}
	}
}

func FuzzValidJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u00e9",{}]}`, `[[]]`, `"\ud83d\ude00"`, `-1.5e7`, "\"\xc3\x28\"", `{"a":1,"a":2}`, `[nul]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 10_000 { // encoding/json refuses 10,000 levels
			return
		}
		if got, want := Valid(b), json.Valid(b) && utf8.Valid(b); got != want {
			t.Fatalf("Valid(%q) = %v", b, got)
		}
	})
}
