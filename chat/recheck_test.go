package chat

import (
	"strings"
	"testing"

	"usher/invites"
	"usher/room"
)

// TestRedactedPolicy: the admins of a room are told when somebody else than its author redacted the policy. Other redactions, and redactions by the
// author, have only the guard look.
func TestRedactedPolicy(t *testing.T) {
	const byMod, byAuthor = `{"redacted_because":{"sender":"@mod:here"}}`, `{"redacted_because":{"sender":"@alice:here"}}`
	for name, c := range map[string]struct {
		raw, unsigned string
		told, looks   bool
	}{
		"by somebody else":     {`{"content":{"redacts":"$policy"}}`, byMod, true, false},
		"in an old room":       {`{"redacts":"$policy","content":{}}`, byMod, true, false},
		"by its author":        {`{"redacts":"$policy","content":{}}`, byAuthor, false, false},
		"without effect":       {`{"redacts":"$policy","content":{}}`, "", false, false},
		"of something else":    {`{"redacts":"$levels","content":{}}`, "", false, true},
		"of an earlier policy": {`{"redacts":"$before","content":{}}`, byMod, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newChat(t)
			d := &doors{}
			b.Rooms.guard, s.id, s.policy, s.gone = d, "$policy", "{}", c.unsigned
			ev := invites.Received{Event: "$redaction", Room: "!r:here", Sender: "@mod:here", Type: room.TypeRedaction, Raw: []byte(c.raw)}
			for range 2 { // again after a crash
				if err := redacted(t.Context(), b.Rooms, ev); err != nil {
					t.Fatal(err)
				}
			}
			told := map[string]string{}
			for i, path := range s.paths {
				if strings.Contains(path, "/send/") {
					told[path] = s.bodies[i]
				}
			}
			if want := map[bool]int{true: 1}[c.told]; len(told) != want {
				t.Fatalf("told %q", told)
			}
			for _, body := range told {
				if !strings.Contains(body, "@mod:here removed its event") || !strings.Contains(body, `"user_ids":["@alice:here"]`) {
					t.Errorf("told %s", body)
				}
			}
			if looks := len(d.handled) > 0; looks != c.looks {
				t.Errorf("the guard looked: %t", looks)
			}
		})
	}
}
