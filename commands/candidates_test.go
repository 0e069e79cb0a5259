package commands

import (
	"strings"
	"testing"

	"maunium.net/go/mautrix/id"
)

// TestCandidates: people who may be meant are links to tap; other words are none, and the plain text has no markup.
func TestCandidates(t *testing.T) {
	for text, want := range map[string][]string{
		"!invite @bob@here.org": {"@bob:here.org"},
		"!invite Sam":           {"@sam:here", "@sam:here.org"},
		"!inivte @bob:here":     nil,
		"!invite @bob:here dry": nil,
	} {
		d, _ := newRunner(t)
		d.People = &known{users: map[id.UserID]string{"@sam:here": "Sam", "@sam:here.org": "Sam", bob: ""}}
		m, reply := say(t, d, lobby, alice, text)
		notice := reply.Notice(m)
		if n := strings.Count(notice.FormattedBody, "<a href"); n != len(want) || strings.Contains(notice.Body, "<a") {
			t.Errorf("%s: %s", text, notice.FormattedBody)
		}
		for _, user := range want {
			link := `<a href="https://matrix.to/#/` + user + `">` + user + `</a>`
			if !strings.Contains(notice.FormattedBody, link) {
				t.Errorf("%s: %s lacks %s", text, notice.FormattedBody, link)
			}
		}
	}
}
