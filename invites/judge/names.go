package judge

import (
	"context"
	"strings"

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
		if text := []rune(strings.Join(strings.Fields(exactjson.Text(event.Content, "name")), " ")); len(text) > 0 {
			return "“" + string(text[:min(len(text), longestName)]) + "”"
		}
	}
	return ""
}

// longestName is how many characters of a room's name are shown.
const longestName = 60
