package room

import (
	"encoding/json"

	"maunium.net/go/mautrix/id"
)

// VouchedNeeds names the state needed by Vouched.
func VouchedNeeds(user id.UserID, content json.RawMessage) []Key {
	return append(Needs(joinOf(user, content)), Key{Type: TypePowerLevels})
}

// Vouched judges whether an uninvited user may have joined by a restricted join rule: the rule in the snapshot is a restricted
// one, and the user in the join's join_authorised_via_users_server is in the room and has the power to invite.
// Homeservers check this user only while the rule is restricted, so a join under any other rule is vouched for by nobody.
func Vouched(s *Snapshot, user id.UserID, content json.RawMessage) Result {
	join := joinOf(user, content)
	events := map[Key]*Event{}
	for _, k := range Needs(join) {
		if event, known := s.Event(k); known {
			events[k] = event
		}
	}
	events[MemberKey(user)] = nil
	r := Authorize(NewSnapshot(State{Version: s.version, Events: events}), join)
	if r.Verdict == Allow && r.Rule != RuleJoinRestricted {
		r = deny(r.Rule, r.Evidence)
	}
	return r
}

func joinOf(user id.UserID, content json.RawMessage) Action {
	return Action{Type: Join, Sender: user, Target: user, Content: content}
}
