package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"usher/words"
)

// publicJoin is a case that is allowed, with what is given instead of its state's members.
func publicJoin(members string) string {
	return `{"id":"j","room_version":"10","state":{"create":{"sender":"@o:x","content":{"creator":"@o:x"}},` +
		`"join_rules":{"join_rule":"public"},"power_levels":null` + members + `},` +
		`"action":{"type":"join","sender":"@b:x","target":"@b:x","content":{}}}`
}

func TestCheckMalformedLines(t *testing.T) {
	good := publicJoin(`,"members":{}`)
	tests := []struct{ name, line, fault string }{
		{"no JSON", `{`, "not JSON"},
		{"no object", `[]`, "not a JSON object"},
		{"key twice", strings.Replace(good, `"id":"j"`, `"id":"j","id":"k"`, 1), "twice"},
		{"member twice", publicJoin(`,"members":{"@b:x":{"membership":"ban"},"@b:x":{"membership":"leave"}}`), "twice"},
		{"two values", good + good, "not JSON"},
		{"bad UTF-8", strings.Replace(good, `"j"`, "\"\xff\"", 1), "not JSON"},
		{"no id", strings.Replace(good, `"id":"j",`, ``, 1), `"id" is missing`},
		{"other case", strings.Replace(good, `"id"`, `"ID"`, 1), `"id" is missing`},
		{"id of a wrong type", strings.Replace(good, `"j"`, `7`, 1), `"id" is not a string`},
		{"no version", strings.Replace(good, `"room_version":"10",`, ``, 1), `"room_version" is missing`},
		{"no state", `{"id":"j","room_version":"1","action":{"type":"join","sender":"@b:x","target":"@b:x"}}`, `"state" is missing`},
		{"no action", `{"id":"j","room_version":"1","state":{}}`, `"action" is missing`},
		{"unknown action", strings.Replace(good, `"join","sender"`, `"dance","sender"`, 1), `"dance" is no action type`},
		{"no sender", strings.Replace(good, `"sender":"@b:x",`, ``, 1), `"sender" is missing`},
		{"no target", strings.Replace(good, `"target":"@b:x",`, ``, 1), `"target" is missing`},
		{"prev_is_create", strings.Replace(good, `"content":{}}}`, `"prev_is_create":1}}`, 1), "not a boolean"},
		{"members of a wrong type", publicJoin(`,"members":[]`), `"members" is not an object`},
		{"too long", `{"id":"` + strings.Repeat("x", maxLine) + `"}`, "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			malformed, err := Check(strings.NewReader(good+"\n\n"+test.line+"\n"+good), &out, words.For("en"))
			if malformed != 1 || err != nil {
				t.Fatalf("got %d malformed, %v", malformed, err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var fault fault
			if len(lines) != 3 || json.Unmarshal([]byte(lines[1]), &fault) != nil {
				t.Fatalf("got %q", lines)
			}
			if fault.Line != 3 || !strings.Contains(fault.Error, test.fault) {
				t.Errorf("got line %d, %q", fault.Line, fault.Error)
			}
			for _, i := range []int{0, 2} {
				if !strings.Contains(lines[i], `"verdict":"allow","rule":"join.public"`) {
					t.Errorf("line %d is %s", i, lines[i])
				}
			}
		})
	}
}

func TestCheckVerdicts(t *testing.T) {
	tests := []struct{ name, line, verdict, rule string }{
		{"members not given", publicJoin(``), "unknown", "unknown"},
		{"members null", publicJoin(`,"members":null`), "allow", "join.public"},
		{"member null", publicJoin(`,"members":{"@b:x":null}`), "allow", "join.public"},
		{"member malformed", publicJoin(`,"members":{"@b:x":{"memberſhip":"leave"}}`), "deny", "join.banned"},
		{"other version", strings.Replace(publicJoin(``), `"10"`, `"13"`, 1), "unknown", "unknown.version"},
		{"carriage return", publicJoin(`,"members":{}`) + "\r", "allow", "join.public"},
		{"content of a wrong type", strings.Replace(publicJoin(``), `"content":{}}}`, `"content":[]}}`, 1), "deny", "format.content"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		malformed, err := Check(strings.NewReader(test.line), &out, words.For("en"))
		want := `"verdict":"` + test.verdict + `","rule":"` + test.rule + `"`
		if malformed != 0 || err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %d, %v, %s", test.name, malformed, err, out.String())
		}
	}
}

// TestCheckStreams checks that an answer comes before the next case is written.
func TestCheckStreams(t *testing.T) {
	in, cases := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := Check(in, out, words.For("en"))
		done <- errors.Join(err, out.Close())
	}()
	decoder := json.NewDecoder(answers)
	for range 3 {
		if _, err := io.WriteString(cases, publicJoin(`,"members":{}`)+"\n"); err != nil {
			t.Fatal(err)
		}
		var answer answer
		if err := decoder.Decode(&answer); err != nil || answer.Verdict != "allow" {
			t.Fatalf("got %+v, %v", answer, err)
		}
	}
	cases.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCheckErrors(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Check(iotest.ErrReader(broken), io.Discard, words.For("en")); !errors.Is(err, broken) {
		t.Errorf("reading: got %v", err)
	}
	in, out := io.Pipe()
	in.CloseWithError(broken)
	if _, err := Check(strings.NewReader(publicJoin(``)+"\n"), out, words.For("en")); !errors.Is(err, broken) {
		t.Errorf("writing: got %v", err)
	}
}
