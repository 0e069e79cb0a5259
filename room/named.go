package room

import "strings"

// NamedLevel returns the power level that m.room.power_levels gives under a name, or its default: one of the levels that the
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
