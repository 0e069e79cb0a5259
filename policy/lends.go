package policy

import (
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Lends names the action for which a field lends the bot's power to users without it; empty for a field which lends nothing. A lending
// field counts only as far as its author could do the same: see Entitled.
func Lends(path string) room.ActionType {
	switch path {
	case "delegate", planAllow, "knocks.accept_users", "knocks.accept_servers", "knocks.accept_members_of":
		return room.Invite
	case "guard.intruders", "guard.by_hand", "pending.expire_after", withdrawOn:
		return room.Kick
	case "guard.join_rule":
		return room.SetJoinRules
	}
	if strings.HasPrefix(path, levelsPath+".") {
		return room.SetPowerLevels
	}
	return ""
}

// lendsAlso are the further actions that a field lends power to. The actions of a plan are judged one by one, see Agrees.
func lendsAlso(path string) []room.ActionType {
	if path == planAllow {
		return []room.ActionType{room.Kick, room.SetPowerLevels}
	}
	return nil
}

// admitting lists the fields by which the bot admits knocking users, without anybody's decision.
func admitting() []string {
	return []string{"knocks.accept_users", "knocks.accept_servers", "knocks.accept_members_of"}
}

// Person returns the author of a source, whose power limits the lending fields: the sender of the event or, where the bot sent it, the user
// for whom the bot wrote it. It is empty where the bot's event names nobody.
func (s Source) Person(bot id.UserID) id.UserID {
	if s.Author == bot {
		return s.For
	}
	return s.Author
}

// AuthorKeys names the memberships needed by Entitled: one for each author of a lending field.
func (p *InForce) AuthorKeys(bot id.UserID) (keys []room.Key) {
	for _, source := range p.Sources {
		lends := slices.ContainsFunc(source.Layer.Paths(), func(path string) bool { return Lends(path) != "" })
		if person := source.Person(bot); lends && person != "" && !slices.Contains(keys, room.MemberKey(person)) {
			keys = append(keys, room.MemberKey(person))
		}
	}
	return keys
}

// Entitled judges whether a field gives the bot, the action's sender, the right to do the action in the room of the snapshot. It
// does if the author of the field could do the action now, and may still write the policy. A denial names the rule, an unknown result the
// missing state.
func (p *InForce) Entitled(s *room.Snapshot, path string, a room.Action) room.Result {
	from, set := p.From(path)
	if !set && path == withdrawOn { // its default acts
		from, set = p.Nearest()
	}
	person := from.Person(a.Sender)
	if !set || from.Fault != nil || from.Lapsed || person == "" {
		return room.Result{}
	}
	if !from.Inherited {
		if may := s.CanSend(person, EventType, true); may.Verdict != room.Allow {
			return may
		}
	}
	a.Sender = person
	return room.Authorize(s, a)
}

// Rearmed lists the fields of a room's own policy which have no effect because their author lacks the power, and would have an effect if
// another user wrote them anew in the next version of the policy. The snapshot knows the power levels and both memberships.
func Rearmed(s *room.Snapshot, old Source, next Layer, by, bot id.UserID) (paths []string) {
	person := old.Person(bot)
	for _, path := range old.Layer.Paths() {
		if Lends(path) == "" || !next.Has(path) || next.Text(path) != old.Layer.Text(path) || idle(path, old.Layer.Text(path)) {
			continue
		}
		arms := func(action room.ActionType) bool {
			return !couldLend(s, path, action, old.Layer, person) && couldLend(s, path, action, old.Layer, by)
		}
		if arms(Lends(path)) || slices.ContainsFunc(lendsAlso(path), arms) {
			paths = append(paths, path)
		}
	}
	return paths
}

// idle reports whether a value of a lending field makes the bot do nothing.
func idle(path, value string) bool {
	switch path {
	case "guard.intruders", "guard.by_hand":
		return value == Ignore || value == Report
	}
	return value == "" || value == "false" || Lends(path) == room.Kick && value == Span(0)
}

// couldLend reports whether a user may write the policy, and has the power for an action of a field.
func couldLend(s *room.Snapshot, path string, action room.ActionType, l Layer, user id.UserID) bool {
	if user == "" || s.CanSend(user, EventType, true).Verdict != room.Allow {
		return false
	}
	power, known := s.Power(user)
	needed, knows := s.NamedLevel(string(action)) // "invite" or "kick"
	switch action {
	case room.SetJoinRules:
		needed, knows = s.NeededToSend(joinRules.Type)
	case room.SetPowerLevels:
		needed, knows = s.NeededToSend(powerLevels.Type)
	}
	if !known || !knows || power < needed {
		return false
	}
	if action != room.SetPowerLevels || path == planAllow {
		return true
	}
	event, _ := s.Event(powerLevels)
	content := withLevels(s, event, []Difference{{Path: path, Wanted: l.Text(path)}})
	return content != nil && room.Authorize(s, room.Action{Type: action, Sender: user, Content: content}).Verdict == room.Allow
}
