package judge

// Meaning words the errcodes that a homeserver answers an invitation or a join with.
func Meaning(code string) string {
	switch code {
	case "M_INVITE_BLOCKED", "ORG.MATRIX.MSC4155.INVITE_BLOCKED":
		return "this person takes no invitations from you (" + code + ")"
	case "M_USER_LIMIT_EXCEEDED":
		return "a limit of the server is reached (" + code + ")"
	case "M_USER_SUSPENDED", "M_USER_LOCKED":
		return "the account that would do it is suspended or locked (" + code + ")"
	case "M_UNSUPPORTED_ROOM_VERSION", "M_INCOMPATIBLE_ROOM_VERSION":
		return "the room has a version that a server involved does not support (" + code + ")"
	case "M_NOT_FOUND":
		return "the room or the user was not found (" + code + ")"
	case "":
		return "it gave no reason"
	}
	return code
}
