package commands

import (
	"html"
	"net/url"
	"slices"
	"strings"

	"usher/room"
)

// candidates returns the user ids suggested by a phrase, the longest first.
func candidates(p room.Phrase) (users []string) {
	for _, part := range p.Parts {
		users = append(users, candidates(part)...)
	}
	var list []string
	switch p.Key {
	case "suggest":
		list = []string{p.Args["name"]}
	case "name.several":
		list = strings.Fields(p.Args["users"])
	}
	for _, name := range list {
		if (word{text: name}).read("").user != "" {
			users = append(users, name)
		}
	}
	slices.SortStableFunc(users, func(a, b string) int { return len(b) - len(a) })
	return users
}

// pills makes links of users in escaped text, so that readers can tap them
// (https://spec.matrix.org/latest/client-server-api/#user-and-room-mentions).
func pills(escaped string, users []string) string {
	if len(users) == 0 {
		return escaped
	}
	var pairs []string
	for _, user := range users {
		shown := html.EscapeString(visible(user))
		pairs = append(pairs, shown, `<a href="https://matrix.to/#/`+html.EscapeString(url.PathEscape(user))+`">`+shown+"</a>")
	}
	return strings.NewReplacer(pairs...).Replace(escaped)
}
