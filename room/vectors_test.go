package room

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestVectors runs the shared vectors through Check, which goes through Authorize.
func TestVectors(t *testing.T) {
	in, err := os.ReadFile("testdata/membership.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	malformed, err := Check(bytes.NewReader(in), &out, Phrase.String)
	if err != nil || malformed != 0 {
		t.Fatalf("Check: %d malformed, %v", malformed, err)
	}
	answers := json.NewDecoder(&out)
	vectors := json.NewDecoder(bytes.NewReader(in))
	n := 0
	for ; vectors.More(); n++ {
		var want struct {
			ID     string
			Expect struct {
				Allowed bool
				Rule    Rule
			}
		}
		var got struct {
			ID, Verdict string
			Rule        Rule
		}
		if err := vectors.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if err := answers.Decode(&got); err != nil {
			t.Fatal(err)
		}
		verdict := "deny"
		if want.Expect.Allowed {
			verdict = "allow"
		}
		if got.ID != want.ID || got.Verdict != verdict || got.Rule != want.Expect.Rule {
			t.Errorf("%s: got %s %s, want %s %s", want.ID, got.Verdict, got.Rule, verdict, want.Expect.Rule)
		}
	}
	if n < 320 {
		t.Errorf("only %d vectors", n)
	}
}
