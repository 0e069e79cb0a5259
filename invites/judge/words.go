package judge

import "usher/room"

// Meaning explains the errcode of a homeserver's answer to an invitation or a join.
func Meaning(code string) room.Phrase {
	switch code {
	case "M_INVITE_BLOCKED", "ORG.MATRIX.MSC4155.INVITE_BLOCKED":
		return room.Say("meaning.blocked", "code", code)
	case "M_USER_LIMIT_EXCEEDED":
		return room.Say("meaning.limit", "code", code)
	case "M_USER_SUSPENDED", "M_USER_LOCKED":
		return room.Say("meaning.suspended", "code", code)
	case "M_UNSUPPORTED_ROOM_VERSION", "M_INCOMPATIBLE_ROOM_VERSION":
		return room.Say("meaning.version", "code", code)
	case "M_NOT_FOUND":
		return room.Say("meaning.not_found", "code", code)
	case "":
		return room.Say("meaning.none")
	}
	return room.Say(room.KeyText, "text", code)
}
