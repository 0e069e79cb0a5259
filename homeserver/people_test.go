package homeserver

import (
	"testing"
	"time"
)

// TestExists: a user is unknown only where the homeserver itself says so. A proxy's page and trouble are no answer.
func TestExists(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		found  bool
		fails  bool
	}{
		"a profile":                {200, `{"displayname":"Ann"}`, true, false},
		"an empty profile":         {200, `{}`, true, false},
		"none, by the spec":        {404, `{"errcode":"M_NOT_FOUND","error":"Profile was not found"}`, false, false},
		"none, by Synapse":         {404, `{"errcode":"M_UNKNOWN","error":"No row found (profiles)"}`, false, false},
		"one that may not be read": {403, `{"errcode":"M_FORBIDDEN"}`, true, false},
		"a page of a proxy":        {404, `<html>not here</html>`, false, true},
		"trouble":                  {500, `{"errcode":"M_UNKNOWN"}`, false, true},
	} {
		s := &stub{}
		s.set("GET /v3/profile/@ann:x", c.status, c.body)
		found, err := People{s.client(t, time.Second)}.Exists(t.Context(), "@ann:x")
		if found != c.found || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}
