package room

import (
	"cmp"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"
)

// NamedLevel returns the power level under a name in m.room.power_levels, or its default: one of the levels that the
// event names ("invite", "users_default", …), "events.<type>" for a state event's type, or "notifications.<key>". known is
// false where the level, or the whole event, is malformed or not known.
func (s *Snapshot) NamedLevel(name string) (value Level, known bool) {
	if !s.knowsLevels || !s.supported {
		return 0, false
	}
	l := level{state: malformed}
	eventType, isEvent := strings.CutPrefix(name, "events.")
	notification, isNotification := strings.CutPrefix(name, "notifications.")
	switch {
	case isEvent:
		l = s.eventLevel(eventType, true)
	case isNotification:
		if l = exactly(50); s.levels != nil {
			l = s.levels.notifications.find(notification).or(50)
		}
	default:
		for i := range namedLevels {
			if levelName(i) == name {
				l = s.named(i)
			}
		}
	}
	return l.value, l.state == given
}

// Named returns the users with power by name in the room: its creators, and the users in its power levels. The strongest come
// first, equal ones by user id. Users with malformed power are among them, with the power 0.
func (s *Snapshot) Named() []id.UserID {
	var all []id.UserID
	if s.create.exists {
		all = append(all, s.create.creator)
		all = append(all, s.create.creators...)
	}
	if s.levels != nil {
		for _, item := range s.levels.users.object.Items {
			all = append(all, id.UserID(item.Key))
		}
	}
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(user id.UserID) bool { return user == "" })
	slices.SortStableFunc(all, func(a, b id.UserID) int {
		left, _ := s.Power(a)
		right, _ := s.Power(b)
		return cmp.Compare(right, left)
	})
	return all
}
