package difftest

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"usher/room"
)

var (
	createKey    = room.Key{Type: "m.room.create"}
	levelsKey    = room.Key{Type: "m.room.power_levels"}
	joinRulesKey = room.Key{Type: "m.room.join_rules"}
)

func mautrixDeviations() []deviation {
	return []deviation{
		{"v1–v10 without power levels: 100 for the create event's sender, not for content.creator", func(p pair) pair {
			create := p.State.Events[createKey]
			if create == nil || p.Version() > 10 || p.State.Events[levelsKey] != nil || p.Action.PrevIsCreate {
				return p
			}
			return p.edit(createKey, func(c content) { c.set("creator", create.Sender) })
		}},
		{"no third-party invite is valid", answers(denied, func(p pair) bool { return p.Rule == room.RuleThirdParty })},
		{"v1–v9: levels are read as Python's int() does: true is 1, what can't be read is absent (in users: refused), big numbers wrap", func(p pair) pair {
			if p.Version() > 9 || p.Action.Type != room.SetPowerLevels {
				return p
			}
			return p.editAction(pythonLevels)
		}},
		{"v1–v5: changes of notifications are checked", func(p pair) pair {
			if p.Version() > 5 || p.Action.Type != room.SetPowerLevels || p.Rule == room.RulePowerLevelsFirst {
				return p
			}
			return p.edit(levelsKey, notificationsToEvents).editAction(notificationsToEvents)
		}},
		{"panics when an equal is dropped from users", answers(panicked, dropsEqual)},
	}
}

// pythonLevels reads levels the library's way. What can't be read in users becomes null, which is refused.
func pythonLevels(c content) {
	for _, name := range namedLevels() {
		if raw, there := c[name]; there {
			setOrDelete(c, name, pythonInt(raw))
		}
	}
	for _, name := range []string{"events", "notifications"} {
		raw, there := c[name]
		if !there {
			continue
		}
		inner := c.object(name)
		if inner == nil { // walked through as one entry without a key, or as an array of none
			inner = content{"": raw}
		}
		for key, value := range inner {
			setOrDelete(inner, key, pythonInt(value))
		}
		c.set(name, inner)
	}
	if users := c.object("users"); users != nil {
		for key, value := range users {
			users.set(key, pythonInt(value))
		}
		c.set("users", users)
	}
}

func setOrDelete(c content, key string, n *int64) {
	if n == nil {
		delete(c, key)
		return
	}
	c.set(key, *n)
}

func pythonInt(raw json.RawMessage) *int64 {
	v := gjson.ParseBytes(raw)
	switch v.Type {
	case gjson.True:
		return new(int64(1))
	case gjson.False:
		return new(int64(0))
	case gjson.Number:
		return new(v.Int())
	case gjson.String:
		if n, err := strconv.ParseInt(strings.TrimSpace(v.Str), 10, 64); err == nil {
			return new(n)
		}
	}
	return nil
}

func notificationsToEvents(c content) {
	events := c.object("events")
	if events == nil {
		events = content{}
	}
	for key, value := range c.object("notifications") {
		events["notifications "+key] = value
	}
	delete(c, "notifications")
	c.set("events", events)
}

// dropsEqual finds the entry of the old users that stops the library, in the order that they are written in: the
// removal of somebody with the sender's own level.
func dropsEqual(p pair) bool {
	if p.Rule != room.RulePLUserOutranked {
		return false
	}
	old, next := p.read(levelsKey), content{"": p.Action.Content}.object("")
	oldUsers, newUsers := old.object("users"), next.object("users")
	own, _ := room.NewSnapshot(p.State).Power(p.Action.Sender)
	sender := int64(own)
	stopped, panics := false, false
	gjson.ParseBytes(old["users"]).ForEach(func(key, _ gjson.Result) bool {
		before := levelOf(oldUsers[key.Str])
		after, there := newUsers[key.Str]
		switch {
		case there && levelOf(after) == before:
			return true
		case before > sender, there && levelOf(after) > sender:
			stopped = true
		case key.Str != string(p.Action.Sender) && before == sender:
			stopped, panics = true, !there
		}
		return !stopped
	})
	return panics
}
