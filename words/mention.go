package words

import (
	"regexp"
	"slices"
	"strings"
)

// A mention is an id in an argument of a sentence. Between three bytes that are none of UTF-8 stand the id and the text shown for it.
const mentionStart, mentionShown, mentionEnd = "\xfd", "\xfc", "\xfb"

// The arguments that name a user, or rooms. Others, such as reasons, are the words of people, and mention nobody.
var (
	mentionsUser  = [...]string{"target", "actor", "performer", "user", "by", "who", "inviter", "author", "for", "maker"}
	mentionsRooms = [...]string{"room", "from", "next", "here", "list", "value"}
	userID        = regexp.MustCompile(`^@[!-~]+:[A-Za-z0-9.:\[\]-]+$`)
	roomID        = regexp.MustCompile(`^![!-~]+$`)
)

// Naming returns a voice that mentions users and rooms. names returns the name of a room by its id, or the empty string.
func (v *Voice) Naming(names func(id string) string) *Voice {
	named := *v
	named.names = names
	return &named
}

// mention marks the ids in an argument.
func (v *Voice) mention(argument, value string) string {
	switch {
	case v.names == nil:
		return value
	case slices.Contains(mentionsUser[:], argument) && userID.MatchString(value):
		return mentionStart + value + mentionShown + value + mentionEnd
	case !slices.Contains(mentionsRooms[:], argument) || !strings.HasPrefix(value, "!"):
		return value
	}
	ids := strings.Fields(value)
	for i, id := range ids {
		if !roomID.MatchString(id) {
			return value
		}
		shown := id
		if name := v.names(id); name != "" {
			shown = strings.ReplaceAll(protect(name), " ", "\u00A0") // a list is apart by spaces
		}
		ids[i] = mentionStart + id + mentionShown + shown + mentionEnd
	}
	return strings.Join(ids, " ")
}

// exact takes the mark from an argument: the id itself is shown, where people decide about somebody by it.
func exact(argument string) string {
	if marked, is := strings.CutPrefix(argument, mentionStart); is {
		argument, _, _ = strings.Cut(marked, mentionShown)
	}
	return argument
}

// mentions makes the runs of a piece of a line. Text in fixed width is the name of somebody as a whole, or a command with ids.
func mentions(piece string, code bool) (runs []Run) {
	add := func(r Run) {
		if n := len(runs); n > 0 && r.Link == "" && runs[n-1].Link == "" {
			runs[n-1].Text += r.Text
		} else if r.Text != "" {
			runs = append(runs, r)
		}
	}
	whole := strings.HasPrefix(piece, mentionStart) && strings.Index(piece, mentionEnd) == len(piece)-1
	for piece != "" {
		before, marked, found := strings.Cut(piece, mentionStart)
		add(Run{Text: restore(before), Code: code})
		if !found {
			break
		}
		id, rest, _ := strings.Cut(marked, mentionShown)
		shown, rest, _ := strings.Cut(rest, mentionEnd)
		if code && !whole {
			add(Run{Text: restore(id), Code: true})
		} else {
			add(Run{Text: restore(shown), Link: restore(id)})
		}
		piece = rest
	}
	return runs
}
