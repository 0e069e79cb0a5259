package policy

import "maunium.net/go/mautrix/id"

// Welcomes lists the fields by which a user is let in at once. Names are compared as they are written.
func (k Knocks) Welcomes(user id.UserID) (fields []string) {
	if _, ok := matchAny(k.AcceptUsers, string(user)); ok {
		fields = append(fields, "knocks.accept_users")
	}
	if _, ok := matchAny(k.AcceptServers, user.Homeserver()); ok {
		fields = append(fields, "knocks.accept_servers")
	}
	return fields
}
