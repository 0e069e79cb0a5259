package policy

import "maunium.net/go/mautrix/id"

// Welcomes reports whether a user is among the users and servers that are let in at once. Names are compared as they are written.
func (k Knocks) Welcomes(user id.UserID) bool {
	_, byName := matchAny(k.AcceptUsers, string(user))
	_, byServer := matchAny(k.AcceptServers, user.Homeserver())
	return byName || byServer
}
