package policy

import "maunium.net/go/mautrix/id"

// Welcomes reports whether somebody is among the users and servers that are let in at once.
func (k Knocks) Welcomes(user id.UserID) bool {
	_, byName := matchAny(k.AcceptUsers, string(user))
	_, byServer := matchAny(k.AcceptServers, ServerName(user))
	return byName || byServer
}
