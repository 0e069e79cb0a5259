package inbound

import "usher/room"

// Reason words the code of a refusal for its sender. It tells no limit, so that nobody stays just below it.
func Reason(code string) room.Phrase {
	switch code {
	case CodeListed:
		return room.Say("inbound.listed")
	case CodeIP:
		return room.Say("inbound.ip_literal")
	case CodeNoCreate:
		return room.Say("inbound.no_create")
	case CodeBlocked:
		return room.Say("inbound.blocked")
	}
	return room.Say("inbound.limit")
}
