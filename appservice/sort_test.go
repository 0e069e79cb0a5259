package appservice

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestEncrypted: with encryption on, encrypted events that may be commands are kept as they came.
func TestEncrypted(t *testing.T) {
	const megolm = `"algorithm":"m.megolm.v1.aes-sha2"`
	one := event("m.room.encrypted", "$1", `{`+megolm+`,"ciphertext":"x"}`, "")
	kept := []string{"receive 1/1", "deliver 1"}
	for name, c := range map[string]struct {
		event string
		want  []string
	}{
		"message":            {one, kept},
		"reply":              {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"m.in_reply_to":{"event_id":"$0"}}}`, ""), kept},
		"in a thread":        {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"rel_type":"m.thread","event_id":"$0"}}`, ""), kept},
		"edit":               {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"rel_type":"m.replace","event_id":"$0"}}`, ""), kept},
		"reaction to a card": {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"rel_type":"m.annotation","event_id":"$card","key":"x"}}`, ""), kept},
		"reaction":           {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"rel_type":"m.annotation","event_id":"$0"}}`, ""), nil},
		"the bot's own":      {strings.Replace(one, "@a:x", "@usher:example.org", 1), nil},
		"unknown algorithm":  {event("m.room.encrypted", "$1", `{"algorithm":"rot13"}`, ""), nil},
		"no content":         {event("m.room.encrypted", "$1", `[]`, ""), nil},
		"bad time":           {strings.Replace(one, "900", "1.5", 1), []string{"quarantine 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := new(desk)
			intake := d.intake()
			intake.o.Encrypted = true
			intake.o.Index.Cards.Open("$card")
			if status, body := put(intake, batch(c.event)); status != http.StatusOK {
				t.Errorf("answered %d %s", status, body)
			}
			if !slices.Equal(d.log, c.want) {
				t.Errorf("got %q, want %q", d.log, c.want)
			}
			if len(c.want) == 2 && (len(d.delivered) != 1 || string(d.delivered[0].Raw) != c.event || d.delivered[0].Type != "m.room.encrypted") {
				t.Errorf("delivered %+v", d.delivered)
			}
		})
	}
}

// TestGuarded shows which state of a guarded room reaches the inbox, and that the same of another room costs no write, save for what may
// put a room under a space's guard.
func TestGuarded(t *testing.T) {
	const key, ann = `,"state_key":""`, `,"state_key":"@ann:x"`
	kept := map[string]bool{
		event("m.room.join_rules", "$1", `{"join_rule":"public"}`, key):      true,
		event("m.room.power_levels", "$2", `{}`, key):                        true,
		event("m.room.power_levels", "$3", `{}`, `,"state_key":"other"`):     false,
		event("m.room.member", "$4", `{"membership":"join"}`, ann):           true,
		event("m.room.member", "$5", `{"membership":"leave"}`, ann):          false,
		event("m.room.name", "$6", `{"name":"x"}`, key):                      false,
		event("m.room.message", "$7", `{"msgtype":"m.text","body":"x"}`, ``): false,
	}
	for _, guarded := range []bool{true, false} {
		for _, claimed := range []bool{true, false} { // by a space: then its power levels say what it inherits
			for e, want := range kept {
				d := new(desk)
				n := d.intake()
				d.guarded, d.claimed = guarded, claimed
				want := want && (guarded || claimed && strings.Contains(e, "m.room.power_levels"))
				if put(n, batch(e)); (len(d.delivered) == 1) != want {
					t.Errorf("guarded %t, claimed %t: %d kept of %s", guarded, claimed, len(d.delivered), e)
				}
			}
		}
	}
}
