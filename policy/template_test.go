package policy

import (
	"strings"
	"testing"
)

// TestTemplate: the template of a reason names the asker, on one short line.
func TestTemplate(t *testing.T) {
	for template, valid := range map[string]bool{
		"": true, "{asker}": true, "{asker} wants you in the club: {reason}": true, "Von {asker}, 📚": true,
		"welcome": false, "{reason}": false, "{asker}\n{reason}": false, "{asker}\u202e": false, "{asker}\x1b[31m": false, "{asker}\xff": false,
		"{asker}" + strings.Repeat("é", 193): true, "{asker}" + strings.Repeat("é", 194): false,
	} {
		l, err := Layer{}.With("invitation.reason", template)
		if (err == nil) != valid {
			t.Errorf("%q: %v", template, err)
		}
		if err == nil && l.Text("invitation.reason") != template {
			t.Errorf("%q is kept as %q", template, l.Text("invitation.reason"))
		}
	}
	for _, tt := range []struct{ template, reason, want string }{
		{"{asker} of the club: {reason}", "he wrote the book", "Ann (@ann:x) of the club: he wrote the book"},
		{"{asker} of the club: {reason}", "", "Ann (@ann:x) of the club"},
		{"{asker}: “{reason}”", "", "Ann (@ann:x)"},
		{"{reason} ({asker})", "{asker}", "{asker} (Ann (@ann:x))"},
	} {
		if got, ok := (Invitation{tt.template}).Fill("Ann (@ann:x)", tt.reason); !ok || got != tt.want {
			t.Errorf("%q with %q: %q", tt.template, tt.reason, got)
		}
	}
}
