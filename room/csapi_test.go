package room

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestClientAPIVectors compares with the cs_api of the vectors, which is Synapse's; without one, the API agrees with the rules.
func TestClientAPIVectors(t *testing.T) {
	in, err := os.ReadFile("testdata/membership.jsonl")
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
		got := ClientAPI(NewSnapshot(c.state), c.action, Synapse)
		allowed, errcode := want.Expect.Allowed, ""
		if want.API != nil {
			allowed, errcode = want.API.Allowed, want.API.Errcode
		}
		if (got.Verdict == Allow) != allowed || errcode != "" && got.Errcode != errcode {
			t.Errorf("%s: got %v %v %s, want %v %s", want.ID, got.Verdict, got.Rule, got.Errcode, allowed, errcode)
		}
	}
}
