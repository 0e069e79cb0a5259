package commands

import (
	"encoding/json"
	"testing"
)

// TestReactionKeys checks that keys that differ in case, or in a letter that folds to another, are other keys.
func TestReactionKeys(t *testing.T) {
	for raw, want := range map[string]string{
		`{"content":{"m.relates_to":{"event_id":"$a","key":"y"}}}`:                                                   "$a y",
		`{"content":{"m.relates_to":{"event_id":"$a","key":"y"},"M.RELATES_TO":{"event_id":"$b","key":"n"}}}`:        "$a y",
		`{"content":{"M.RELATES_TO":{"event_id":"$b","key":"n"},"m.relate\u017f_to":{"event_id":"$b","key":"n"}}}`:   " ",
		`{"content":{"m.relates_to":{"EVENT_ID":"$b","event_id":"$a","\u212aey":"n","Key":"n"}}}`:                    "$a ",
		`{"CONTENT":{"m.relates_to":{"event_id":"$b","key":"n"}},"content":{"m.relates_to":{"event_id":5,"key":1}}}`: " ",
		`{"content":{"m.relates_to":{"event_id":"$a","event_id":"$b","key":"y"}}}`:                                   " ",
	} {
		if on, key := Reaction(json.RawMessage(raw)); string(on)+" "+key != want {
			t.Errorf("%s: %q %q", raw, on, key)
		}
	}
}
