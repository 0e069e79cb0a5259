package appservice

import (
	"strings"
	"testing"
)

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
