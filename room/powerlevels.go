package room

import (
	"maunium.net/go/mautrix/id"

	"usher/exactjson"
)

// authorizePowerLevels is rule 10: m.room.power_levels, after rules 6 to 9 have passed.
func (s rules) authorizePowerLevels(a *Action, content exactjson.Value) Result {
	next := s.traits.powerLevels(content)
	if r := s.checkLevels(next, content); r.Rule != "" {
		return r
	}
	// 10.5. There is no previous m.room.power_levels event: allow.
	if s.levels == nil {
		return allow(RulePowerLevelsFirst, Evidence{User: a.Sender})
	}
	power, _ := s.power(a.Sender)
	p := levelChange{a.Sender, power}
	// 10.6. Named levels added, changed or removed: neither the current nor the new value may be above the
	// sender's power.
	for i, current := range s.levels.named {
		if current.same(next.named[i]) {
			continue
		}
		if r := p.above(RulePLChangeAbove, current, ""); r.Rule != "" {
			return r
		}
		if r := p.above(RulePLGrantAbove, next.named[i], ""); r.Rule != "" {
			return r
		}
	}
	if r := p.checkEvents(s.Snapshot, next); r.Rule != "" {
		return r
	}
	if r := p.checkUsers(s.Snapshot, next); r.Rule != "" {
		return r
	}
	// 10.10. Otherwise, allow.
	return allow(RulePowerLevels, powerEvidence(a.Sender, power, s.eventLevel(TypePowerLevels, true)))
}

// checkLevels is 10.1 to 10.4: the form of the new content. Before v10 the specification names users only; homeservers
// refuse every other value but an integer in all versions, and so does checkLevels. The zero result means: the form is good.
func (s rules) checkLevels(next *powerLevels, content exactjson.Value) Result {
	// 10.1. A named level is present and not an integer: reject.
	for i := range next.named {
		if next.named[i].state == malformed {
			return deny(RulePLNotInteger, Evidence{Found: levelName(i)})
		}
	}
	// 10.2. events or notifications is present and not an object of integers: reject.
	for _, name := range []string{"events", "notifications"} {
		n := content.Get(name)
		if n.Exists() && n.Kind != exactjson.Object {
			return deny(RulePLNotInteger, Evidence{Found: name})
		}
		for _, item := range n.Items {
			if s.traits.level(item.Value).state != given {
				return deny(RulePLNotInteger, Evidence{Found: name + " " + item.Key})
			}
		}
	}
	// 10.3. users is not an object with user IDs for keys and integers for values: reject. It may be missing: every
	// homeserver has it so.
	users := content.Get("users")
	if users.Exists() && users.Kind != exactjson.Object {
		return deny(RulePLUsersType, Evidence{})
	}
	for _, item := range users.Items {
		if !ValidUserID(item.Key) {
			return deny(RulePLUserID, Evidence{Found: item.Key})
		}
		if s.traits.level(item.Value).state != given {
			return deny(RulePLNotInteger, Evidence{User: id.UserID(item.Key), Found: "users " + item.Key})
		}
	}
	// 10.4. users contains a creator: reject (v12).
	for _, item := range users.Items {
		if s.isCreator(id.UserID(item.Key)) {
			return deny(RulePLCreatorListed, Evidence{Key: Key{Type: TypeCreate}, User: id.UserID(item.Key)})
		}
	}
	return Result{}
}

// levelChange is a user changing power levels, with their power.
type levelChange struct {
	sender id.UserID
	power  level
}

// above denies a value above the sender's power. The zero result means: it is not above.
func (c levelChange) above(rule Rule, value level, user id.UserID) Result {
	if value.state == absent || c.power.reaches(value) {
		return Result{}
	}
	return deny(rule, powerEvidence(user, c.power, value))
}

// checkEvents is 10.7 and 10.8, for events and (v6 and up) notifications.
func (c levelChange) checkEvents(s *Snapshot, next *powerLevels) Result {
	changed := changes(&s.levels.events, &next.events)
	if s.traits.notifications {
		changed = append(changed, changes(&s.levels.notifications, &next.notifications)...)
	}
	// 10.7. An entry is changed or removed, and the current value is above the sender's power: reject.
	for _, entry := range changed {
		if r := c.above(RulePLChangeAbove, entry.old, ""); r.Rule != "" {
			return r
		}
	}
	// 10.8. An entry is added or changed, and the new value is above the sender's power: reject.
	for _, entry := range changed {
		if r := c.above(RulePLGrantAbove, entry.new, ""); r.Rule != "" {
			return r
		}
	}
	return Result{}
}

// checkUsers is 10.9 and the first 10.10, for users.
func (c levelChange) checkUsers(s *Snapshot, next *powerLevels) Result {
	changed := changes(&s.levels.users, &next.users)
	// 10.9. Another user's entry is changed or removed, and the current value is not below the sender's power: reject.
	for _, entry := range changed {
		user := id.UserID(entry.key)
		if user != c.sender && entry.old.state != absent && !c.power.outranks(entry.old) {
			return deny(RulePLUserOutranked, powerEvidence(user, c.power, entry.old))
		}
	}
	// 10.10. An entry is added or changed, and the new value is above the sender's power: reject.
	for _, entry := range changed {
		if r := c.above(RulePLGrantAbove, entry.new, id.UserID(entry.key)); r.Rule != "" {
			return r
		}
	}
	return Result{}
}
