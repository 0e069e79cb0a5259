package invites_test

import (
	"testing"

	"usher/invites"
)

func TestChoiceOf(t *testing.T) {
	for key, want := range map[string]invites.Choice{
		"✅": invites.Accept, "✅\ufe0f": invites.Accept, "❌": invites.Decline, "❌\ufe0f": invites.Decline, "🚫": invites.BanThem, "👍": "", "": "",
	} {
		if got, ok := invites.ChoiceOf(key); got != want || ok != (want != "") {
			t.Errorf("%q is %q", key, got)
		}
	}
}
