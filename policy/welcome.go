package policy

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// The places of a welcome.
const (
	PlacePerson  = "{person}"
	PlaceInviter = "{inviter}"
	PlaceRoom    = "{room}"
)

// maxGreeting is the length of a welcome in characters.
const maxGreeting = 1000

// placesOf finds words in braces, of any number.
var placesOf = regexp.MustCompile(`\{+ *([^{}\n]{0,60}?) *\}+`)

// meantBy has the words that people write for the places of a welcome.
var meantBy = map[string][]string{
	PlacePerson:  {"person", "user", "username", "name", "displayname", "member", "newcomer", "guest", "invitee", "invited", "target", "who", "mxid", "nick", "you"},
	PlaceInviter: {"inviter", "asker", "by", "from", "host", "sender", "actor", "maker", "invitedby", "invitername", "admin"},
	PlaceRoom:    {"room", "roomname", "here", "space", "channel", "group", "chat", "server", "community"},
}

// greeting reads the text of a welcome, or returns its fault.
func (f Field) greeting(text string) (value any, wrong *room.Phrase) {
	place, meant, ok := greetingFault(text)
	switch {
	case ok:
		return text, nil
	case place == "":
		return nil, f.refuses()
	}
	p := room.Say("fault.item", "item", head(place, 80)).Holding(f.Takes())
	if meant != "" {
		p = room.Say("fault.meant", "item", head(place, 80), "meant", meant).Holding(f.Takes())
	}
	return nil, &p
}

// greetingFault returns the first place in the text of a welcome that is none, and the place that was probably meant; both are empty where the
// text has another fault.
func greetingFault(text string) (place, meant string, ok bool) {
	odd := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\u200d' }
	if utf8.RuneCountInString(text) > maxGreeting || !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
		return "", "", false
	}
	for _, found := range placesOf.FindAllStringSubmatch(text, -1) {
		if _, known := meantBy[found[0]]; known {
			continue
		}
		word := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, found[1])
		for _, place := range []string{PlacePerson, PlaceInviter, PlaceRoom} {
			if slices.Contains(meantBy[place], word) {
				return found[0], place, false
			}
		}
		return found[0], "", false
	}
	return "", "", true
}

// Cut cuts the text of a welcome into its places and the words between them.
func (w Welcome) Cut() (parts []string) {
	at := 0
	for _, found := range placesOf.FindAllStringIndex(w.Text, -1) {
		if _, known := meantBy[w.Text[found[0]:found[1]]]; !known {
			continue
		}
		if found[0] > at {
			parts = append(parts, w.Text[at:found[0]])
		}
		parts = append(parts, w.Text[found[0]:found[1]])
		at = found[1]
	}
	if at < len(w.Text) {
		parts = append(parts, w.Text[at:])
	}
	return parts
}

// SpokenBy judges whether the author of a field by which the bot speaks in a room may write the policy and speak there today. Like Entitled, it
// denies where nobody set the field.
func (p *InForce) SpokenBy(s *room.Snapshot, path string, bot id.UserID) room.Verdict {
	from, set := p.From(path)
	person := from.Person(bot)
	if !set || from.Fault != nil || from.Lapsed || person == "" {
		return room.Deny
	}
	if !from.Inherited {
		if may := s.CanSend(person, EventType, true); may.Verdict != room.Allow {
			return may.Verdict
		}
	}
	return s.CanSend(person, room.TypeMessage, false).Verdict
}
