package chat

import (
	"encoding/json"
	"testing"
)

func TestStays(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"unsigned":{"prev_content":{"membership":"join"}}}`:                                                        true,
		`{"unsigned":{"prev_content":{"membership":"invite"}}}`:                                                      false,
		`{"unsigned":{"prev_content":{"member\u017fhip":"join","MEMBERSHIP":"join"}}}`:                               false,
		`{"UNSIGNED":{"prev_content":{"membership":"join"}},"un\u017figned":{"prev_content":{"membership":"join"}}}`: false,
		`{"unsigned":{}}`: false,
		`{}`:              false,
		`{"unsigned":5}`:  false,
	} {
		if got := stays(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
}
