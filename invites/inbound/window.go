package inbound

import (
	"maps"
	"time"

	"maunium.net/go/mautrix/id"
)

// Limit is a number of different people within a time. People 0 means no limit.
type Limit struct {
	People int
	Per    time.Duration
}

// windows counts the different people for each of many keys. The zero value is empty.
type windows struct {
	byKey map[string]map[id.UserID]time.Time
}

// maxKeys bounds a windows; a full one drops the keys with nothing left to count, and else starts anew.
const maxKeys = 20_000

// full reports whether a further person would be beyond the limit.
func (w *windows) full(key string, target id.UserID, l Limit, now time.Time) bool {
	reached := w.reached(key, l, now)
	_, counted := w.byKey[key][target]
	return reached && !counted
}

// reached reports whether as many people are counted as the limit allows.
func (w *windows) reached(key string, l Limit, now time.Time) bool {
	if l.People == 0 {
		return false
	}
	people := w.byKey[key]
	maps.DeleteFunc(people, func(_ id.UserID, at time.Time) bool { return now.Sub(at) >= l.Per })
	return len(people) >= l.People
}

// add counts a person, up to the limit.
func (w *windows) add(key string, target id.UserID, l Limit, now time.Time) {
	if l.People == 0 || w.reached(key, l, now) {
		return
	}
	if len(w.byKey) >= maxKeys {
		maps.DeleteFunc(w.byKey, func(_ string, people map[id.UserID]time.Time) bool {
			maps.DeleteFunc(people, func(_ id.UserID, at time.Time) bool { return now.Sub(at) >= l.Per })
			return len(people) == 0
		})
	}
	if w.byKey == nil || len(w.byKey) >= maxKeys {
		w.byKey = map[string]map[id.UserID]time.Time{}
	}
	if w.byKey[key] == nil {
		w.byKey[key] = map[id.UserID]time.Time{}
	}
	if _, counted := w.byKey[key][target]; !counted {
		w.byKey[key][target] = now
	}
}
