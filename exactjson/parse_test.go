package exactjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonicalJSON(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	tests := []struct {
		in, out string // an empty out: no JSON at all
		bad     bool   // JSON, but not canonical
	}{
		{in: `{"b":[1, true ,null],"a":{"z":-1,"y":"ü\u0001\n\"\\\/"}}`, out: `{"a":{"y":"ü\u0001\n\"\\/","z":-1},"b":[1,true,null]}`},
		{in: `"\u65e5\ud83d\ude00\b\f\r\t"`, out: `"日😀\b\f\r\t"`},
		{in: `{"` + "\U0001F600" + `":1,"` + "\uFFFD" + `":2}`, out: `{"` + "\uFFFD" + `":2,"` + "\U0001F600" + `":1}`},
		{in: `"\u001f"`, out: `"\u001f"`},
		{in: `1.0`, out: `1.0`, bad: true}, {in: `1e2`, out: `1e2`, bad: true}, {in: `-0`, out: `-0`, bad: true},
		{in: `9007199254740992`, out: `9007199254740992`, bad: true}, {in: `"\ud83d"`, out: "\"\uFFFD\"", bad: true},
		{in: `"\ude00\ud83d"`, out: "\"\uFFFD\uFFFD\"", bad: true},
		{in: `01`}, {in: `+1`}, {in: `1.`}, {in: `.5`}, {in: `1e`}, {in: `-`}, {in: `tru`}, {in: `nulL`}, {in: `"a`}, {in: "\"\n\""}, {in: `"\x"`}, {in: `"\u12g4"`},
		{in: `{"a":1,"a":2}`}, {in: `{"a":1,"\u0061":2}`}, {in: `{"a":1,}`}, {in: `[1,]`}, {in: `{"a"}`}, {in: `{a:1}`}, {in: `1 2`}, {in: ``}, {in: "\"\xff\""},
		{in: deep, out: deep}, {in: deep[1:]}, {in: `"\`}, {in: `"\u00`},
	}
	for _, test := range tests {
		n, canonical, ok := Parse([]byte(test.in))
		if ok != (test.out != "") || ok && canonical == test.bad {
			t.Errorf("%.40s: canonical %v, ok %v", test.in, canonical, ok)
		}
		if got := string(AppendCanonical(nil, n)); ok && got != test.out {
			t.Errorf("%.40s became %.40s", test.in, got)
		}
	}
}

// FuzzParse compares Parse with encoding/json and with Valid, and Get with encoding/json, which sees the same values where keys are exact.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u00e9",{}]}`, `[[]]`, `"\ud83d\ude00"`, `-1.5e7`, "\"\xc3\x28\"", `{"a":1,"a":2}`, `[nul]`, `{"\u0061":"x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 5000 { // encoding/json refuses 10,000 levels
			return
		}
		v, _, ok := Parse(b)
		valid := json.Valid(b) && utf8.Valid(b)
		if ok && !valid || Valid(b) != valid {
			t.Fatalf("Parse(%q) = %v, valid %v", b, ok, valid)
		}
		var object map[string]json.RawMessage
		if !ok || json.Unmarshal(b, &object) != nil {
			return
		}
		if len(object) != len(v.Items) {
			t.Fatalf("%q has %d members", b, len(v.Items))
		}
		for key, want := range object {
			if got := Find(b, key); string(got) != string(want) || v.Get(key).Raw != string(want) {
				t.Fatalf("%q of %q is %q", key, b, got)
			}
			var text string
			_ = json.Unmarshal(want, &text)
			if Text(b, key) != text || v.Get(key).Text() != text {
				t.Fatalf("text %q of %q is %q", key, b, Text(b, key))
			}
		}
	})
}
