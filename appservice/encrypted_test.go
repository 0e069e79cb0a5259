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
		"edit":               {event("m.room.encrypted", "$1", `{`+megolm+`,"m.relates_to":{"rel_type":"m.replace","event_id":"$0"}}`, ""), nil},
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
