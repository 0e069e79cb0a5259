package check

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"usher/room"
	"usher/words"
)

// TestVectors runs the shared vectors through Check, which goes through Authorize.
func TestVectors(t *testing.T) {
	in, err := os.ReadFile("../room/testdata/membership.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	malformed, err := Check(bytes.NewReader(in), &out, words.For("en"))
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
				Rule    room.Rule
			}
		}
		var got struct {
			ID, Verdict string
			Rule        room.Rule
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

// TestClientAPIVectors compares with the cs_api of the vectors, which is Synapse's; without one, the API agrees with the rules.
func TestClientAPIVectors(t *testing.T) {
	in, err := os.ReadFile("../room/testdata/membership.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(in) {
		var want struct {
			ID     string
			Expect struct{ Allowed bool }
			API    *struct {
				Allowed bool
				Errcode string
			} `json:"cs_api"`
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		c, err := parseCase(line, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := room.ClientAPI(room.NewSnapshot(c.state), c.action, room.Synapse)
		allowed, errcode := want.Expect.Allowed, ""
		if want.API != nil {
			allowed, errcode = want.API.Allowed, want.API.Errcode
		}
		if (got.Verdict == room.Allow) != allowed || errcode != "" && got.Errcode != errcode {
			t.Errorf("%s: got %v %v %s, want %v %s", want.ID, got.Verdict, got.Rule, got.Errcode, allowed, errcode)
		}
	}
}
