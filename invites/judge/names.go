package judge

import (
	"context"
	"strings"
	"unicode"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/room"
)

// Name returns the alias of a room, or else its name in quotes. It is empty for a room without both, for one that the bot can't see, and for a user
// who may not read the room's state. For an empty user, the bot asks for itself.
func (s *Reach) Name(ctx context.Context, r id.RoomID, user id.UserID) string {
	if user != "" {
		if may, err := s.mayRead(ctx, r, user); err != nil || !may {
			return ""
		}
	}
	alias, name := room.Key{Type: "m.room.canonical_alias"}, room.Key{Type: "m.room.name"}
	snap, err := s.homeserver.Snapshot(ctx, r, s.self.Bot, []room.Key{alias, name}, false)
	if err != nil {
		return ""
	}
	if event, _ := snap.Event(alias); event != nil {
		if text := exactjson.Text(event.Content, "alias"); strings.HasPrefix(text, "#") {
			return text
		}
	}
	if event, _ := snap.Event(name); event != nil {
		if text := []rune(room.OneLine(exactjson.Text(event.Content, "name"))); len(text) > 0 {
			return "“" + string(text[:min(len(text), longestName)]) + "”"
		}
	}
	return ""
}

// longestName is how many characters of a room's name are shown.
const longestName = 60

// maxName is the length in characters of the longest display name that is shown in sentences.
const maxName = 60

// PlainName returns a display name on one line; empty for a name that could pass for an id, or with invisible characters.
func PlainName(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	odd := func(r rune) bool { return !unicode.IsPrint(r) || room.Invisible(r) || strings.ContainsRune("@:()", r) }
	blank := !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsMark(r) && !unicode.IsSpace(r) })
	if blank || strings.ContainsFunc(name, odd) || len([]rune(name)) > maxName {
		return ""
	}
	return name
}

// PersonIn returns the name of a user in a room for a sentence: the display name if it is plain, else the id.
func PersonIn(snap *room.Snapshot, user id.UserID) string {
	if event, _ := snap.Event(room.MemberKey(user)); event != nil {
		if name := PlainName(room.DisplayName(event)); name != "" {
			return name
		}
	}
	return string(user)
}
