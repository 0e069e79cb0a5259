package difftest

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"usher/room"
)

func namedLevels() []string {
	return []string{"users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"}
}

// levelOf reads a level that is known to be valid.
func levelOf(raw json.RawMessage) int64 {
	s := strings.TrimSpace(strings.Trim(string(raw), `"`))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return int64(f)
}

// levelDevice compares old and new power levels. The zero value does so by the specification; each flag is a deviation.
type levelDevice struct {
	ignoreUsersDefault bool
	throughDefaults    bool
	notificationsAbove bool
	notificationsPlain bool
}

// comparesLevels reports whether it is the comparison that decides a case.
func comparesLevels(p pair) bool {
	switch p.Rule {
	case room.RulePowerLevels, room.RulePowerLevelsFirst, room.RulePLChangeAbove, room.RulePLGrantAbove, room.RulePLUserOutranked:
		return true
	}
	return false
}

// judge compares the levels of a case. Without any flag it must say what room says; that is checked here.
func (d levelDevice) judge(p pair) outcome {
	plain := levelDevice{}.compare(p)
	if plain != (p.Verdict == room.Allow) && p.State.Events[levelsKey] != nil {
		panic("the model of level changes is not that of the specification: " + p.String())
	}
	if d.compare(p) {
		return allowed
	}
	return denied
}

func (d levelDevice) compare(p pair) bool {
	old, next := p.read(levelsKey), content{"": p.Action.Content}.object("")
	sender, notifier := d.powers(p, old)
	named := namedLevels()
	if d.ignoreUsersDefault {
		named = named[1:]
	}
	for _, name := range named {
		if !d.may(sender, old, next, name, defaultLevel(name)) {
			return false
		}
	}
	oldEvents, newEvents := old.object("events"), next.object("events")
	for _, key := range keys(oldEvents, newEvents) {
		if !d.mayThrough(sender, oldEvents, newEvents, key, level(old, "events_default", 0), level(next, "events_default", 0)) {
			return false
		}
	}
	oldNotifications, newNotifications := old.object("notifications"), next.object("notifications")
	for _, key := range keys(oldNotifications, newNotifications) {
		if p.Version() < 6 {
			break
		}
		if !d.may(notifier, oldNotifications, newNotifications, key, 50) || d.notificationsAbove &&
			level(oldNotifications, key, 50) == notifier && level(newNotifications, key, 50) != notifier {
			return false
		}
	}
	return d.compareUsers(p, sender, old, next)
}

func (d levelDevice) compareUsers(p pair, sender int64, old, next content) bool {
	oldUsers, newUsers := old.object("users"), next.object("users")
	oldDefault, newDefault := level(old, "users_default", 0), level(next, "users_default", 0)
	for _, key := range keys(oldUsers, newUsers) {
		if !d.mayThrough(sender, oldUsers, newUsers, key, oldDefault, newDefault) {
			return false
		}
		_, listed := oldUsers[key]
		before, after := level(oldUsers, key, oldDefault), level(newUsers, key, newDefault)
		changed := before != after || !d.throughDefaults && !alike(oldUsers, newUsers, key)
		if (listed || d.throughDefaults) && changed && key != string(p.Action.Sender) && before >= sender {
			return false
		}
	}
	return true
}

// powers returns the sender's power, and the power when it comes to notifications.
func (d levelDevice) powers(p pair, old content) (sender, notifier int64) {
	power, _ := room.NewSnapshot(p.State).Power(p.Action.Sender)
	sender = int64(power)
	if !d.notificationsPlain || power != room.Infinite {
		return sender, sender
	}
	if old == nil && p.Action.Sender == p.State.Events[createKey].Sender {
		return sender, most
	}
	return sender, level(old, "users_default", 0)
}

// may reports whether one level may be changed. Without throughDefaults absent is not the same as the default.
func (d levelDevice) may(sender int64, old, next content, key string, def int64) bool {
	return d.mayThrough(sender, old, next, key, def, def)
}

func (d levelDevice) mayThrough(sender int64, old, next content, key string, oldDefault, newDefault int64) bool {
	if !d.throughDefaults {
		if alike(old, next, key) {
			return true
		}
		oldDefault, newDefault = math.MinInt64, math.MinInt64
	}
	before, after := level(old, key, oldDefault), level(next, key, newDefault)
	return before == after || before <= sender && after <= sender
}

// alike reports whether a level is in both or in neither, and the same.
func alike(old, next content, key string) bool {
	before, had := old[key]
	after, has := next[key]
	return had == has && (!had || levelOf(before) == levelOf(after))
}

func level(c content, key string, def int64) int64 {
	if raw, ok := c[key]; ok {
		return levelOf(raw)
	}
	return def
}

func defaultLevel(name string) int64 {
	switch name {
	case "state_default", "ban", "redact", "kick":
		return 50
	}
	return 0
}

func keys(a, b content) []string {
	all := maps.Clone(a)
	if all == nil {
		all = make(content)
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
