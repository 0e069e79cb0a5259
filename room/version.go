package room

import (
	"strconv"

	"maunium.net/go/mautrix/id"
)

// traits are the differences in the authorization rules of a room version.
type traits struct {
	aliases            bool // rule 4 of v1–v5 for m.room.aliases
	floats             bool // power levels may be floats: v1–v5
	strings            bool // power levels may be strings: v1–v9
	canonicalJSON      bool // canonical JSON is enforced: v6 and up
	notifications      bool // changes of notifications are checked: v6 and up
	knock              bool // membership and join rule knock: v7 and up
	restricted         bool // join rule restricted: v8 and up
	knockRestricted    bool // join rule knock_restricted: v10 and up
	creatorInContent   bool // the creator is content.creator: v1–v10; the sender later
	privilegedCreators bool // creators have infinite power, additional_creators exist: v12
}

// traitsOf knows the room versions 1 to 12. Of any other it returns ok false.
func traitsOf(v id.RoomVersion) (t traits, ok bool) {
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 1 || n > 12 || strconv.Itoa(n) != string(v) {
		return traits{}, false
	}
	return traits{
		aliases:            n <= 5,
		floats:             n <= 5,
		strings:            n <= 9,
		canonicalJSON:      n >= 6,
		notifications:      n >= 6,
		knock:              n >= 7,
		restricted:         n >= 8,
		knockRestricted:    n >= 10,
		creatorInContent:   n <= 10,
		privilegedCreators: n >= 12,
	}, true
}
