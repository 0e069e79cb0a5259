package judge

import (
	"strings"

	"usher/invites"
	"usher/room"
)

// Meaning explains a homeserver's refusal of an invitation, a join or an event: by its errcode where that says enough, and by the
// homeserver's own words. It does not name the errcode.
func Meaning(err error) (parts []room.Phrase) {
	code := invites.Errcode(err)
	switch code[strings.LastIndexByte(code, '.')+1:] { // codes that are not stable yet have a prefix
	case "M_INVITE_BLOCKED", "INVITE_BLOCKED":
		parts = append(parts, room.Say("meaning.blocked"))
	case "M_USER_LIMIT_EXCEEDED":
		parts = append(parts, room.Say("meaning.limit"))
	case "M_USER_SUSPENDED", "M_USER_LOCKED":
		parts = append(parts, room.Say("meaning.suspended"))
	case "M_UNSUPPORTED_ROOM_VERSION", "M_INCOMPATIBLE_ROOM_VERSION":
		parts = append(parts, room.Say("meaning.version"))
	case "M_NOT_FOUND":
		parts = append(parts, room.Say("meaning.not_found"))
	}
	if words := invites.Words(err); words != "" {
		parts = append(parts, room.Say("meaning.words", "words", words))
	}
	if len(parts) == 0 {
		parts = append(parts, room.Say("meaning.none"))
	}
	return parts
}
